# SPDX-License-Identifier: LGPL-2.1-or-later
"""The surroundings of a hostile client: libvirtd, viommud, and the witness.

The witness is an ordinary client with one connection that is open all the time and a new one each
time. It has a domain expanded on both whenever it is asked how it is.
"""

import contextlib
import os

from describedhost import DescribedHost
from golden import TESTS, emulatable, manifest, readText
from hostclient import HostClient
from hostlibvirtd import Libvirtd
from processes import becomes, childrenOf, descriptorsOf, isStill, memoryOf, servedBy
from rpcclient import Connector
from service import SOCKETS, Service

HOST = "grace"
DIRECT, THROUGH = "/run/libvirt/libvirt-sock", f"{SOCKETS}/libvirt-sock"
# Everybody may do everything, and there is room for many.
LIBVIRTD = """auth_unix_rw = "none"
unix_sock_rw_perms = "0777"
max_clients = 5000
max_anonymous_clients = 5000
"""
VIOMMUD = """unix_sock_rw_perms = "0777"
max_clients = 3000
max_clients_per_user = 3000
"""
USERS = {"nobody": ("--reuid=65534", "--regid=65534", "--clear-groups"), "root": ()}
MARK = "urn:viommu:domain:1"
DOMAIN = emulatable(readText(os.path.join(os.path.dirname(TESTS), "examples", "two-gpus.xml")))
UUID = "<uuid>5d3f4a1e-0000-4000-8000-00000000000%d</uuid><memory"
UNIQUE = DOMAIN.replace("two-gpus", "unique").replace("<memory", UUID % 2, 1)

WITNESS = """
xml, mark = words
def define(conn):
    domain = conn.defineXML(xml)
    try:
        return domain.XMLDesc()
    finally:
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
first = libvirt.open(uri)
expected = define(first)
def isWell():
    second = libvirt.open(uri)
    if mark not in expected:
        return "not expanded"
    if not define(first) == define(second) == expected:
        return "another domain"
    second.close()
    return "well"
can = {"how are you": isWell}
"""


class Witness(HostClient):
    def __init__(self, host, uri):
        super().__init__(host, WITNESS, uri, DOMAIN.replace("<memory", UUID % 1, 1), MARK)
        self.atFirst = self.says()

    def says(self):
        """What its connections do now: "well", or what is wrong."""
        return self.do("how are you")


class World:
    """@connectors: {name of a user: Connector}"""

    def __init__(self, host, service, witness, connectors):
        self.host, self.service, self.witness = host, service, witness
        self.connectors = connectors
        becomes(lambda: "\n1 connected" in service.show() and isStill(service.outerPid))
        self.before = self._state()
        self.memory = memoryOf(service.outerPid)

    def _state(self):
        """How many processes and descriptors viommud has; some processes may wait for clients."""
        pid = self.service.outerPid
        return len(childrenOf(pid)), descriptorsOf(pid)

    def serving(self, who):
        """The processes of viommud for that user."""
        return servedBy(self.service, self.connectors[who].pid())

    def process(self, who):
        """That for the one connection of that user, once those of earlier ones are gone."""
        becomes(lambda: len(self.serving(who)) == 1)
        (process,) = self.serving(who)
        return process

    def settled(self, tap, name):
        """Nothing is left of clients that are gone, and the witness is well."""
        good = becomes(lambda: self._state() == self.before)
        now = self._state()
        tap.ok(good, f"{name}: nothing is left", f"before: {self.before}", f"now: {now}")
        self.before = now
        self.witnessGoesOn(tap, name)

    def witnessGoesOn(self, tap, name):
        says = self.witness.says()
        tap.ok(says == "well", f"{name}: the witness goes on", says)


@contextlib.contextmanager
def hostileWorld(tree):
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(DescribedHost(tree, manifest(HOST)))
        Libvirtd(host).configure(LIBVIRTD)
        service = stack.enter_context(Service(host, VIOMMUD))
        witness = stack.enter_context(Witness(host, service.uri))
        yield World(host, service, witness,
                    {who: stack.enter_context(Connector(host, *become))
                     for who, become in USERS.items()})
