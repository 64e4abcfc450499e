#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the recorded hosts of this directory anew (see build/); --check only says which differ."""

import pathlib
import sys

sys.dont_write_bytecode = True
from build import kunpeng, nvidia, small

HERE = pathlib.Path(__file__).resolve().parent


def main():
    differ = []
    for host in [*nvidia.hosts(), *kunpeng.hosts(), *small.hosts()]:
        path = HERE / f'{host.name}.sysfs'
        text = host.manifest()
        if path.exists() and path.read_text() == text:
            continue
        differ.append(path.name)
        if '--check' not in sys.argv[1:]:
            path.write_text(text)
    for name in differ:
        print(name)
    return bool(differ) and '--check' in sys.argv[1:]


if __name__ == '__main__':
    sys.exit(main())
