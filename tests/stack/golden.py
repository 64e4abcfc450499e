# SPDX-License-Identifier: LGPL-2.1-or-later
"""The golden cases as the stack tests see them, and the program under test.

CASE.HOST.xml beside CASE.HOST.args in tests/qemuxml2argvdata is an expanded domain with the
arguments that `viommu argv` gives for it on the recorded host tests/hosts/HOST.sysfs. Made from
CASE.xml, with CASE.network.xml and the versions of peers in CASE.opts if these are there.
"""

import collections
import os
import re
import subprocess

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = os.path.join(TESTS, "qemuxml2argvdata")

Golden = collections.namedtuple("Golden", "name host source networks options expanded args")


class ViommuError(Exception):
    """viommu did not exit as it should; the text is what it said."""


def readText(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def caseNetworks(base):
    """The files with networks of the case at path @base."""
    return [path for path in [base + ".network.xml"] if os.path.exists(path)]


def caseOptions(base):
    """The options with which viommu is called for that case."""
    options = [word for path in caseNetworks(base) for word in ("--network", path)]
    if os.path.exists(base + ".opts"):
        for line in readText(base + ".opts").splitlines():
            name, value = line.split()
            options += ["--policy" if name == "policy" else f"--{name}-version", value]
    return options


def goldenPairs():
    """All pairs for the newest libvirt, sorted by host and case. @source is the domain that was expanded."""
    pairs = []
    for name in sorted(os.listdir(DATA)) if os.path.isdir(DATA) else []:
        match = re.fullmatch(r"(.+)\.([^.]+)\.args", name)
        if match and os.path.exists(os.path.join(DATA, name[:-len("args")] + "xml")):
            case, host = match.groups()
            source = os.path.join(DATA, case)
            base = f"{source}.{host}"
            pairs.append(Golden(f"{case}.{host}", host, f"{source}.xml", caseNetworks(source),
                                caseOptions(source), f"{base}.xml", f"{base}.args"))
    pairs = [pair for pair in pairs if "--libvirt-version" not in pair.options]
    return sorted(pairs, key=lambda pair: (pair.host, pair.name))


def ofClass(findings, name):
    """[(severity, text)] of what viommu check's JSON has of that class; notes only if there is nothing else."""
    found = [(finding["severity"], finding["text"]) for finding in findings if finding["id"] == name]
    return [finding for finding in found if finding[0] != "note"] or found


def manifest(host):
    return os.path.join(TESTS, "hosts", f"{host}.sysfs")


def emulatable(xml):
    """The domain as a machine without KVM takes it: two words change, nothing else."""
    xml = re.sub(r"""(<domain\b[^>]*?\btype=)(['"])kvm\2""", r"\1\2qemu\2", xml, count=1)
    return re.sub(r"""(<cpu\b[^>]*?\bmode=)(['"])host-passthrough\2""", r"\1\2maximum\2", xml,
                  count=1)


def viommuDone(host, *args, stdin=None):
    """What became of `viommu --host MANIFEST ARGS…`."""
    program = os.environ.get("VIOMMU") or os.path.join(os.path.dirname(TESTS),
                                                       "build/tools/viommu")
    return subprocess.run([program, "--host", manifest(host)] + list(args), input=stdin or "",
                          capture_output=True, text=True)


def viommu(host, *args, stdin=None, statuses=(0,)):
    """Standard output of that, which ends with one of @statuses."""
    done = viommuDone(host, *args, stdin=stdin)
    if done.returncode not in statuses:
        raise ViommuError(f"viommu {' '.join(args)}: exit status {done.returncode}\n"
                          f"{done.stderr}{done.stdout}")
    return done.stdout
