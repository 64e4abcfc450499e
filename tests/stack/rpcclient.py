# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt's RPC spoken by hand, so that it can be spoken wrongly too.

libvirt's own client makes no frame that is malformed. Here a frame is bytes, and every number in it
can be another one. To the other side of a connection the client is a process inside the described
host, of the user that was asked for.
"""

import array
import collections
import socket
import struct
import subprocess

from processes import SECONDS, childrenOf, innerPid

# Source of the numbers: libvirt's src/rpc/virnetprotocol.x and src/remote/remote_protocol.x.
REMOTE, KEEPALIVE, ADMIN = 0x20008086, 0x6B656570, 0x06900690
CALL, REPLY, MESSAGE, STREAM, CALL_WITH_FDS, REPLY_WITH_FDS, STREAM_HOLE = range(7)
OK, ERROR, CONTINUE = range(3)
HEADER = struct.Struct(">IIIiiIi")      # the length, which counts itself, and six more words
MESSAGE_MAX = 33554432                  # bytes of a message behind its length
STRING_MAX = 4194304
OPEN, CREATE, DEFINE, XML_DESC, NETWORK_XML_DESC, NETWORK_LOOKUP, AUTH_LIST, AUTH_POLKIT = (
    1, 10, 11, 14, 43, 46, 66, 70)
LIB_VERSION, ATTACH_FLAGS, SNAPSHOT_CREATE, VOL_DOWNLOAD, UNDEFINE, DEFINE_FLAGS, RESTORE_PARAMS = (
    157, 160, 185, 209, 231, 350, 441)
PING = 1                                # a procedure of KEEPALIVE
UNDEFINE_NVRAM = 4                      # a flag of UNDEFINE
POLKIT = 2                              # one of the answers to AUTH_LIST
TYPED_STRING = 7

Frame = collections.namedtuple("Frame", "program version procedure kind serial status payload")
Failure = collections.namedtuple("Failure", "code domain message")

# The process inside the host: connects to each path that it reads, hands out the connection, and
# stays, as libvirtd asks polkit about the process that connected.
CONNECTOR = """
import socket
link = socket.socket(fileno=0)
while path := link.recv(200):
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path.decode())
            socket.send_fds(link, [b"+"], [connection.fileno()])
    except OSError as error:
        link.send(str(error).encode())
"""


class Refused(Exception):
    """A connection that could not be opened; the text says why."""


def word(value):
    return struct.pack(">I", value & 0xFFFFFFFF)


def string(text, length=None):
    """XDR's string; @length is what it says of itself, if that is not the truth."""
    data = text.encode() if isinstance(text, str) else text
    return word(len(data) if length is None else length) + data + bytes(-len(data) % 4)


def nullable(text):
    return word(0) if text is None else word(1) + string(text)


def domainRef(name, uuid=bytes(16)):
    return string(name) + uuid + word(-1)


def typedString(name, value):
    return string(name) + word(TYPED_STRING) + value


def frame(procedure, payload=b"", kind=CALL, serial=1, status=OK, program=REMOTE, length=None):
    size = HEADER.size + len(payload) if length is None else length
    return HEADER.pack(size, program, 1, procedure, kind, serial, status) + payload


def failureOf(reply):
    """The error in a reply, or None."""
    if reply.status != ERROR:
        return None
    code, domain, given = struct.unpack_from(">iiI", reply.payload)
    size = struct.unpack_from(">I", reply.payload, 12)[0] if given else 0
    return Failure(code, domain, reply.payload[16:16 + size].decode("utf-8", "replace"))


class Connector:
    """with Connector(host, "--reuid=65534") as connector: client = connector.connect(path)

    @become is how setpriv makes the process another user's; without it it is root's.
    """

    def __init__(self, host, *become):
        self.link, other = socket.socketpair()
        self.link.settimeout(SECONDS)
        with other:
            self.process = subprocess.Popen(
                **host.command("setpriv", *become, "python3", "-c", CONNECTOR), stdin=other)

    def __enter__(self):
        return self

    def connect(self, path):
        self.link.send(path.encode())
        said, descriptors, _, _ = socket.recv_fds(self.link, 200, 1)
        if not descriptors:
            raise Refused(said.decode())
        return Client(socket.socket(fileno=descriptors[0]))

    def pid(self):
        """The number of its process, as the host sees it; there once it has connected."""
        (pid,) = childrenOf(self.process.pid)
        return innerPid(pid)

    def __exit__(self, *unused):
        self.link.close()
        self.process.wait()


class Client:
    """One connection. What arrives is read frame by frame, and None is the end of it."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(SECONDS)
        self.serial = 0

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def send(self, data, descriptors=()):
        """The descriptors come with the first byte."""
        if descriptors:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
            data = data[self.socket.sendmsg([data[:1]], rights):]
        self.socket.sendall(data)

    def sendWhatFits(self, data):
        """Sends until the other side takes no more for now; returns the number of bytes."""
        self.socket.setblocking(False)
        sent = 0
        try:
            while sent < len(data):
                sent += self.socket.send(data[sent:sent + 65536])
        except BlockingIOError:
            pass
        self.socket.settimeout(SECONDS)
        return sent

    def endOfInput(self):
        """The other side reads an end, and can still write."""
        self.socket.shutdown(socket.SHUT_WR)

    def _read(self, size):
        data = bytearray()
        while len(data) < size:
            try:
                some = self.socket.recv(size - len(data))
            except ConnectionResetError:
                some = b""
            if not some:
                return None
            data += some
        return bytes(data)

    def receive(self):
        length = self._read(4)
        rest = self._read(struct.unpack(">I", length)[0] - 4) if length else None
        if rest is None:
            return None
        return Frame(*struct.unpack_from(">IIiiIi", rest), rest[HEADER.size - 4:])

    def reply(self, serial):
        """The reply with that serial; what comes before it is dropped."""
        while got := self.receive():
            if got.kind in (REPLY, REPLY_WITH_FDS) and got.serial == serial:
                return got
        return None

    def call(self, procedure, payload=b"", **how):
        """The reply to that call, or None."""
        self.serial += 1
        self.send(frame(procedure, payload, serial=self.serial, **how))
        return self.reply(self.serial)

    def must(self, procedure, payload=b""):
        """The payload of the reply; raises Refused."""
        reply = self.call(procedure, payload)
        if reply is None:
            raise Refused("the connection was closed")
        if failureOf(reply):
            raise Refused(failureOf(reply).message)
        return reply.payload

    def open(self):
        """What libvirt's client does first; returns the client."""
        offered = self.must(AUTH_LIST)
        if POLKIT in struct.unpack(f">{len(offered) // 4}I", offered)[1:]:
            self.must(AUTH_POLKIT)
        self.must(OPEN, nullable("qemu:///system") + word(0))
        return self

    def works(self):
        """Whether an ordinary call is answered."""
        reply = self.call(LIB_VERSION)
        return reply is not None and reply.status == OK and len(reply.payload) == 8
