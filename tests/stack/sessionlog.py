# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the session of transparency-test.py writes down what libvirt answers, and its events."""

import hashlib
import json
import threading
import time

import libvirt

# Of an argument in the name of a call, and of a text in a result, before a hash takes its place.
SHOWN, KEPT = 60, 1 << 17
EVENT_SECONDS = 60


def name(thing):
    """The name of one of libvirt's objects, asked from the client's library."""
    for getter in ("name", "getName", "key", "portDev", "UUIDString"):
        if hasattr(thing, getter):
            return f"{type(thing).__name__} {getattr(thing, getter)()}"
    return type(thing).__name__


def encode(value):
    if isinstance(value, str) and len(value) > KEPT:
        return {"text": len(value), "sha256": hashlib.sha256(value.encode()).hexdigest()}
    if isinstance(value, (str, int, float, type(None))):
        return value
    if isinstance(value, bytes):
        return {"bytes": len(value), "sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, (list, tuple)):
        items = [encode(item) for item in value]
        # Names come in the order of a hash that is seeded when the daemon starts.
        return sorted(items) if items and all(isinstance(item, str) for item in items) else items
    if isinstance(value, dict):
        return {str(key): encode(item) for key, item in value.items()}
    return name(value)


def shown(argument):
    """An argument in the name of a call: a long one with the hash that tells it from others."""
    if callable(argument):
        return argument.__name__
    plain = isinstance(argument, (str, int, float, bytes, list, tuple, dict, type(None)))
    text = repr(argument) if plain else name(argument)
    if len(text) <= SHOWN:
        return text
    return f"{text[:SHOWN]}... #{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def record(**line):
    print(json.dumps(line, sort_keys=True), flush=True)


def do(function, *arguments):
    """Calls libvirt and records what comes of it; returns the result, None after an error."""
    call = f"{function.__qualname__}({', '.join(map(shown, arguments))})"
    try:
        result = function(*arguments)
    except libvirt.libvirtError as error:
        record(call=call, error=list(error.err))
        return None
    record(call=call, result=encode(result))
    return result


def see(what, value):
    """Records something that is not the reply to one call."""
    record(seen=what, result=encode(value))


# When this event comes, the Python binding of libvirt 12.8 ends with a segmentation fault.
NOT_REGISTERED = ("VIR_DOMAIN_EVENT_ID_CHANNEL_LIFECYCLE",)


class Events:
    """Registers for every kind of event and keeps what arrives, in order of arrival."""

    def __init__(self, conn):
        self.seen = []
        self.conn = conn
        self.callbacks = []
        self.domainKinds = {number: kind for kind, number in vars(libvirt).items()
                            if kind.startswith("VIR_DOMAIN_EVENT_ID_")
                            and kind not in NOT_REGISTERED}

    def keeper(self, kind):
        def keep(_, *details):
            self.seen.append((kind, *(encode(detail) for detail in details[:-1])))
        return keep

    def register(self):
        conn = self.conn
        for number, kind in sorted(self.domainKinds.items()):
            self._add(conn.domainEventDeregisterAny, conn.domainEventRegisterAny, number, kind)
        for register, deregister, kinds in (
                (conn.networkEventRegisterAny, conn.networkEventDeregisterAny, 2),
                (conn.storagePoolEventRegisterAny, conn.storagePoolEventDeregisterAny, 2),
                (conn.nodeDeviceEventRegisterAny, conn.nodeDeviceEventDeregisterAny, 2),
                (conn.secretEventRegisterAny, conn.secretEventDeregisterAny, 2)):
            for number in range(kinds):
                self._add(deregister, register, number, f"{register.__name__} {number}")

    def _add(self, deregister, register, number, kind):
        identifier = do(register, None, number, self.keeper(kind), None)
        self.callbacks.append((deregister, identifier))

    def deregister(self):
        for deregister, identifier in self.callbacks:
            if identifier is not None:
                do(deregister, identifier)

    def count(self, wanted):
        """How many events came that hold all of these."""
        return sum(all(part in event for part in wanted) for event in list(self.seen))

    def waitFor(self, wanted, count=1):
        """Waits for so many of them, and returns whether they came."""
        deadline = time.monotonic() + EVENT_SECONDS
        while self.count(wanted) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.count(wanted) >= count


def runEventLoop():
    libvirt.virEventRegisterDefaultImpl()

    def loop():
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=loop, daemon=True).start()
