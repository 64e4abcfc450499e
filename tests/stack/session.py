# SPDX-License-Identifier: LGPL-2.1-or-later
"""A long session of a libvirt client: `session.py URI READONLYURI`, run inside a described host.

Prints one JSON line per call: what was called, and the result or the whole error. Every call of
these goes to the daemon; what the client's library answers by itself is not asked. The session asks
viommu for nothing, so it must go the same whatever is between client and daemon.
"""

import sys

import libvirt

import sessionguest
import sessionhost
from sessionlog import Events, do, record, runEventLoop


def readOnly(uri):
    """Of what a read-only connection may and may not do."""
    conn = libvirt.openReadOnly(uri)
    for call in (conn.listAllDomains, conn.listDefinedNetworks, conn.getHostname):
        do(call)
    do(conn.defineXML, sessionguest.GUEST)
    do(conn.createXML, sessionguest.GUEST)
    do(conn.domainXMLToNative, "qemu-argv", sessionguest.GUEST)
    do(conn.secretDefineXML, sessionhost.SECRET % ("no", sessionhost.NOBODY, "", "/none"))
    domain = do(conn.lookupByName, "guest")
    do(domain.XMLDesc)
    do(domain.XMLDesc, libvirt.VIR_DOMAIN_XML_SECURE)
    do(domain.create)
    do(domain.undefine)
    do(domain.attachDeviceFlags, sessionguest.RNG, libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def main(uri, readOnlyUri):
    libvirt.registerErrorHandler(lambda *_: None, None)
    runEventLoop()
    conn = libvirt.open(uri)
    events = Events(conn)
    events.register()
    sessionhost.host(conn, events)
    domain = sessionguest.guest(conn, events)
    readOnly(readOnlyUri)
    sessionguest.endings(conn, domain, events)
    events.deregister()
    record(events=events.seen)


if __name__ == "__main__":
    main(*sys.argv[1:])
