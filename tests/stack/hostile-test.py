#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hostile client harms nobody but itself.

It sends what libvirt's own client never does (hostilecases.py, hostilexml.py), too much of it, or
too slowly, as an ordinary user and as root. It gets what libvirtd gives it directly. Meanwhile the
witness, an ordinary client with one connection that is open all the time and a new one each time,
gets his domains expanded. In the end nothing is left of it in viommud.
"""

import resource
import sys

import hostileload
from hostilecases import ANSWERED, CASES, CLOSED, IGNORED, REFUSED, UNFINISHED
from hostileload import defined
from hostilexml import DOCUMENTS, EXPANDED, NAME, PLAIN, SAME, domain
from hostileworld import DIRECT, DOMAIN, MARK, THROUGH, hostileWorld
from processes import memoryOf
from rpcclient import DEFINE, ERROR, LIB_VERSION, OK, REPLY, failureOf, frame, string
from tap import guarded
from tree import runOnTree

# Of memory: what reading XML may take, and what viommud itself may have more in the end.
MIB = 1024      # in the KiB of /proc
XML_MIB, OWN_MIB = 64, 4
OPEN_FILES = 8192
# The serial of an ordinary call behind others.
PROBE = 4711


def transcript(client, case):
    """What arrives, up to the answer to an ordinary call or the end (None)."""
    got = []
    try:
        for data, count in case.parts:
            client.send(data, [client.socket.fileno()] * count)
        if case.outcome in (ANSWERED, REFUSED):
            got.append(client.receive())
        client.send(frame(LIB_VERSION, serial=PROBE))
        return got + [client.receive()]
    except (BrokenPipeError, ConnectionResetError):
        return got + [None]


def isAsSaid(got, outcome):
    if outcome == CLOSED:
        return got == [None]
    if None in got or got[-1].serial != PROBE or got[-1].status != OK:
        return False
    first = got[0]
    return outcome == IGNORED or first.serial != PROBE and first.kind == REPLY and (
        outcome == ANSWERED or first.status == ERROR)


def brief(got):
    return [item and item._replace(payload=failureOf(item) or item.payload[:64]) for item in got]


def messages(tap, world):
    """The same bytes have the same answer as directly."""
    for who, connector in world.connectors.items():
        for case in CASES:
            with connector.connect(DIRECT).open() as direct, \
                    connector.connect(THROUGH).open() as through:
                first, second = transcript(direct, case), transcript(through, case)
                says = world.witness.says()
            good = isAsSaid(first, case.outcome) and isAsSaid(second, case.outcome)
            tap.ok(good and says == "well" and (first == second or case.outcome == REFUSED),
                   f"{who}, {case.name}: {case.outcome}",
                   f"directly: {brief(first)}", f"through viommud: {brief(second)}",
                   f"the witness: {says}")
    world.settled(tap, "after such messages")


def unfinished(tap, world):
    """Who does not end what he began waits for himself."""
    for who, connector in world.connectors.items():
        for name, data in UNFINISHED:
            with connector.connect(THROUGH).open() as client:
                client.send(data)
                world.witnessGoesOn(tap, f"{who}, {name}, then silence")
            with connector.connect(THROUGH).open() as client:
                client.send(data)
                client.endOfInput()
                tap.ok(client.receive() is None, f"{who}, {name}, then the end: it is the end")
    world.settled(tap, "after messages that do not end")


def beforeOpening(tap, world):
    """libvirt takes no definition from a client that has not introduced itself; viommud neither."""
    for who, connector in world.connectors.items():
        with connector.connect(DIRECT) as direct, connector.connect(THROUGH) as through:
            first, second = [client.call(DEFINE, string(DOMAIN)) for client in (direct, through)]
            tap.ok(first == second and failureOf(first), f"{who}, a definition before opening",
                   *brief([first, second]))


def answerTo(client, document):
    return client.call(DEFINE, string(document.xml))


def judged(document, direct, through):
    """Whether that is what should come of it; a domain that was defined is undefined again."""
    reply = answerTo(through, document)
    if document.outcome == SAME:
        theirs = answerTo(direct, document)
        return theirs == reply and reply.status == ERROR, [theirs, reply]
    if reply is None or reply.status == ERROR:
        return reply is not None and document.outcome == REFUSED, [reply]
    xml = defined(through, reply)
    return document.outcome == (EXPANDED if MARK in xml else PLAIN), [reply]


def documents(tap, world):
    """Domains that are no good XML, or too much."""
    most = 0
    for who, connector in world.connectors.items():
        for document in DOCUMENTS:
            with connector.connect(DIRECT).open() as direct, \
                    connector.connect(THROUGH).open() as through:
                child = world.process(who)
                good, replies = judged(document, direct, through)
                says = world.witness.says()
                tap.ok(good and through.works() and says == "well",
                       f"{who}, {document.name}: {document.outcome}", *brief(replies),
                       f"the witness: {says}")
                most = max(most, memoryOf(child, "VmHWM"))
    tap.note(f"the most memory that reading XML took is {most} KiB")
    tap.ok(most < XML_MIB * MIB, f"reading XML takes less than {XML_MIB} MiB", most)
    world.settled(tap, "after such domains")


def log(tap, world):
    """The log has a line for each refusal, and nobody else can write one."""
    xml = domain().replace(f"<name>{NAME}", "<name>evil&#10;forged").replace("0x0002", "0x0bad")
    for who, connector in world.connectors.items():
        with connector.connect(THROUGH).open() as client:
            reply = client.call(DEFINE, string(xml))
            tap.ok(failureOf(reply), f"{who}, a name of two lines: refused", *brief([reply]))
        lines = [line for line in world.service.log().splitlines() if "forged" in line]
        tap.ok(lines and all(line.startswith("viommud[") for line in lines),
               f"{who}, a name of two lines: one in the log", *lines)


def logOrder(tap, world):
    """Calls that come together are told of in their order, placed or refused."""
    names = [f"order-{number}" for number in range(6)]
    texts = [domain().replace(f"<name>{NAME}", f"<name>{name}") for name in names]
    texts[2:5:2] = [text.replace("0x0002", "0x0bad") for text in texts[2:5:2]]
    calls = b"".join(frame(DEFINE, string(xml), serial=serial) for serial, xml in enumerate(texts, 100))
    with world.connectors["root"].connect(THROUGH).open() as client:
        client.send(calls)
        replies = [client.receive() for _ in texts]
        for reply in replies:
            if reply.status == OK:
                defined(client, reply)
    told = [name for line in world.service.log().splitlines() for name in names if f"'{name}'" in line]
    refused = sum("refused" in line and "'order-" in line for line in world.service.log().splitlines())
    tap.ok(told == names and refused == 2, "the log has them in the order of the calls", told, refused,
           *brief(replies))


def testAll(tap, tree):
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    with hostileWorld(tree) as world:
        tap.ok(world.witness.atFirst == "well", "at first all is well", world.witness.atFirst)
        for part in (messages, unfinished, beforeOpening, documents, log, logOrder, *hostileload.PARTS):
            with guarded(tap, part.__name__):
                part(tap, world)
        more = memoryOf(world.service.outerPid) - world.memory
        tap.note(f"viommud itself has {more} KiB more in the end than at first")
        tap.ok(more < OWN_MIB * MIB, f"viommud itself has grown by less than {OWN_MIB} MiB", more)


if __name__ == "__main__":
    sys.exit(runOnTree(testAll))
