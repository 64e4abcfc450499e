#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs viommu for every directory of tests/cli and compares what it says and how it exits.

Usage: cli-test.py VIOMMU SOURCE_ROOT VIOMMU_HOOK

A case is a directory: cmd (one line, as for a shell; "< FILE" may be its end; paths from the top of the
source), stdin, stdout, stderr, status. A file that is not there is empty; no status is 0.
VIOMMU_TEST_REGENERATE=1 rewrites what differs, and still fails."""

import difflib
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

EXPECTED = ('stdout', 'stderr', 'status')


def run(programs, root, case, home):
    words = shlex.split((case / 'cmd').read_text())
    assert words[0] in programs, f'{case}/cmd starts with none of {sorted(programs)}'
    stdin = case / 'stdin'
    if '<' in words[-2:]:
        stdin = root / words[-1]
        words = words[:-2]
    done = subprocess.run([programs[words[0]], *words[1:]], cwd=root, capture_output=True, check=False, timeout=60,
                          input=stdin.read_bytes() if stdin.exists() else b'',
                          env={'LC_ALL': 'C.UTF-8', 'HOME': home, 'XDG_RUNTIME_DIR': home,
                               'PATH': os.environ['PATH']})
    status = f'{done.returncode}\n' if done.returncode else ''
    return {'stdout': done.stdout, 'stderr': done.stderr, 'status': status.encode()}


def expected(case, name):
    path = case / name
    return path.read_bytes() if path.exists() else b''


def rewrite(case, name, data):
    path = case / name
    if data:
        path.write_bytes(data)
    else:
        path.unlink(missing_ok=True)


def main():
    root = pathlib.Path(sys.argv[2]).resolve()
    programs = {'viommu': os.path.abspath(sys.argv[1]), 'viommu-hook': os.path.abspath(sys.argv[3])}
    cases = sorted(p.parent for p in (root / 'tests' / 'cli').glob('*/cmd'))
    regenerate = os.environ.get('VIOMMU_TEST_REGENERATE')
    failed = 0
    print(f'1..{len(cases)}')
    with tempfile.TemporaryDirectory() as home:
        for number, case in enumerate(cases, 1):
            got = run(programs, root, case, home)
            wrong = [name for name in EXPECTED if got[name] != expected(case, name)]
            print(f'{"not " if wrong else ""}ok {number} - {case.name}')
            failed += bool(wrong)
            for name in wrong:
                texts = [data.decode(errors='replace').splitlines() for data in (expected(case, name), got[name])]
                for line in difflib.unified_diff(*texts, f'expected {name}', f'{name} got', lineterm=''):
                    print(f'# {line}')
                if regenerate:
                    rewrite(case, name, got[name])
    return bool(failed or not cases)


if __name__ == '__main__':
    sys.exit(main())
