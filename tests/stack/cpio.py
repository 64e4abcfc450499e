# SPDX-License-Identifier: LGPL-2.1-or-later
"""Archives that Linux takes as an initramfs, or as tables in front of one."""


def newc(files):
    """A "newc" archive of {path: (mode, data)}; directories have data None."""
    out = bytearray()
    entries = list(files.items()) + [("TRAILER!!!", (0, b""))]
    for number, (path, (mode, data)) in enumerate(entries, 1):
        name = path.encode("ascii") + b"\0"
        content = data or b""
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + name
        out += bytes(-len(out) % 4) + content
        out += bytes(-len(out) % 4)
    return bytes(out)
