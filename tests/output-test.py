#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What viommu shows depends on where it goes: colour and lines on terminals, plain text elsewhere, and no
partial output anywhere.

Usage: output-test.py VIOMMU SOURCE_ROOT"""

import errno
import glob
import os
import pty
import shutil
import subprocess
import sys

ESCAPE = b'\033['


class Tester:
    def __init__(self, viommu, root):
        self.viommu, self.root, self.number, self.failed = os.path.abspath(viommu), root, 0, 0
        self.plan = [self.viommu, '--host', 'tests/hosts/grace.sysfs', 'plan', 'examples/two-gpus.xml']

    def ok(self, good, name, detail=b''):
        self.number += 1
        self.failed += not good
        print(f'{"" if good else "not "}ok {self.number} - {name}')
        if not good and detail:
            print('\n'.join(f'# {line}' for line in detail.decode(errors='replace').splitlines()))

    def env(self, **more):
        return {'LC_ALL': 'C.UTF-8', 'PATH': os.environ['PATH'], **more}

    def piped(self, command, **more):
        return subprocess.run(command, cwd=self.root, env=self.env(**more), capture_output=True,
                              stdin=subprocess.DEVNULL, check=False, timeout=60)

    def on_terminal(self, command, **more):
        """What the command writes to a terminal that is both its output and its error."""
        master, slave = pty.openpty()
        with subprocess.Popen(command, cwd=self.root, env=self.env(**more), stdin=subprocess.DEVNULL,
                              stdout=slave, stderr=slave):
            os.close(slave)
            seen = b''
            while True:
                try:
                    chunk = os.read(master, 4096)
                except OSError as err:
                    if err.errno != errno.EIO:
                        raise
                    chunk = b''
                if not chunk:
                    break
                seen += chunk
        os.close(master)
        return seen


# A machine with one SMMUv3 and without /dev/iommu.
OTHER_MACHINE = """mount -t tmpfs none /sys && mount -t tmpfs none /dev &&
mkdir -p /sys/bus/pci/devices /sys/class/iommu/smmu3.0x0000000009050000 && exec "$@\""""


def unprobed(t):
    """Only the check of a host goes on where probing fails."""
    there = ['unshare', '-rm', 'sh', '-c', OTHER_MACHINE, 'sh']
    able = shutil.which('unshare') and t.piped([*there, 'true']).returncode == 0
    for words, status, wanted in ((['check'], 1, b'nested translation                                      : '
                                   b'WARN (not probed: cannot open /dev/iommu: No such file'), (['host'], 3, b'')):
        name = f'viommu {words[0]} --probe where nothing can be probed'
        if not able:
            t.ok(True, f'{name} # SKIP no mount namespaces')
            continue
        done = t.piped([*there, t.viommu, *words, '--probe'])
        t.ok(done.returncode == status and wanted in done.stdout and bool(done.stdout) != bool(done.stderr), name,
             done.stdout + done.stderr)


def main():
    t = Tester(*sys.argv[1:])
    print('1..22')

    plain = t.piped(t.plan).stdout
    t.ok(b'smmu3.0x' in plain and ESCAPE not in plain, 'no colour in a pipe', plain)
    t.ok('└─'.encode() in plain, 'lines of Unicode in a UTF-8 locale', plain)
    ascii_tree = t.piped(t.plan, LC_ALL='C').stdout
    t.ok(b'`- ' in ascii_tree and ascii_tree.isascii(), 'lines of ASCII in the C locale', ascii_tree)

    seen = t.on_terminal(t.plan, TERM='xterm')
    t.ok(ESCAPE in seen, 'colour on a terminal', seen)
    for name, more in (('NO_COLOR', {'TERM': 'xterm', 'NO_COLOR': '1'}),
                       ('a dumb terminal', {'TERM': 'dumb'}),
                       ('a terminal without a name', {})):
        seen = t.on_terminal(t.plan, **more)
        t.ok(b'smmu3.0x' in seen and ESCAPE not in seen, f'no colour with {name}', seen)
    seen = t.on_terminal(t.plan, TERM='xterm', NO_COLOR='')
    t.ok(ESCAPE in seen, 'an empty NO_COLOR is none', seen)

    seen = t.on_terminal([t.viommu, 'expand', 'examples/missing.xml'], TERM='xterm')
    t.ok(b'\033[31merror\033[0m: ' in seen, 'a red error on a terminal', seen)
    seen = t.on_terminal([t.viommu, '--host', 'tests/hosts/grace.sysfs', 'plan', '--format', 'json',
                          'examples/two-gpus.xml'], TERM='xterm')
    t.ok(ESCAPE not in seen, 'no colour in JSON', seen)

    with open('/dev/full', 'wb') as full:
        done = subprocess.run(t.plan, cwd=t.root, env=t.env(), stdout=full, stderr=subprocess.PIPE,
                              check=False, timeout=60)
    t.ok(done.returncode == 3 and b'error: cannot write the result: ' in done.stderr,
         'a result that cannot be written is an error', done.stderr)

    for name, words in (('a result', t.plan), ('the version', [t.viommu, '--version'])):
        done = t.piped(['sh', '-c', 'exec "$@" >&-', 'sh', *words])
        t.ok(done.returncode == 3 and done.stderr.endswith(b'error: cannot write the result: Bad file descriptor\n'),
             f'{name} for a closed standard output is an error', done.stderr)

    done = subprocess.run([t.viommu, '--host', '-', 'plan', '-'], cwd=t.root, env=t.env(), check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    t.ok(done.returncode in (1, 3) and not done.stdout and done.stderr.count(b'\n') == 1,
         'standard input is read for one file only', done.stderr)

    name = 'probing a machine without SMMUv3 is no error'
    if glob.glob('/sys/class/iommu/*') and not os.uname().machine.startswith('x86'):
        t.ok(True, f'{name} # SKIP it may have one, whose devices would be reset')
    else:
        done = t.piped([t.viommu, 'host', '--probe'])
        t.ok(done.returncode == 0 and done.stdout and not done.stderr, name, done.stderr)

    unprobed(t)
    for words, wanted in ((['pl'], b'plan'), (['argv', '--fu'], b'--full'),
                          (['plan', '--format', '='], b'text json dot'),
                          (['--host', 'plan', 'expand', '--dialect', 'v'], b'viommu'),
                          (['expand', 'domain'], b'')):
        name = f'bash completes: {" ".join(words)}'
        if not shutil.which('bash'):
            t.ok(True, f'{name} # SKIP no bash')
            continue
        done = t.piped(['bash', '-c', 'source tools/completion/viommu; COMP_WORDS=("$@"); '
                        'COMP_CWORD=$(($# - 1)); _viommu "$1"; echo "${COMPREPLY[*]}"', 'bash',
                        t.viommu, *words])
        t.ok(done.stdout.strip() == wanted and not done.stderr, name, done.stdout + done.stderr)
    return bool(t.failed)


if __name__ == '__main__':
    sys.exit(main())
