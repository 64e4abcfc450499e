# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's archive as this machine's apt knows it.

No package host is named in the tests: the mirror, the trusted keys and the download options are
those with which the machine itself is installed. What cannot be had is Unavailable, with a
reason for a skip.
"""

import os
import shutil
import subprocess

# Download options that are handed on to an apt with a configuration of its own.
PASSED_ON = ("Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Valid-Until",
             "Acquire::Check-Date")
MIRROR_FORMAT = "$(ORIGIN)|$(CODENAME)|$(REPO_URI)"


class Unavailable(Exception):
    """Something from the archive cannot be had here; the text says why."""


def findProgram(name):
    path = shutil.which(name)
    if not path:
        raise Unavailable(f"'{name}' is not installed")
    return path


def runTool(argv, what, **kwargs):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("E:")] or lines[-1:]
        raise Unavailable(f"{what}: " + "; ".join(errors)[:500])
    return done.stdout


def _mirror():
    """The address from which this machine installs Debian, or None while apt has no index of it."""
    targets = runTool([findProgram("apt-get"), "indextargets", "--format", MIRROR_FORMAT,
                       "Created-By: Packages"], "apt has no list of sources")
    for line in targets.splitlines():
        origin, codename, mirror = line.split("|", 2)
        if origin == "Debian" and not codename.endswith("-security"):
            return mirror
    return None


def sourceLine(suite):
    """The sources.list line of @suite on the mirror that this machine uses for Debian."""
    mirror = _mirror()
    if mirror is None:
        runTool(["apt-get", "update"], "apt has no index of Debian here")
        mirror = _mirror()
    if mirror is None:
        raise Unavailable("apt knows no mirror of Debian here")
    return f"deb {mirror} {suite} main"


def passedOnOptions():
    """[(name, value)] of the download options that are set on this machine."""
    options = []
    for name in PASSED_ON:
        dump = runTool([findProgram("apt-config"), "dump", "--no-empty", "--format", "%v", name],
                       "apt-config")
        if dump.strip():
            options.append((name, dump.strip()))
    return options


class ForeignArchive:
    """An apt of its own, below @directory, for another suite and architecture."""

    def __init__(self, directory, suite, arch):
        for name in ("lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(directory, name))
        sources = os.path.join(directory, "sources.list")
        with open(sources, "w", encoding="utf-8") as f:
            f.write(sourceLine(suite) + "\n")
        settings = {"Dir::Etc::SourceList": sources, "Dir::Etc::SourceParts": "/dev/null",
                    "Dir::Etc::PreferencesParts": "/dev/null",
                    "Dir::State::Lists": os.path.join(directory, "lists"),
                    "Dir::State::Status": "/dev/null",
                    "Dir::Cache": os.path.join(directory, "cache"),
                    "APT::Architecture": arch, "APT::Architectures": arch,
                    "APT::Sandbox::User": "root", "Acquire::Languages": "none"}
        settings.update(passedOnOptions())
        self.options = [arg for key, value in settings.items() for arg in ("-o", f"{key}={value}")]
        self._apt("apt-get", "update", "--error-on=any", what=f"no index of {suite} for {arch}")

    def _apt(self, tool, *args, what, **kwargs):
        return runTool([findProgram(tool)] + self.options + list(args), what, **kwargs)

    def dependency(self, package, prefix):
        """The name of the first dependency of @package that starts with @prefix."""
        for line in self._apt("apt-cache", "depends", "--important", package,
                              what=f"no package {package}").splitlines():
            kind, _, name = line.strip().partition(" ")
            if kind == "Depends:" and name.startswith(prefix):
                return name
        raise Unavailable(f"package {package} depends on no {prefix}*")

    def unpack(self, package, directory):
        """Downloads @package and unpacks its files into @directory; nothing is installed."""
        store = os.path.join(directory, ".deb")
        os.makedirs(store)
        self._apt("apt-get", "download", package, what=f"cannot fetch {package}", cwd=store)
        (deb,) = os.listdir(store)
        runTool([findProgram("dpkg-deb"), "-x", os.path.join(store, deb), directory],
                f"cannot unpack {package}")
        shutil.rmtree(store)
