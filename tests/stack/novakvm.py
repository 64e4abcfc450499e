# SPDX-License-Identifier: LGPL-2.1-or-later
"""A libvirtd that seems to have KVM for aarch64, in front of the one of a described host.

Here libvirt takes a domain for aarch64 only as an emulated one. So a few words of a domain are
others behind this relay, on the way to libvirt and back: viommud, in front of it, gets and gives
the domain that it would get and give on an Arm server.
"""

import contextlib
import os
import re
import socket
import struct
import threading

from golden import emulatable
from rpcclient import CALL, CREATE, DEFINE, DEFINE_FLAGS, HEADER, OK, REPLY, XML_DESC, string

SOCKET = "/run/kvm/libvirt-sock"
LIBVIRT_SOCKET = "/run/libvirt/libvirt-sock"


def accelerated(xml):
    """Undoes golden.emulatable(). libvirt has given the guest the GICv2 of emulated ones, too."""
    xml = re.sub(r"""(<domain\b[^>]*?\btype=)(['"])qemu\2""", r"\1\2kvm\2", xml, count=1)
    xml = re.sub(r"""(<cpu\b[^>]*?\bmode=)(['"])maximum\2""", r"\1\2host-passthrough\2", xml,
                 count=1)
    return xml.replace("<gic version='2'/>", "<gic version='3'/>")


def _changed(data, change):
    """The frame with another text in the place of the first, which its payload begins with."""
    size = struct.unpack_from(">I", data, HEADER.size)[0]
    begin = HEADER.size + 4
    text = data[begin:begin + size].decode()
    rest = data[begin + size + -size % 4:]
    data = data[4:HEADER.size] + string(change(text)) + rest
    return struct.pack(">I", len(data) + 4) + data


def _toLibvirt(data):
    _, _, _, procedure, kind, _, _ = HEADER.unpack_from(data)
    known = kind == CALL and procedure in (CREATE, DEFINE, DEFINE_FLAGS)
    return _changed(data, emulatable) if known else data


def _toClient(data):
    _, _, _, procedure, kind, _, status = HEADER.unpack_from(data)
    known = kind == REPLY and status == OK and procedure == XML_DESC
    return _changed(data, accelerated) if known else data


def _pass(source, target, change):
    """Frame by frame, until one side is gone. Nova passes no descriptors."""
    with contextlib.suppress(OSError), source.makefile("rb") as frames:
        while len(length := frames.read(4)) == 4:
            target.sendall(change(length + frames.read(struct.unpack(">I", length)[0] - 4)))
        target.shutdown(socket.SHUT_WR)


class Kvm:
    """with Kvm(host): SOCKET in the host is a libvirt's that has KVM"""

    def __init__(self, host):
        self.host = host
        self.listener = socket.socket(socket.AF_UNIX)

    def __enter__(self):
        path = self.host.path(SOCKET)
        os.mkdir(os.path.dirname(path))
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def _serve(self):
        # Ends when the listener is shut down.
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                libvirt = socket.socket(socket.AF_UNIX)
                libvirt.connect(self.host.path(LIBVIRT_SOCKET))
                for ends in ((client, libvirt, _toLibvirt), (libvirt, client, _toClient)):
                    threading.Thread(target=_pass, args=ends, daemon=True).start()

    def __exit__(self, *unused):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
