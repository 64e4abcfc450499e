# SPDX-License-Identifier: LGPL-2.1-or-later
"""A relay before libvirt's socket that kills whoever is connected, at a message of its choice."""

import contextlib
import os
import signal
import socket
import struct
import threading

BEFORE, BETWEEN, AFTER = "before libvirt has message", "when libvirt has message", "when libvirt has answered message"
MOMENTS = (BEFORE, BETWEEN, AFTER)
LENGTH = struct.Struct(">I")
PROCEDURE = struct.Struct(">12xI")      # behind the length, the program and its version
# How long libvirt may take to answer, and a relay to end.
SECONDS = 60


def receive(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ConnectionError
        data += piece
    return data


def frame(connection):
    head = receive(connection, LENGTH.size)
    return head + receive(connection, LENGTH.unpack(head)[0] - LENGTH.size)


def peerOf(connection):
    return struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


class KillRelay:
    """with KillRelay("/run/libvirt/libvirt-sock", AFTER, 3, path) as relay: …

    It listens on @path, and sends SIGKILL to the first peer of which message @number comes (from 1; 0: to none), or
    message @number of those with @procedure. Then @killed is true.
    """

    def __init__(self, libvirt, moment, number, path, procedure=None):
        self.libvirt, self.moment, self.number, self.path = libvirt, moment, number, path
        self.procedure = procedure
        self.killed = False
        self.listener = socket.socket(socket.AF_UNIX)
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        with shortPath(self.path) as path:
            self.listener.bind(path)
        self.listener.listen()
        self.thread.start()
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(SECONDS)
        os.unlink(self.path)

    def _serve(self):
        served = []
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                served.append(threading.Thread(target=self._relay, args=(client,), daemon=True))
                served[-1].start()
        for thread in served:
            thread.join(SECONDS)

    def _kill(self, pid):
        if not self.killed:
            self.killed = True
            os.kill(pid, signal.SIGKILL)

    def _relay(self, client):
        pid, answered = peerOf(client), threading.Event()
        with client, socket.socket(socket.AF_UNIX) as libvirt:
            with shortPath(self.libvirt) as path:
                libvirt.connect(path)
            back = threading.Thread(target=self._answers, args=(client, libvirt, pid, answered), daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                self._calls(client, libvirt, pid, answered)
            # libvirt may still be at work: it ends the connection when it has done it.
            with contextlib.suppress(OSError):
                libvirt.shutdown(socket.SHUT_WR)
            back.join(SECONDS)

    def _calls(self, client, libvirt, pid, answered):
        count = 0
        while True:
            data = frame(client)
            counts = self.procedure in (None, PROCEDURE.unpack_from(data)[0])
            count += counts
            chosen = counts and count == self.number
            if chosen and self.moment == BEFORE:
                self._kill(pid)
                return
            if chosen and self.moment == AFTER:
                answered.set()
            libvirt.sendall(data)
            if chosen and self.moment == BETWEEN:
                self._kill(pid)
                return

    def _answers(self, client, libvirt, pid, answered):
        with contextlib.suppress(OSError):
            while True:
                data = frame(libvirt)
                if answered.is_set():
                    self._kill(pid)
                client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def shortPath(path):
    """The same file by a path that fits into the address of a socket."""
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{os.path.basename(path)}"
    finally:
        os.close(directory)
