#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real QEMUs of Debian testing, 13 and 12, asked by `viommu --emulator`.

What is found must be what the recorded answers of tests/qmpdata led to, and what this QEMU does: it takes the arguments
that were made for it, or has no vSMMU.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile

from golden import goldenPairs, readText, viommu
from tap import guarded
from tree import olderTree, runOnTree

PROGRAM = "qemu-system-aarch64"
# A recorded host and a domain for it, by their golden case.
CASE = "libvirt-two-smmus.grace"


@contextlib.contextmanager
def emulator(tree):
    """The path of a program that runs the tree's QEMU in it, and keeps no answers."""
    with tempfile.TemporaryDirectory() as where:
        path = os.path.join(where, PROGRAM)
        with open(path, "w", encoding="ascii") as script:
            script.write(f'#!/bin/sh\nexec chroot "{tree}" {PROGRAM} "$@"\n')
        os.chmod(path, 0o755)
        yield path


def versionOf(tree):
    """"11.1.2", as QEMU says it itself."""
    done = subprocess.run(["chroot", tree, PROGRAM, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.split("version ")[1].split()[0].split("(")[0]


def accepts(tree, device):
    """Whether QEMU knows every property of that device; it is listed, not made."""
    driver = device.pop("driver")
    done = subprocess.run(["chroot", tree, PROGRAM, "-M", "none", "-device", f"{driver},help"],
                          capture_output=True, text=True, check=False)
    known = {line.strip().split("=")[0] for line in done.stdout.splitlines()}
    return [name for name in device if name != "id" and name not in known]


def smmusOf(arguments):
    lines = [line.partition(" ") for line in arguments.splitlines()]
    devices = [json.loads(value.strip("'")) for option, _, value in lines if option == "-device" and "{" in value]
    return [device for device in devices if device["driver"] == "arm-smmuv3"]


def testNewest(tap, name, tree):
    case = next(case for case in goldenPairs() if case.name == CASE)
    with emulator(tree) as path:
        found = json.loads(viommu(case.host, "host", "--format", "json", "--emulator", path))["emulator"]
        tap.ok(found["version"] == versionOf(tree), f"{name}: QEMU's version", found["version"], versionOf(tree))
        tap.ok(found["dialect"] == "native" and found["accel"], f"{name}: its dialect is native", str(found))
        features = {feature: value["property"] for feature, value in found["features"].items()}
        tap.ok(all(features[feature] == feature for feature in features), f"{name}: all features by their names",
               str(features))
        tap.ok(found["features"]["ats"]["auto"], f"{name}: it takes features from the host")
        checked = viommu(case.host, "check", "--emulator", path, statuses=(0, 1))
        tap.ok(any("emulator" in line and ": PASS" in line for line in checked.splitlines()),
               f"{name}: the check of the host passes it", checked)
        options = ["argv", "--format", "json"]
        arguments = viommu(case.host, *options, "--emulator", path, case.source)
        tap.ok(arguments == readText(case.args), f"{name}: the arguments are those for the newest QEMU", arguments)
        tap.noProblems([name for device in smmusOf(arguments) for name in accepts(tree, device)],
                       f"{name}: QEMU knows every property of the vSMMUs")


def testOld(tap, name, tree):
    case = next(case for case in goldenPairs() if case.name == CASE)
    with emulator(tree) as path:
        found = json.loads(viommu(case.host, "host", "--format", "json", "--emulator", path))["emulator"]
        tap.ok(found["version"] == versionOf(tree), f"{name}: QEMU's version", found["version"], versionOf(tree))
        tap.ok(found["dialect"] is None and not found["accel"], f"{name}: it has no dialect", str(found))
        checked = viommu(case.host, "check", "--emulator", path, statuses=(1,))
        tap.ok(any("emulator" in line and ": FAIL" in line for line in checked.splitlines()),
               f"{name}: the check of the host does not pass it", checked)
        tap.ok(viommu(case.host, "argv", "--emulator", path, case.source, statuses=(1,)) == "",
               f"{name}: no arguments are made for it")


def testAll(tap, newest, trixie, bookworm):
    for test, name, tree in ((testNewest, "testing", newest), (testNewest, "13", trixie), (testOld, "12", bookworm)):
        with guarded(tap, f"Debian {name}"):
            test(tap, f"Debian {name}", tree)


if __name__ == "__main__":
    sys.exit(runOnTree(testAll, lambda _: olderTree("trixie"), lambda _: olderTree("bookworm")))
