#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fails on files that are too long, lack their licence, or hold what no source should.

Usage: check-style.py SOURCE_ROOT"""

import os
import pathlib
import re
import sys

MOST_LINES = 800
MOST_COLUMNS = {'.c': 120, '.h': 120, '.py': 120}
# The aim is 100; this is the wall. Texts for people stand in one unbroken string, so that they can be searched for.
TEXT = re.compile(r'"[^"]{40,}"')
SPDX = 'SPDX-License-Identifier: LGPL-2.1-or-later'
CODE = {'.c', '.h', '.py', '.sh', '.rst', '.md', '.build', '.txt', '.xml', ''}
LICENSED = {'.c', '.h', '.py', '.sh'}
# Written apart so that this file does not hold them.
FORBIDDEN = [(re.compile(r'\b(TO' r'DO|FIX' r'ME|XX' r'X)\b'), 'unfinished work'),
             (re.compile(r'(?<![\w.])/(home|wo' r'rk|bui' r'ld)/\w'), 'a path of one machine'),
             (re.compile(r'[ \t]+$'), 'white space at the end')]


def files(root):
    """All files of the project: not those of build directories or of git."""
    for where, dirs, names in os.walk(root):
        if 'meson-private' in dirs or 'meson-info' in dirs:
            dirs[:] = []
            continue
        dirs[:] = sorted(d for d in dirs if d not in ('.git', '__pycache__'))
        for name in sorted(names):
            yield pathlib.Path(where) / name


def is_code(path, data):
    return path.suffix in CODE and b'\0' not in data


def check(path, root):
    data = path.read_bytes()
    name = path.relative_to(root)
    # Recorded and expected data are as they are.
    if name.parts[0] in ('tests', 'fuzz') and path.suffix not in ('.c', '.h', '.py', '.sh', '.build'):
        return
    if not is_code(path, data):
        return
    lines = data.decode().splitlines()
    source = path.suffix in LICENSED or data.startswith(b'#!')
    if source and not any(SPDX in line for line in lines[:2]):
        yield f'{name}:1: no line "{SPDX}"'
    if source and len(lines) > MOST_LINES:
        yield f'{name}: {len(lines)} lines, more than {MOST_LINES}'
    most = MOST_COLUMNS.get(path.suffix, 0)
    for number, line in enumerate(lines, 1):
        if most and len(line) > most and not TEXT.search(line):
            yield f'{name}:{number}: {len(line)} columns'
        if path.suffix in ('.c', '.h', '.py') and '\t' in line:
            yield f'{name}:{number}: a tabulator'
        for pattern, what in FORBIDDEN:
            if pattern.search(line):
                yield f'{name}:{number}: {what}: {line.strip()}'
    if data and not data.endswith(b'\n'):
        yield f'{name}: no newline at the end'


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    seen = list(files(root))
    bad = [text for path in seen for text in check(path, root)]
    print('\n'.join(bad) if bad else f'{len(seen)} files')
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
