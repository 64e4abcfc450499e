#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How `viommu --emulator` runs an emulator, and what it keeps of the answers.

Usage: emulator-test.py VIOMMU SOURCE_ROOT FAKEQEMU

The emulator is fakeqemu.c, so that every run leaves a line, and an emulator can be one that never ends."""

import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

LIMIT = 10  # seconds, as in qemuask.c


class World:
    """A home, and an emulator that can be told what to do."""

    def __init__(self, viommu, root, fake, where):
        self.viommu, self.root, self.home = viommu, root, where / 'home'
        self.home.mkdir(mode=0o700)
        self.emulator = where / 'emulator' / 'qemu'
        self.emulator.parent.mkdir()
        shutil.copy(fake, self.emulator)
        self.does('answer', 'qemu-11.1.2')

    def does(self, what, name=None):
        text = f'{what} {self.root}/tests/qmpdata/{name}.qmp' if name else what
        self.emulator.with_name('qemu.does').write_text(text + '\n')

    def runs(self):
        path = self.emulator.with_name('qemu.runs')
        return len(path.read_text().splitlines()) if path.exists() else 0

    def pids(self):
        return [int(line.split()[1]) for line in self.emulator.with_name('qemu.runs').read_text().splitlines()]

    def command(self, emulator=None):
        return [self.viommu, '--host', self.root / 'tests' / 'hosts' / 'no-smmu.sysfs', 'host', '--emulator',
                emulator or self.emulator]

    def environment(self):
        return {'LC_ALL': 'C.UTF-8', 'HOME': str(self.home), 'PATH': os.environ['PATH']}

    def ask(self, emulator=None, **environment):
        return subprocess.run(self.command(emulator), capture_output=True, text=True, check=False, timeout=60,
                              env=self.environment() | environment)

    def cache(self):
        return self.home / '.cache' / 'viommu' / 'qemu'

    def kept(self):
        return sorted(self.cache().iterdir()) if self.cache().exists() else []


def finds(done, version):
    return done.returncode == 0 and f'QEMU {version}' in done.stdout


def isGone(group):
    """No process of that group runs; waiting for whoever reaps it does not count."""
    for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
        try:
            state, _, pgrp = path.read_text().rpartition(')')[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state != 'Z':
            return False
    return True


def testKept(world, check):
    check(finds(world.ask(), '11.1.2') and world.runs() == 1, 'an emulator is asked')
    check(finds(world.ask(), '11.1.2') and world.runs() == 1, 'and not again')
    files = world.kept()
    check(len(files) == 1 and stat.S_IMODE(files[0].stat().st_mode) == 0o600 and
          stat.S_IMODE(world.cache().stat().st_mode) == 0o700, 'the answers are kept in one private file')
    time.sleep(0.02)
    os.utime(world.emulator)
    world.does('answer', 'qemu-7.2.22')
    check(finds(world.ask(), '7.2.22') and world.runs() == 2, 'one that has changed is asked again')
    time.sleep(0.02)
    before = world.emulator.stat()
    os.utime(world.emulator, ns=(before.st_atime_ns, before.st_mtime_ns))
    check(finds(world.ask(), '7.2.22') and world.runs() == 3, 'one that says that it has not, too, by its ctime')
    copy = world.emulator.with_name('qemu-copy')
    shutil.copy2(world.emulator, copy)
    for suffix in ('.does', '.runs'):
        shutil.copy(str(world.emulator) + suffix, str(copy) + suffix)
    copy.with_name('qemu-copy.does').write_text(f'answer {world.root}/tests/qmpdata/made-rfc-accel.qmp\n')
    check(finds(world.ask(copy), '9.2.50'), 'one at another path is another')
    check(finds(world.ask(), '7.2.22') and world.runs() == 3, 'which leaves the first as it is')


def testForeign(world, check):
    """What is kept counts only if nobody else can have written it, and if it can be read."""
    def asksAgain(change, what):
        world.does('answer', 'qemu-11.1.2')
        world.ask()
        world.does('answer', 'qemu-7.2.22')
        before = world.runs()
        file = max(world.kept(), key=lambda path: path.stat().st_mtime_ns)
        change(file)
        done = world.ask()
        check(finds(done, '7.2.22') and world.runs() == before + 1, what, done.stderr, str(done.returncode))
        shutil.rmtree(world.cache())

    def toLink(file):
        file.rename(world.home / 'elsewhere')
        file.symlink_to(world.home / 'elsewhere')

    shutil.rmtree(world.cache())
    asksAgain(lambda file: file.chmod(0o620), 'what a group may write is not used')
    asksAgain(lambda file: file.parent.chmod(0o777), 'nor what is where everybody may write')
    asksAgain(lambda file: file.write_text('nothing\n'), 'nor what is something else')
    asksAgain(lambda file: file.write_text(file.read_text()[:-2000]), 'nor what is not whole')
    asksAgain(lambda file: file.write_bytes(file.read_bytes() + b'\0' * 4000000), 'nor what is too long')
    asksAgain(toLink, 'nor a link')
    if os.geteuid() == 0:
        asksAgain(lambda file: os.chown(file, 65534, 65534), "nor another user's file")
        asksAgain(lambda file: os.chown(file.parent, 65534, 65534), "nor what is in another user's directory")
    else:
        check(True, "nor another user's file # SKIP needs root")
        check(True, "nor what is in another user's directory # SKIP needs root")


def testUnkept(world, check):
    world.does('answer', 'qemu-11.1.2')
    blocked = world.home / 'file'
    blocked.write_text('')
    check(finds(world.ask(XDG_CACHE_HOME=str(blocked)), '11.1.2'), 'without a cache it works too')
    check(not [path for path in world.kept() if path.suffix != '.qmp'], 'nothing half-written is left')
    before = len(world.kept())
    script = world.root / 'tests' / 'emulators' / 'qemu-11.1.2'
    check(finds(world.ask(script), '11.1.2') and len(world.kept()) == before, 'the answers of a script are not kept')
    os.utime(world.emulator)
    world.does('answer', 'none-such')
    done = world.ask()
    check(done.returncode == 3 and 'greeting is missing' in done.stderr and len(world.kept()) == before,
          'nor those of what is no QEMU')


def testLimits(world, check):
    os.utime(world.emulator)
    world.does('flood')
    done = world.ask()
    check(done.returncode == 3 and 'says more than QEMU would ever say' in done.stderr, 'a flood is cut off')
    for what in ('hang', 'close'):
        world.does(what)
        before = time.monotonic()
        done = world.ask()
        took = time.monotonic() - before
        check(done.returncode == 3 and took < LIMIT + 5, f'{what}: it ends', f'{took:.1f} s', done.stderr)
    world.does('wait')
    before = world.runs()
    with subprocess.Popen(world.command(), env=world.environment(), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as asking:
        end = time.monotonic() + LIMIT / 2
        while world.runs() == before and time.monotonic() < end:
            time.sleep(0.02)
        asking.terminate()
    check(world.runs() == before + 1 and asking.returncode == -signal.SIGTERM, 'asking can be interrupted')
    time.sleep(0.2)
    check(all(isGone(pid) for pid in world.pids()), 'no emulator is left running')


def main():
    viommu, root, fake = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
    count = failed = 0

    def check(good, name, *words):
        nonlocal count, failed
        count += 1
        failed += not good
        print(f'{"" if good else "not "}ok {count} - {name}')
        for word in words if not good else ():
            print(f'# {word.strip()}')

    with tempfile.TemporaryDirectory() as where:
        world = World(viommu, root, fake, pathlib.Path(where))
        for test in (testKept, testForeign, testUnkept, testLimits):
            test(world, check)
    print(f'1..{count}')
    return bool(failed)


if __name__ == '__main__':
    sys.exit(main())
