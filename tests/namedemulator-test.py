#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The emulator that a domain names is asked only where nobody but root can have put it there, and with no rights.

Usage: namedemulator-test.py VIOMMU SOURCE_ROOT FAKEQEMU

As another user than root there is no program that could be run; that theirs are not is tested then, and the rest is
skipped. The host is this machine, whatever it is: only findings of class H12 are looked at."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

LIMIT = 10  # seconds, as in qemuask.c
NOBODY = 65534
SOMEBODY = 61234
TRUSTED = '/var/lib'  # where only root can write

DOMAIN = """<domain type='{type}'>
  <name>named-emulator</name>
  <memory>1048576</memory>
  <os firmware='efi'><type arch='aarch64' machine='virt'>hvm</type></os>
  <features><acpi/><gic version='3'/></features>
  <devices>
    <emulator>{emulator}</emulator>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-expander-bus'><target busNr='200'/></controller>
    {iommu}
  </devices>
</domain>
"""
LINE = 7  # of <emulator>
BY_HAND = "<iommu model='smmuv3'><driver pciBus='1' accel='on'/></iommu>"
REQUEST = "<iommu model='smmuv3' nested='yes'/>"


class World:
    """A directory with an emulator that can be told what to do, and a home."""

    def __init__(self, viommu, root, fake, where):
        self.viommu, self.root, self.where = viommu, root, where
        where.chmod(0o755)
        self.home = where / 'home'
        self.home.mkdir(mode=0o700)
        self.directory = where / 'emulator'
        self.directory.mkdir()
        self.emulator = self.directory / 'qemu'
        shutil.copy(fake, self.emulator)
        self.emulator.chmod(0o755)
        for name in ('qemu-11.1.2', 'qemu-7.2.22'):
            shutil.copy(root / 'tests' / 'qmpdata' / f'{name}.qmp', where)
            (where / f'{name}.qmp').chmod(0o644)
        runs = self.directory / 'qemu.runs'
        runs.touch()
        runs.chmod(0o666)
        self.does('answer', 'qemu-11.1.2')

    def does(self, what, name=None):
        """Touches the program, so that it is asked again."""
        text = f'{what} {self.where}/{name}.qmp' if name else what
        self.directory.joinpath('qemu.does').write_text(text + '\n')
        time.sleep(0.02)
        os.utime(self.emulator)

    def runs(self):
        return self.directory.joinpath('qemu.runs').read_text().splitlines()

    def ask(self, *words, emulator=None, iommu=BY_HAND, kind='kvm', **how):
        environment = {'LC_ALL': 'C.UTF-8', 'HOME': str(self.home), 'PATH': os.environ['PATH'], 'SECRET': 'x'}
        text = DOMAIN.format(type=kind, emulator=emulator or self.emulator, iommu=iommu)
        return subprocess.run([self.viommu, *words, '-'], input=text, capture_output=True, text=True, check=False,
                              timeout=60, env=environment, **how)

    def check(self, *words, **how):
        """(severity, line, text) of H12, or None."""
        done = self.ask('check', '--format', 'json', *words, **how)
        found = [finding for finding in json.loads(done.stdout)['findings'] if finding['id'] == 'H12']
        assert len(found) < 2 and not done.stderr, (found, done.stderr)
        return (found[0]['severity'], found[0]['line'], found[0]['text']) if found else None


def isGone(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z'
    except OSError:
        return True


def testRights(world, check):
    found = world.check(extra_groups=[SOMEBODY])
    check(found is None and len(world.runs()) == 1, "the domain's emulator is asked", found, world.runs())
    words = dict(word.split('=') for word in world.runs()[-1].split()[2:])
    ids = ','.join([str(NOBODY)] * 3)
    check(words['user'] == ids and words['group'] == ids and words['groups'] == '0', 'as nobody', words)
    check(words['nnp'] == '1' and words['leader'] == '1', 'who can get no rights, and has no terminal', words)
    check(set(words['env'].split(',')) == {'LC_ALL', 'PATH'}, 'and nothing of our environment', words)
    check(world.check() is None and len(world.runs()) == 1, 'and not again')
    cache = world.home / '.cache' / 'viommu' / 'qemu'
    kept = list(cache.iterdir())
    check(len(kept) == 1 and kept[0].stat().st_uid == 0 and kept[0].stat().st_mode & 0o777 == 0o600 and
          cache.stat().st_uid == 0, 'the answers are kept by root')
    names = {path.name for path in world.directory.iterdir()}
    check(names == {'qemu', 'qemu.does', 'qemu.runs'}, 'nothing is left behind', names)


def testOld(world, check):
    world.does('answer', 'qemu-7.2.22')
    found = world.check()
    check(found and found[:2] == ('error', LINE) and f"emulator '{world.emulator}', QEMU 7.2.22: " in found[2],
          'an old one is an error, with its line and path', found)
    for words in (('argv',), ('--connect', 'test:///default', 'define')):
        done = world.ask(*words)
        check(done.returncode == 1 and f'error: line {LINE}: H12: emulator' in done.stderr and
              '--qemu-version' in done.stderr and not done.stdout, f'{words[-1]} refuses it', done.stderr)
    done = world.ask('argv', kind='qemu', iommu=REQUEST)
    check(done.returncode == 0, 'a domain without vSMMUs is not refused', done.stderr)


def testNotAsked(world, check):
    world.does('answer', 'qemu-7.2.22')
    before = len(world.runs())
    host = str(world.root / 'tests' / 'hosts' / 'no-smmu.sysfs')
    check(world.check('--qemu-version', '11.1') is None, 'with --qemu-version it is not asked')
    check(world.check('--host', host) is None, 'nor for a recorded host')
    emulator = str(world.root / 'tests' / 'emulators' / 'qemu-11.1.2')
    check(world.check('--emulator', emulator) is None, 'nor with --emulator')
    done = world.ask('argv', '--dialect', 'rfc-v3')
    check('H12' not in done.stderr, 'nor with --dialect', done.stderr)
    check(world.check(iommu="<iommu model='virtio'/>") is None, 'nor for a domain without SMMUv3')
    check(len(world.runs()) == before, 'none of these ran it', world.runs())


def testOthers(world, check):
    """Programs that somebody else can have put there."""
    before = len(world.runs())

    def refuses(what, why, emulator=None):
        found = world.check(emulator=emulator)
        check(found and found[:2] == ('note', LINE) and why in found[2] and len(world.runs()) == before,
              f'{what} is not run', found)

    other = "'{}': it belongs to another user than root"
    writable = "'{}': others than root can write it"
    for path, mode in ((world.emulator, 0o775), (world.emulator, 0o757), (world.directory, 0o1777),
                       (world.where, 0o775)):
        old = path.stat().st_mode
        path.chmod(mode)
        refuses(f'{mode:o} {path.name}', writable.format(path))
        path.chmod(old)
    for path in (world.emulator, world.directory):
        os.chown(path, SOMEBODY, 0)
        refuses(f"another user's {path.name}", other.format(path))
        os.chown(path, 0, 0)
    world.emulator.chmod(0o750)
    refuses('what not all may run', 'not everybody may run it')
    world.emulator.chmod(0o755)
    refuses('what is found by the working directory', 'not an absolute path', 'emulator/qemu')
    theirs = world.where / 'all'
    theirs.mkdir()
    theirs.chmod(0o1777)
    shutil.copy(world.emulator, theirs)
    link = world.directory / 'link'
    link.symlink_to(theirs / 'qemu')
    refuses('what a link leads to', writable.format(theirs), link)
    link.unlink()
    theirs.joinpath('link').symlink_to(world.emulator)
    world.does('answer', 'qemu-11.1.2')
    check(world.check(emulator=theirs / 'link') is None and len(world.runs()) == before + 1,
          'where a link leads to what may be run, that is run')
    check({path.name for path in world.directory.iterdir()} == {'qemu', 'qemu.does', 'qemu.runs'},
          'nothing is left behind')


def testTheirs(world, check):
    """All that who is not root can have."""
    found = world.check()
    check(found and found[:2] == ('note', LINE) and ': not run: ' in found[2] and not world.runs(),
          "a user's program is not run", found)
    done = world.ask('plan', iommu=REQUEST)
    check(done.returncode == 0 and 'note: ' in done.stderr, 'which is said, and changes nothing', done.stderr)
    done = world.ask('--quiet', 'plan', iommu=REQUEST)
    check(done.returncode == 0 and not done.stderr, 'and with --quiet not even said', done.stderr)


def testUnusable(world, check):
    absent = world.directory / 'none-such'
    found = world.check(emulator=absent)
    check(found == ('error', LINE, f"emulator '{absent}': No such file or directory"), 'one that is not there', found)
    done = world.ask('plan', emulator=absent, iommu=REQUEST)
    check(done.returncode == 0 and f'note: line {LINE}: H12: ' in done.stderr, 'plan goes on', done.stderr)
    found = world.check(emulator=world.where / 'qemu-7.2.22.qmp')
    check(found and found[0] == 'error' and found[2].endswith(': not a program'), 'one that is no program', found)
    world.does('answer', 'none-such')
    found = world.check()
    check(found and found[0] == 'error' and 'greeting is missing' in found[2], 'one that is no QEMU', found)
    done = world.ask('plan', iommu=REQUEST)
    check(done.returncode == 0 and 'note: ' in done.stderr, 'plan goes on', done.stderr)
    world.does('hang')
    before = time.monotonic()
    found = world.check()
    took = time.monotonic() - before
    check(found and found[0] == 'error' and 'does not answer' in found[2] and took < LIMIT + 5, 'one that hangs',
          found, took)
    check(all(isGone(line.split()[1]) for line in world.runs()), 'no emulator is left running')


def testUser(world, check):
    """Who is not root runs it as themselves."""
    world.does('answer', 'qemu-11.1.2')
    os.chown(world.home, SOMEBODY, SOMEBODY)
    shutil.rmtree(world.home / '.cache')
    how = {'user': SOMEBODY, 'group': SOMEBODY, 'extra_groups': []}
    before = len(world.runs())
    try:
        found = world.check(**how)
    except PermissionError:
        check(True, 'as another user # SKIP the program cannot be reached by all')
        return
    check(found is None and len(world.runs()) == before + 1 and f'user={SOMEBODY},' in world.runs()[-1] and
          'nnp=1' in world.runs()[-1], 'another user runs it as themselves', found, world.runs()[-1])
    cache = world.home / '.cache' / 'viommu' / 'qemu'
    check([path.stat().st_uid for path in cache.iterdir()] == [SOMEBODY], 'and keeps the answers')


def main():
    viommu, root, fake = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
    count = failed = 0
    isRoot = os.geteuid() == 0

    def check(good, name, *words):
        nonlocal count, failed
        count += 1
        failed += not good
        print(f'{"" if good else "not "}ok {count} - {name}')
        for word in words if not good else ():
            print(f'# {str(word).strip()}')

    with tempfile.TemporaryDirectory(prefix='viommu-test-', dir=TRUSTED if isRoot else None) as where:
        world = World(viommu, root, fake, pathlib.Path(where).resolve())
        if isRoot:
            for test in (testRights, testOld, testNotAsked, testOthers, testUser, testUnusable):
                test(world, check)
        else:
            testTheirs(world, check)
            check(True, "a program of root's # SKIP needs root")
    print(f'1..{count}')
    return bool(failed)


if __name__ == '__main__':
    sys.exit(main())
