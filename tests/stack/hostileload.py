# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hostile client that does what is allowed, but too much of it or too slowly."""

import struct

from hostilecases import DESCRIPTORS_MAX, ENTITY
from hostileworld import DOMAIN, MARK, THROUGH, UNIQUE, VIOMMUD
from hostlibvirtd import Libvirtd
from processes import becomes, descriptorsOf, isStill, memoryOf
from rpcclient import (CONTINUE, DEFINE, ERROR, KEEPALIVE, LIB_VERSION, MESSAGE, NETWORK_LOOKUP,
                       NETWORK_XML_DESC, OK, PING, REPLY, STREAM, UNDEFINE, UNDEFINE_NVRAM,
                       VOL_DOWNLOAD, XML_DESC, Refused, frame, string, word)
from service import Service

MIB = 1024              # in the KiB of /proc
SLOW_MIB = 4
CONNECTIONS = 1000
STORM = 5000
CALLS_WITH_DESCRIPTORS = 2000
PINGS = 500000
POOL, VOLUME, VOLUME_SIZE = "/var/lib/libvirt/images", "sparse.img", 1 << 30
UNREAD, READ = 1 << 20, 64 << 20
MUCH = 16 << 20
FEW = "/run/viommu-few"
FEW_CLIENTS, FEW_PER_USER = 8, 5
NETWORK = """<network><name>fast</name>
<forward mode='hostdev'><pf dev='enP2p3s0np0'/></forward></network>"""
ON_NETWORK = """<interface type='network'>
<mac address='52:54:00:00:00:21'/><source network='fast'/></interface><iommu"""


def grows(tap, name, child, before):
    """What a connection has taken since then."""
    more = memoryOf(child, "VmHWM") - before
    tap.note(f"{name}: {more} KiB more than at first")
    tap.ok(more < SLOW_MIB * MIB, f"{name}: its process takes less than {SLOW_MIB} MiB", more)


def connections(tap, world):
    """All of them work, and the witness too."""
    for who, connector in world.connectors.items():
        clients = [connector.connect(THROUGH).open() for _ in range(CONNECTIONS)]
        count = len(world.serving(who))
        tap.ok(count == CONNECTIONS, f"{who}: {CONNECTIONS} connections have a process each", count)
        good = sum(client.works() for client in clients)
        tap.ok(good == CONNECTIONS, f"{who}: {CONNECTIONS} connections at once work", good)
        world.witnessGoesOn(tap, f"{who}, {CONNECTIONS} connections")
        for client in clients:
            client.socket.close()
        world.settled(tap, f"{who}, after {CONNECTIONS} connections")


def storm(tap, world):
    """Connections that end at once, in the middle of a message, or of an answer."""
    data = (b"", frame(LIB_VERSION)[:20], frame(LIB_VERSION), frame(DEFINE, string(DOMAIN)))
    for who, connector in world.connectors.items():
        for count in range(STORM):
            with connector.connect(THROUGH) as client:
                client.send(data[count % len(data)])
            if count % (STORM // 5) == 0:
                world.witnessGoesOn(tap, f"{who}, in a storm of connections")
        world.settled(tap, f"{who}, after a storm of connections")


def descriptors(tap, world):
    """Descriptors that nobody asked for do not stay."""
    for who, connector in world.connectors.items():
        with connector.connect(THROUGH).open() as client:
            child = world.process(who)
            before, some = descriptorsOf(child), [client.socket.fileno()] * DESCRIPTORS_MAX
            good = 0
            for serial in range(1, CALLS_WITH_DESCRIPTORS + 1):
                client.send(frame(LIB_VERSION, serial=serial), some)
                reply = client.reply(serial)
                good += reply is not None and reply.status == OK
            tap.ok(good == CALLS_WITH_DESCRIPTORS, f"{who}: calls with stray descriptors work",
                   good)
            now = descriptorsOf(child)
            tap.ok(now == before, f"{who}: stray descriptors are closed", f"{before}, then {now}")
            world.witnessGoesOn(tap, f"{who}, with stray descriptors")
        world.settled(tap, f"{who}, after stray descriptors")


def keepalives(tap, world):
    """More pings than anybody reads answers of."""
    ping = frame(PING, program=KEEPALIVE, kind=MESSAGE, serial=0)
    for who, connector in world.connectors.items():
        with connector.connect(THROUGH).open() as client:
            child = world.process(who)
            before = memoryOf(child, "VmHWM")
            sent = client.sendWhatFits(ping * PINGS)
            world.witnessGoesOn(tap, f"{who}, after {sent // len(ping)} pings")
            pings, answers = sent // len(ping), 0
            while answers < pings and (got := client.receive()):
                answers += got.program == KEEPALIVE
            tap.ok(answers == pings, f"{who}: every ping is answered in the end", answers)
            client.send(ping[sent % len(ping):])
            tap.ok(client.works(), f"{who}: the connection works after pings")
            grows(tap, f"{who}, pings", child, before)
        world.settled(tap, f"{who}, after pings")


def slowReader(tap, world):
    """A stream of which nobody reads more than a little does not pile up."""
    host = world.host
    host.run("mkdir", "--parents", POOL)
    host.run("truncate", "--size", str(VOLUME_SIZE), f"{POOL}/{VOLUME}")
    host.virsh("pool-create-as", "images", "dir", "--target", POOL)
    volume = string("images") + string(VOLUME) + string(f"{POOL}/{VOLUME}")
    for who, connector in world.connectors.items():
        with connector.connect(THROUGH).open() as client:
            child = world.process(who)
            before = memoryOf(child, "VmHWM")
            client.must(VOL_DOWNLOAD, volume + struct.pack(">QQI", 0, VOLUME_SIZE, 0))
            for pause, size in ((True, UNREAD), (True, UNREAD), (False, READ)):
                got = 0
                while got < size and (data := client.receive()):
                    if data.kind == STREAM and data.status == CONTINUE:
                        got += len(data.payload)
                tap.ok(got >= size, f"{who}: {size} bytes of a stream came", got)
                if pause:
                    tap.ok(becomes(lambda: isStill(child)), f"{who}: unread, the stream stops")
                    world.witnessGoesOn(tap, f"{who}, with a stream that nobody reads")
            grows(tap, f"{who}, slow reader", child, before)
        world.settled(tap, f"{who}, after a stream")


def stuff(client, child, data):
    """Sends until nothing moves any more; returns how many bytes went."""
    sent = 0
    while more := client.sendWhatFits(data[sent:]):
        sent += more
        becomes(lambda: isStill(child))
    return sent


def refusals(tap, world):
    """viommu's own answers, which nobody reads, do not pile up."""
    call = frame(DEFINE, string(ENTITY))
    data = call * (MUCH // len(call))
    for who, connector in world.connectors.items():
        with connector.connect(THROUGH).open() as client:
            child = world.process(who)
            before = memoryOf(child, "VmHWM")
            sent = stuff(client, child, data)
            tap.ok(sent < len(data) // 2, f"{who}: who does not read is not listened to", sent)
            world.witnessGoesOn(tap, f"{who}, with refusals that nobody reads")
            calls, refused = sent // len(call), 0
            while refused < calls and (got := client.receive()):
                refused += got.status == ERROR
            tap.ok(refused == calls, f"{who}: every call is answered in the end", refused)
            client.send(call[sent % len(call):])
            tap.ok(client.works(), f"{who}: the connection works after refusals")
            grows(tap, f"{who}, refusals", child, before)
        world.settled(tap, f"{who}, after refusals")


def deafLibvirt(tap, world):
    """What libvirt does not take is not kept for it."""
    with world.connectors["nobody"].connect(THROUGH).open() as client:
        child = world.process("nobody")
        before = memoryOf(child, "VmHWM")
        data = frame(LIB_VERSION, bytes(1 << 20)) * (MUCH >> 20)
        with Libvirtd(world.host).standingStill():
            sent = stuff(client, child, data)
        tap.ok(sent < len(data) // 2, "a libvirt that stands still is not sent more than fits",
               f"{sent} of {len(data)} bytes")
        grows(tap, "messages for a libvirt that stands still", child, before)
    world.settled(tap, "after libvirt stood still")


def tried(connector, path):
    """A client that is open, or None."""
    client = connector.connect(path)
    try:
        return client.open()
    except (Refused, BrokenPipeError):
        client.socket.close()
        return None


def limits(tap, world):
    """A user has so many connections, but for root, and all users together so many."""
    config = VIOMMUD.replace("3000", str(FEW_CLIENTS), 1).replace("3000", str(FEW_PER_USER), 1)
    nobody, root = (world.connectors[who] for who in ("nobody", "root"))
    path = f"{FEW}/libvirt-sock"
    with Service(world.host, config, FEW) as service:
        becomes(lambda: "\n0 connected" in service.show())
        few = [tried(nobody, path) for _ in range(FEW_PER_USER + 1)]
        tap.ok(all(few[:-1]) and not few[-1], "a user has max_clients_per_user connections", few)
        others = [tried(root, path) for _ in range(FEW_CLIENTS - FEW_PER_USER + 1)]
        tap.ok(all(others[:-1]) and not others[-1], "all users have max_clients connections",
               others)
        tap.ok(all(client.works() for client in few[:-1] + others[:-1]),
               "those that were there before go on")
        for client in few[:-1]:
            client.socket.close()
        tap.ok(becomes(lambda: tried(nobody, path)), "there is room again for who has left")
        for client in others[:-1]:
            client.socket.close()


def defined(client, reply):
    """The XML of the domain that was defined, which is undefined again."""
    xml = client.must(XML_DESC, reply.payload + word(0))[4:].decode("utf-8", "replace")
    client.must(UNDEFINE, reply.payload + word(UNDEFINE_NVRAM))
    return xml


def questions(tap, world):
    """What viommud asks libvirt in between is not mixed up with what its client asks and says."""
    world.host.virsh("net-define", "/dev/stdin", stdin=NETWORK)
    xml = string(UNIQUE.replace("<iommu", ON_NETWORK, 1))
    own = 1000
    near = {(own + (1 << bit) + more) % (1 << 32) for bit in range(32) for more in range(4)}
    serials = sorted(near | {0, 1, (1 << 31) - 1, (1 << 32) - 1})
    calls = b"".join(frame(LIB_VERSION, serial=serial) for serial in serials)
    # A keepalive message may overtake a definition, but this is none.
    noKeepalive = frame(99, bytes(1 << 20), program=KEEPALIVE, kind=MESSAGE)
    forged = b"".join(frame(procedure, string("none") + bytes(32), kind=REPLY, serial=serial)
                      for procedure in (LIB_VERSION, NETWORK_LOOKUP, NETWORK_XML_DESC)
                      for serial in serials)
    for who, connector in world.connectors.items():
        with connector.connect(THROUGH).open() as client:
            alone = defined(client, client.call(DEFINE, xml))
        with connector.connect(THROUGH).open() as client:
            client.send(calls + frame(DEFINE, xml, serial=own) + noKeepalive + forged + calls)
            got = [client.receive() for _ in range(2 * len(serials) + 1)]
            (answer,) = [reply for reply in got if reply.serial == own]
            amid = defined(client, answer)
        tap.ok(MARK in alone and amid == alone, f"{who}: the domain is the same amid other calls",
               alone, amid)
        tap.ok(sorted(reply.serial for reply in got) == sorted(2 * serials + [own])
               and len({reply.payload for reply in got if reply is not answer}) == 1,
               f"{who}: each call has its own answer")
    world.settled(tap, "after questions")


PARTS = (connections, storm, descriptors, keepalives, slowReader, refusals, deafLibvirt, limits,
         questions)
