# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a hostile client sends in one go: messages that libvirt's own client never makes.

The outcome is what libvirtd does with it when nothing is in between.
"""

import collections

from rpcclient import (ADMIN, ATTACH_FLAGS, CALL_WITH_FDS, CONTINUE, CREATE, DEFINE, DEFINE_FLAGS,
                       ERROR, KEEPALIVE, LIB_VERSION, MESSAGE, MESSAGE_MAX, OK, REPLY,
                       REPLY_WITH_FDS, RESTORE_PARAMS, SNAPSHOT_CREATE, STREAM, STREAM_HOLE,
                       STRING_MAX, VOL_DOWNLOAD, domainRef, frame, string, typedString, word)

# The first message is answered; with an error, whoever's; not at all; the connection is closed.
# Unless it is closed, it goes on.
ANSWERED, REFUSED, IGNORED, CLOSED = "answered", "refused", "ignored", "closed"
# @parts: [(bytes, number of descriptors that come with them)]
Case = collections.namedtuple("Case", "name parts outcome")

HUGE = 2**32 - 1
DESCRIPTORS_MAX = 253       # the kernel's SCM_MAX_FD
GARBAGE = bytes(range(256)) * 4
XML = "<domain/>"
ENTITY = "<!DOCTYPE domain [<!ENTITY a 'b'>]><domain><iommu model='smmuv3' nested='yes'/></domain>"
# Calls with XML: procedure, what is before the XML, what is behind it.
XML_CALLS = {"define": (DEFINE, b"", b""),
             "define with flags": (DEFINE_FLAGS, b"", word(0)),
             "create": (CREATE, b"", word(0)),
             "attach": (ATTACH_FLAGS, domainRef("none"), word(0)),
             "snapshot": (SNAPSHOT_CREATE, domainRef("none"), word(0)),
             "restore": (RESTORE_PARAMS, word(1) + string("dxml") + word(7), word(0))}


def alone(name, data, outcome):
    return Case(name, [(data, 0)], outcome)


def lengths():
    for length in (0, 3, 4, 27, MESSAGE_MAX + 5, 2**31, HUGE):
        yield alone(f"length {length}", frame(LIB_VERSION, length=length), CLOSED)
    yield alone("length 28, the shortest", frame(LIB_VERSION), ANSWERED)
    yield alone("length 29", frame(LIB_VERSION, b"x"), ANSWERED)
    yield alone("the longest message", frame(LIB_VERSION, bytes(MESSAGE_MAX - 24)), ANSWERED)
    yield alone("the longest definition", frame(DEFINE, string(XML) + bytes(MESSAGE_MAX - 40)),
                REFUSED)
    yield alone("the longest of no known type", frame(DEFINE, bytes(MESSAGE_MAX - 24), kind=9),
                IGNORED)


def headers():
    for kind in (REPLY, MESSAGE, STREAM, STREAM_HOLE, REPLY_WITH_FDS, 7, -1):
        for procedure in (LIB_VERSION, DEFINE):
            yield alone(f"a message of type {kind}, procedure {procedure}",
                        frame(procedure, string(XML), kind=kind), IGNORED)
    yield alone("an error, as if from a server", frame(DEFINE, GARBAGE, kind=REPLY, status=ERROR),
                IGNORED)
    yield alone("data of a stream that is not there",
                frame(VOL_DOWNLOAD, GARBAGE, kind=STREAM, status=CONTINUE), IGNORED)
    yield alone("the end of a stream that is not there",
                frame(VOL_DOWNLOAD, kind=STREAM, status=OK), IGNORED)
    for status in (ERROR, CONTINUE, 3):
        yield alone(f"a call of status {status}", frame(LIB_VERSION, status=status), ANSWERED)
        yield alone(f"a definition of status {status}", frame(DEFINE, string(XML), status=status),
                    ANSWERED)
    yield alone("an unknown procedure", frame(99999, GARBAGE), ANSWERED)
    yield alone("a negative procedure", frame(-1, GARBAGE), ANSWERED)
    for program in (ADMIN, 0, HUGE):
        yield alone(f"program {program}", frame(DEFINE, string(XML), program=program), ANSWERED)
    call = frame(DEFINE, string(XML))
    yield alone("an unknown version", call[:8] + word(2) + call[12:], ANSWERED)
    yield alone("a keepalive of an unknown kind", frame(99, program=KEEPALIVE, kind=MESSAGE),
                IGNORED)
    yield alone("a keepalive with contents",
                frame(2, GARBAGE, program=KEEPALIVE, kind=MESSAGE), IGNORED)


def descriptors():
    """Each byte behind a message carries one descriptor. Those elsewhere are dropped."""
    def withFds(count, payload=b""):
        return frame(LIB_VERSION, word(count) + payload, kind=CALL_WITH_FDS)

    one = (b"\0", 1)
    for count in (33, 2**31, HUGE):
        yield alone(f"{count} descriptors announced", withFds(count), CLOSED)
    yield alone("descriptors without their number", frame(LIB_VERSION, kind=CALL_WITH_FDS), CLOSED)
    yield alone("0 descriptors", withFds(0), ANSWERED)
    for count in (1, 32):
        yield Case(f"{count} descriptors", [(withFds(count), 0)] + [one] * count, ANSWERED)
    yield Case("a definition with a descriptor",
               [(frame(DEFINE, word(1) + string(XML), kind=CALL_WITH_FDS), 0), one], ANSWERED)
    yield Case("a definition that viommu refuses, with descriptors",
               [(frame(DEFINE, word(32) + string(ENTITY), kind=CALL_WITH_FDS), 0)] + [one] * 32,
               REFUSED)
    yield alone("a byte without the descriptor", withFds(1) + b"\0", CLOSED)
    yield Case("two descriptors with one byte", [(withFds(1), 0), (b"\0", 2)], CLOSED)
    yield Case("many descriptors with one byte", [(withFds(1), 0), (b"\0", DESCRIPTORS_MAX)],
               CLOSED)
    yield Case("two descriptors with the first of two bytes", [(withFds(2), 0), (b"\0\0", 2)],
               CLOSED)
    yield Case("a descriptor too early", [(withFds(1), 1), (b"\0", 0)], CLOSED)
    yield Case("descriptors with an ordinary call", [(frame(LIB_VERSION), DESCRIPTORS_MAX)],
               ANSWERED)
    yield Case("descriptors with a definition", [(frame(DEFINE, string(XML)), DESCRIPTORS_MAX)],
               ANSWERED)
    yield Case("descriptors with every byte",
               [(bytes([byte]), DESCRIPTORS_MAX) for byte in frame(LIB_VERSION)], ANSWERED)
    yield Case("descriptors with a reply as if from a server",
               [(frame(DEFINE, word(1), kind=REPLY_WITH_FDS), 0)], IGNORED)


def arguments():
    """Lengths inside a call that are not true."""
    for name, (procedure, before, behind) in XML_CALLS.items():
        def call(xml, procedure=procedure, before=before, behind=behind):
            return frame(procedure, before + xml + behind)

        for length in (len(XML) + 8, STRING_MAX, STRING_MAX + 1, 2**31, HUGE - 3, HUGE):
            yield alone(f"{name}: a string of {length} bytes that are not there",
                        call(string(XML, length)), ANSWERED)
        yield alone(f"{name}: a string that is shorter than said",
                    call(string(XML, len(XML) - 4)), ANSWERED)
        yield alone(f"{name}: nothing", frame(procedure), ANSWERED)
        yield alone(f"{name}: half a length", frame(procedure, before + b"\0\0"), ANSWERED)
        yield alone(f"{name}: an empty string", call(string("")), ANSWERED)
        yield alone(f"{name}: padding that is not zero",
                    call(word(len(XML)) + XML.encode() + b"xyz"), ANSWERED)
        yield alone(f"{name}: no padding", frame(procedure, before + word(len(XML)) + XML.encode()),
                    ANSWERED)
        yield alone(f"{name}: more than the arguments",
                    frame(procedure, before + string(XML) + behind + GARBAGE), ANSWERED)
    for length in (STRING_MAX + 1, HUGE):
        yield alone(f"attach: a name of {length} bytes that are not there",
                    frame(ATTACH_FLAGS, string("none", length) + bytes(20) + string(XML) + word(0)),
                    ANSWERED)
    restore = (("a count of 4294967295 parameters", word(HUGE)),
               ("65 parameters", word(65) + typedString("dxml", string(XML)) * 65 + word(0)),
               ("a parameter of an unknown type", word(1) + string("dxml") + word(9) + word(0) * 2),
               ("a number for XML", word(1) + string("dxml") + word(1) + word(0) * 2),
               ("XML twice", word(2) + typedString("dxml", string(XML)) * 2 + word(0)),
               ("a parameter name of 4294967295 bytes", word(1) + string("dxml", HUGE) + word(0)))
    for name, payload in restore:
        yield alone(f"restore: {name}", frame(RESTORE_PARAMS, payload), ANSWERED)


CASES = [*lengths(), *headers(), *descriptors(), *arguments()]
# Messages that do not end.
UNFINISHED = (("nothing", b""),
              ("half a length", frame(LIB_VERSION)[:2]),
              ("half a header", frame(LIB_VERSION)[:20]),
              ("a header", frame(LIB_VERSION, length=MESSAGE_MAX + 4)),
              ("half a definition", frame(DEFINE, string(XML * 100))[:500]),
              ("half a long definition", frame(DEFINE, bytes(STRING_MAX))[:-4]),
              ("half the number of descriptors", frame(DEFINE, kind=CALL_WITH_FDS, length=32)),
              ("32 descriptors that do not come",
               frame(LIB_VERSION, word(32), kind=CALL_WITH_FDS)))
