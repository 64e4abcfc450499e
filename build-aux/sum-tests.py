#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Prints "N passed, N failed, N skipped" over the last test runs of some build directories.

Usage: sum-tests.py BUILD_DIR|LOG...

Of a build directory the log is meson-logs/testlog.json.

Subtests of TAP tests count one by one; Meson's own summary counts programs. A program that fails
without a failing subtest (it crashed, ran out of time, or broke its plan) counts as one failure. The exit
status is 0 only if something passed, nothing failed and every log is there."""

import json
import pathlib
import re
import sys

TAP = re.compile(r'^(not )?ok\b[^#]*(?:#\s*(skip|todo)\b)?', re.IGNORECASE)
GOOD, SKIPPED = {'OK', 'EXPECTEDFAIL'}, {'SKIP'}


def count(test):
    """The passed, failed and skipped of one test program."""
    marks = [m for m in map(TAP.match, test.get('stdout', '').splitlines()) if m]
    result = test['result']
    if not marks:
        return result in GOOD, result not in GOOD | SKIPPED, result in SKIPPED
    skipped = sum(1 for m in marks if m[2] and m[2].lower() == 'skip' and not m[1])
    failed = sum(1 for m in marks if m[1])
    passed = len(marks) - skipped - failed
    if result not in GOOD | SKIPPED and not failed:
        failed = 1
    return passed, failed, skipped


def main():
    total, missing = [0, 0, 0], []
    for log in map(pathlib.Path, sys.argv[1:]):
        if log.is_dir():
            log = log / 'meson-logs' / 'testlog.json'
        if not log.exists():
            missing.append(str(log))
            continue
        for line in log.read_text(errors='replace').splitlines():
            total = [a + b for a, b in zip(total, count(json.loads(line)))]
    for log in missing:
        print(f'no tests were run: there is no {log}', file=sys.stderr)
    passed, failed, skipped = total
    failed += len(missing)
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    return bool(failed or not passed)


if __name__ == '__main__':
    sys.exit(main())
