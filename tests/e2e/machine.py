# SPDX-License-Identifier: LGPL-2.1-or-later
"""The emulated host: an Arm machine with several SMMUv3s under TCG, in which KVM guests run.

QEMU comes from the tree of tests/stack, in namespaces that end with it. What is asked of the host
goes to host-agent.py in it.
"""

import collections
import gzip
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

import artefacts
import stackpath  # noqa: F401, the modules of tests/stack
import topology
from cpio import newc
from tree import SUITE, stackTree

HERE = os.path.dirname(os.path.abspath(__file__))
FIRMWARE = "/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd"
# Where the directory of this run is inside the tree.
INSIDE = "/mnt"
BOOT_SECONDS = 180
COMMAND_SECONDS = 120
LIBVIRT_SECONDS = 90
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
START_QEMU = '''mount --bind "$1" "$3/mnt" && mount --bind -o ro "$2" "$3/mnt/first.img" &&
exec chroot "$3" /usr/bin/qemu-system-aarch64 "${@:4}"'''

# late: it was ended because it took too long.
Result = collections.namedtuple("Result", "returncode stdout stderr late")


class HostError(Exception):
    """The emulated host does not start or does not answer; the text says why."""


def guestInitramfs():
    """busybox and guest-init."""
    files = {"bin": (0o040755, None)}
    for name, path in (("bin/busybox", os.path.join(artefacts.tree(), "usr/bin/busybox")),
                       ("init", os.path.join(HERE, "guest-init"))):
        with open(path, "rb") as f:
            files[name] = (0o100755, f.read())
    return gzip.compress(newc(files), 1)


class EmulatedHost:
    """with EmulatedHost(programs) as host: host.run("virsh", "list") ..."""

    def __init__(self, programs, stage2=True, tables=None, kernel=None, initramfs=b"", files=None,
                 suite=SUITE):
        """@programs: ours for arm64. @tables: {name: bytes} of ACPI tables to put in the place of
        QEMU's; @files: more for the second disk, {name: path}; @suite: that of Debian whose libvirt and QEMU it has."""
        self.programs, self.stage2, self.tables, self.suite = programs, stage2, tables or {}, suite
        self.kernel, self.initramfs, self.files = kernel or artefacts.kernel(), initramfs, files or {}
        self.dir = self.qemu = self.agent = None

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="viommu-e2e-")
        try:
            self._layOut()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _layOut(self):
        second = self.path("second")
        os.mkdir(second)
        for name in ("host-init", "host-agent.py"):
            shutil.copy(os.path.join(HERE, name), second)
        for name, path in {**self.programs, "Image": artefacts.kernel(), **self.files}.items():
            subprocess.run(["cp", "-a", path, os.path.join(second, name)], check=True)
        with open(os.path.join(second, "guest.cpio.gz"), "wb") as f:
            f.write(guestInitramfs())
        with open(os.path.join(second, "now"), "w", encoding="ascii") as f:
            f.write(str(int(time.time())))
        artefacts.makeDisk(self.path("second.img"), second, "512M")
        shutil.rmtree(second)
        shutil.copyfile(self.kernel, self.path("Image"))
        open(self.path("first.img"), "wb").close()
        early = newc({f"kernel/firmware/acpi/{name}.aml": (0o100644, table)
                      for name, table in self.tables.items()}) if self.tables else b""
        with open(self.path("initrd"), "wb") as f:
            f.write(early + self.initramfs)
        topology.makeDrives(self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def _arguments(self):
        def disk(name, slot, options):
            return ["-drive", f"if=none,id={name},file={INSIDE}/{name}.img,format=raw,{options}",
                    "-device", f"virtio-blk-pci,drive={name},bus=pcie.0,addr={slot}"]

        argv = ["-nodefaults", "-display", "none", "-no-reboot"]
        argv += topology.arguments(INSIDE, self.stage2)
        argv += ["-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}",
                 "-kernel", f"{INSIDE}/Image",
                 "-append", "console=ttyAMA0 root=/dev/vda rw init=/e2e-init loglevel=5 panic=-1"]
        if os.path.getsize(self.path("initrd")):
            argv += ["-initrd", f"{INSIDE}/initrd"]
        argv += disk("first", 1, "snapshot=on") + disk("second", 2, "cache=unsafe")
        argv += ["-device", "virtio-rng-pci,bus=pcie.0,addr=3",
                 "-device", "virtio-serial-pci,bus=pcie.0,addr=5",
                 "-chardev", f"socket,id=agent,path={INSIDE}/agent,server=on,wait=off",
                 "-device", "virtserialport,chardev=agent,name=viommu.agent",
                 "-chardev", f"file,id=console,path={INSIDE}/console", "-serial", "chardev:console"]
        return argv

    def _start(self):
        with open(self.path("qemu-log"), "wb") as log:
            self.qemu = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--pid", "--net",
                 "--fork", "--kill-child", "--", "bash", "-c",
                 START_QEMU, "bash", self.dir, artefacts.image(self.suite), stackTree()] + self._arguments(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT)
        self._connect(time.monotonic() + BOOT_SECONDS)

    def _connect(self, end):
        self.agent = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.agent.connect(self.path("agent"))
                break
            except OSError:
                self._giveUp(end, "does not start")
        self.pending, self.asked = b"", 0
        self._answer(end)

    def _giveUp(self, end, what):
        if self.qemu.poll() is not None:
            raise HostError(f"the emulated host ended: {self.text('qemu-log')}"
                            f"{self.text('console')[-1500:]}")
        if time.monotonic() > end:
            raise HostError(f"the emulated host {what}: {self.text('console')[-1500:]}")
        time.sleep(0.1)

    def _answer(self, end):
        """The answer to what was asked last; those that were given up come late and are dropped."""
        while True:
            answer = self._line(end)
            if answer["id"] == self.asked:
                return answer

    def _line(self, end):
        while b"\n" not in self.pending:
            self.agent.settimeout(1)
            try:
                part = self.agent.recv(1 << 16)
            except TimeoutError:
                part = b""
            except OSError as error:
                raise HostError(f"the emulated host is gone: {error}") from error
            self.pending += part
            if not part:
                self._giveUp(end, "does not answer")
        line, _, self.pending = self.pending.partition(b"\n")
        return json.loads(line)

    def ask(self, request, timeout):
        """The agent's answer to @request; an answer later than @timeout seconds is an error."""
        self.asked += 1
        self.agent.settimeout(timeout)
        try:
            self.agent.sendall(json.dumps({**request, "id": self.asked}).encode() + b"\n")
        except OSError as error:
            raise HostError(f"the emulated host is gone: {error}") from error
        answer = self._answer(time.monotonic() + timeout)
        if "error" in answer:
            raise HostError(f"{answer['error']}\n{answer.get('text', '')[-1500:]}")
        return answer

    def run(self, *argv, stdin="", timeout=COMMAND_SECONDS):
        """Runs a program in the host."""
        answer = self.ask({"run": argv, "stdin": stdin, "timeout": timeout}, timeout + 60)
        return Result(answer["status"], answer["stdout"], answer["stderr"], answer.get("late", False))

    def sh(self, script, *args, timeout=COMMAND_SECONDS):
        """Standard output of a shell script that must succeed."""
        done = self.run("sh", "-c", script, "sh", *args, timeout=timeout)
        if done.returncode:
            raise HostError(f"{script}: status {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def virsh(self, *args, stdin="", timeout=COMMAND_SECONDS):
        return self.run("virsh", "-q", *args, stdin=stdin, timeout=timeout)

    def viommu(self, *args, stdin=""):
        return self.run("/t/viommu", *args, stdin=stdin)

    def readFile(self, path):
        return self.ask({"read": path}, COMMAND_SECONDS)["text"]

    def text(self, name):
        """A file of the run, as text: "console", "qemu-log"."""
        if not os.path.exists(self.path(name)):
            return ""
        with open(self.path(name), encoding="utf-8", errors="replace") as f:
            return f.read()

    def startLibvirt(self):
        self.sh("libvirtd -d")
        end = time.monotonic() + LIBVIRT_SECONDS
        while self.virsh("version", timeout=LIBVIRT_SECONDS).returncode:
            if time.monotonic() > end:
                raise HostError(f"libvirtd does not answer: {self.virsh('version').stderr}")
            time.sleep(0.2)

    def restartLibvirt(self):
        """Its daemon reads its settings again."""
        self.sh('pid=$(cat /run/libvirtd.pid); kill "$pid"; while [ -e "/proc/$pid" ]; do sleep 0.1; done')
        self.startLibvirt()

    def __exit__(self, *unused):
        if self.agent:
            self.agent.close()
        if self.qemu:
            self.qemu.kill()     # unshare does not listen to SIGTERM; QEMU goes with it
            self.qemu.wait()
        shutil.rmtree(self.dir)
