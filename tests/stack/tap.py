# SPDX-License-Identifier: LGPL-2.1-or-later
"""Test results in the Test Anything Protocol. The plan comes last, so a test that dies has none."""

import contextlib
import sys
import traceback


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def ok(self, good, name, *problems):
        """One result; @problems (strings) are printed below it as comments when it is not good."""
        self.count += 1
        print(f"{'ok' if good else 'not ok'} {self.count} - {name.replace('#', ' ')}")
        if not good:
            self.failed += 1
            for problem in problems:
                for line in str(problem).splitlines():
                    print(f"#   {line}")
        sys.stdout.flush()

    def note(self, *texts):
        """Comments between the results."""
        for text in texts:
            print("# " + " ".join(str(text).split()))

    def noProblems(self, problems, name):
        self.ok(not problems, name, *problems)

    def done(self):
        """Prints the plan and returns the exit status."""
        print(f"1..{self.count}")
        return 1 if self.failed else 0


def skipAll(reason):
    print(f"1..0 # SKIP {' '.join(str(reason).split())}")
    return 0


@contextlib.contextmanager
def guarded(tap, name):
    """An exception in the block is a failed test of that name, and the test program goes on."""
    try:
        yield
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        tap.ok(False, name, f"{type(error).__name__}: {error}",
               f"at {where.filename}:{where.lineno}")
