# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU command lines as data."""

import json
import shlex

FLAGS_WITHOUT_VALUE = ("-S", "-nodefaults", "-no-user-config", "-no-shutdown", "-no-reboot",
                       "-nographic", "-daemonize", "-enable-kvm")


def pairs(words):
    """[(option, value or None)] of a list of words; a program's name may come first."""
    out = []
    words = iter(words[1:] if words and words[0].startswith("/") else words)
    for word in words:
        if not word.startswith("-"):
            raise ValueError(f"'{word}' stands where an option is due")
        out.append((word, None if word in FLAGS_WITHOUT_VALUE else next(words)))
    return out


def objectOf(option, value):
    """The dict of a -device or -object in JSON form, else None."""
    if option in ("-device", "-object") and value and value.startswith("{"):
        return json.loads(value)
    return None


def kindOf(thing):
    return thing.get("driver") or thing.get("qom-type")


def words(text):
    """The words of a command line, or of one argument pair per line, quoted for a shell."""
    return shlex.split(text, comments=False)


def nativeWords(text):
    """The command in what `virsh domxml-to-native qemu-argv` prints, without its environment."""
    all_ = words(text)
    return all_[next(i for i, word in enumerate(all_) if "=" not in word):]


def machineProperties(option_pairs):
    """{name: value} of all -machine options."""
    found = {}
    for option, value in option_pairs:
        if option == "-machine":
            for part in value.split(","):
                name, _, setting = part.partition("=")
                found[name] = setting
    return found
