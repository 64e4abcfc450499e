#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fails on an #include of the project's own that points up the stack of layers.

Usage: check-includes.py SOURCE_ROOT"""

import pathlib
import re
import sys

LAYERS = ['util', 'conf', 'plan', 'qemu', 'rpc', 'core', 'libvirt', 'daemon']
MAY = {layer: set(LAYERS[:i + 1]) for i, layer in enumerate(LAYERS)}
MAY['rpc'] = {'rpc', 'util'}
MAY['core'] = {'core', 'plan', 'conf', 'util'}
MAY['libvirt'] = {'libvirt', 'plan', 'conf', 'util'}
MAY['daemon'] = {'daemon', 'core', 'rpc', 'plan', 'conf', 'util'}


def main():
    src = pathlib.Path(sys.argv[1]) / 'src'
    home = {header.name: header.parent.name for header in src.glob('*/*.h')}
    files = sorted(src.glob('*/*.[ch]'))
    bad = []
    for path in files:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            layer = home.get(match[1])
            if layer is None:
                bad.append(f'{path}:{number}: "{match[1]}" is no header of a layer')
            elif layer not in MAY[path.parent.name]:
                bad.append(f'{path}:{number}: {path.parent.name} may not include {layer}/{match[1]}')
    if not files:
        bad.append(f'{src}: no source file found')
    print('\n'.join(bad) if bad else f'{len(files)} files include downwards only')
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
