#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""No domain that viommu placed is stopped by viommu-hook on the host that it was placed for, or changed by it.

Usage: hook-test.py VIOMMU_HOOK SOURCE_ROOT

Every expansion of qemuxml2argvdata is given to the hook as libvirt would. What it says of others is in cli/hook-*."""

import pathlib
import re
import subprocess
import sys

STALE = 'tests/checkdata/V01-fail-renamed.grace.xml'
WORDS_MAX = 700
UNPLACED = 'tests/qemuxml2argvdata/extra-specs-no-iommu.xml'


def run(hook, host, operation, domain, stdout=subprocess.PIPE):
    with open(domain, encoding='utf-8') as given:
        return subprocess.run([hook, '--host', host, 'guest', operation, 'begin', '-'], stdin=given, stdout=stdout,
                              stderr=subprocess.PIPE, text=True, check=False, timeout=60)


def expansions(root):
    """[(file, host)] of the golden cases."""
    found = []
    for path in sorted((root / 'tests' / 'qemuxml2argvdata').glob('*.xml')):
        parts = path.name.split('.')
        host = root / 'tests' / 'hosts' / f'{parts[1]}.sysfs'
        if len(parts) == 3 and host.exists():
            found.append((path, host))
    return found


def is_unserved(text):
    """A host device with an SMMU for the whole machine, of a domain that asks for nothing: QEMU does not start it."""
    return 'urn:viommu:domain:1' not in text and 'pciBus=' not in text and \
        re.search(r"<iommu model=.smmuv3.", text) and re.search(r"<(hostdev|interface type='hostdev')", text)


def problems(hook, path, host):
    wrong = []
    unserved = is_unserved(path.read_text(encoding='utf-8'))
    for operation in ('prepare', 'migrate', 'restore'):
        done = run(hook, host, operation, path)
        good = (done.returncode == 1 and 'viommu: V05: ' in done.stderr) if unserved else \
            (done.returncode == 0 and not done.stderr)
        if not good or done.stdout:
            wrong.append(f'{operation}: status {done.returncode}: {done.stderr}{done.stdout[:200]}')
    return wrong


def no_room(hook, root):
    """A filter that cannot print the whole domain fails."""
    with open('/dev/full', 'w', encoding='utf-8') as full:
        done = run(hook, root / 'tests' / 'hosts' / 'grace.sysfs', 'migrate', root / STALE, full)
    return [] if done.returncode == 1 and 'cannot be written' in done.stderr else [f'{done.returncode}: {done.stderr}']


def refusal(hook, root, name):
    """What is said of an unplaced domain of that name, without the end of the line."""
    domain = re.sub('<name>.*?</name>', f'<name>{name}</name>', (root / UNPLACED).read_text(encoding='utf-8'))
    done = subprocess.run([hook, '--host', root / 'tests' / 'hosts' / 'grace.sysfs', 'guest', 'prepare', 'begin', '-'],
                          input=domain.encode(), capture_output=True, check=False, timeout=60)
    return done.stderr.rstrip(b'\n')


def cut(hook, root):
    """What is longer than a log takes ends with a whole character and "...", and nothing shorter does."""
    room = WORDS_MAX - len(refusal(hook, root, 'a')) + 1
    whole = refusal(hook, root, 'a' * room)
    wrong = [] if len(whole) == WORDS_MAX and whole.endswith(b'define -') else [whole.decode()]
    for name in ('a' * (room + 1), '\u00e4' * WORDS_MAX, 'a' + '\u00e4' * WORDS_MAX):
        text = refusal(hook, root, name).decode(errors='replace')
        if not text.endswith('...') or '\ufffd' in text:
            wrong.append(text)
    return wrong


def corrected(hook, root):
    """The notes of an SMMU that has gone, in the words of any libvirt for which a domain was placed."""
    host = root / 'tests' / 'hosts' / 'grace.sysfs'
    wrong = []
    for name in ('libvirt-11-10', 'libvirt-12-1', 'libvirt-12-6-copied', 'spare-window'):
        text = (root / 'tests' / 'qemuxml2argvdata' / f'{name}.grace.xml').read_text(encoding='utf-8')
        done = subprocess.run([hook, '--host', host, 'guest', 'migrate', 'begin', '-'], capture_output=True, text=True,
                              input=text.replace('smmu="smmu3.0x0000000011', 'smmu="smmu3.0x0000000013'), check=False,
                              timeout=60)
        if done.stdout != text:
            wrong.append(f'{name}: {done.returncode}: {done.stderr}')
    return wrong


def taken_out(hook, root):
    """A domain that was placed, and whose vSMMUs are gone, is judged by where its devices are."""
    text = (root / 'tests' / 'qemuxml2argvdata' / 'again-renamed.grace.xml').read_text(encoding='utf-8')
    done = subprocess.run([hook, '--host', root / 'tests' / 'hosts' / 'grace.sysfs', 'guest', 'prepare', 'begin', '-'],
                          input=re.sub('(?s)<iommu .*?</iommu>', '', text), capture_output=True, text=True, check=False,
                          timeout=60)
    return [] if done.stderr.startswith("viommu: V05: hostdev '0002:01:00.0' is on controller 2") else [done.stderr]


def calls_libvirt(hook):
    """libvirt waits for its hook: a call would wait for libvirt. The library is neither linked nor opened by name."""
    found = re.findall(rb'libvirt[-\w]*\.so', pathlib.Path(hook).read_bytes())
    return [f'{name.decode()} is named in it' for name in found]


def main():
    hook, root = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    tests = [(path.name, lambda path=path, host=host: problems(hook, path, host)) for path, host in expansions(root)]
    tests.append(('a full disk', lambda: no_room(hook, root)))
    tests.append(('a long name', lambda: cut(hook, root)))
    tests.append(('notes for older libvirts', lambda: corrected(hook, root)))
    tests.append(('vSMMUs taken out', lambda: taken_out(hook, root)))
    tests.append(('no library of libvirt', lambda: calls_libvirt(hook)))
    failed = 0
    print(f'1..{len(tests)}')
    for number, (name, test) in enumerate(tests, 1):
        wrong = test()
        print(f'{"not " if wrong else ""}ok {number} - {name}')
        failed += bool(wrong)
        for line in '\n'.join(wrong).splitlines():
            print(f'# {line}')
    return bool(failed or len(tests) < 2)


if __name__ == '__main__':
    sys.exit(main())
