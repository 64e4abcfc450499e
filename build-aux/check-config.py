#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fails unless the keys of viommud.conf are the same in the program, the installed file, the manual and the lens,
and in the same order in the latter three; and unless the program takes the file, with its lines and without.

Usage: check-config.py SOURCE_ROOT VIOMMUD"""

import pathlib
import re
import subprocess
import sys
import tempfile

KEY_IN = {'data/viommud.conf': r'^#(\w+) = ',
          'docs/viommud.conf.rst': r'^``(\w+)`` = ',
          'data/viommud.aug': r'_entry "(\w+)"'}
IN_PROGRAM = ('src/daemon/viommu_config.c', r'^    \{ "(\w+)", KEY_')


def keys(root, name, pattern):
    return re.findall(pattern, (root / name).read_text(), re.MULTILINE)


def compare(root):
    """Yields what differs."""
    wanted = keys(root, *IN_PROGRAM)
    first = None
    for name, pattern in KEY_IN.items():
        found = keys(root, name, pattern)
        if sorted(found) != sorted(wanted):
            yield f'{name}: {" ".join(sorted(set(found) ^ set(wanted))) or "a key twice"}: not as in {IN_PROGRAM[0]}'
        first = first or found
        if found != first:
            yield f'{name}: not in the order of the other files'


def read(text, viommud):
    """What @viommud says of a configuration with this text, where no service is running."""
    with tempfile.TemporaryDirectory() as where:
        path = pathlib.Path(where) / 'viommud.conf'
        path.write_text(f'{text}\nunix_sock_dir = "{where}"\n')
        return subprocess.run([viommud, '--config', path, '--show'], capture_output=True, text=True, check=False).stderr


def main():
    root = pathlib.Path(sys.argv[1])
    bad = list(compare(root))
    text = (root / 'data/viommud.conf').read_text()
    for lines in (text, re.sub(r'^#(?=\w+ = )', '', text, flags=re.MULTILINE)):
        said = read(lines, sys.argv[2])
        if 'cannot ask viommud' not in said:
            bad.append(f'data/viommud.conf: {said.strip()}')
    print('\n'.join(bad) if bad else 'the same keys everywhere')
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
