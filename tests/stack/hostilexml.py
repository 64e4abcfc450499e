# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains that are no good XML, or too much of it.

Each is text for a definition. Where a domain asks for nested SMMUs, viommu has to read it.
"""

import collections

from hostilecases import REFUSED
from rpcclient import STRING_MAX

# Beside REFUSED: libvirt's own answer, which is an error; a domain as libvirt defines it; a domain
# that is expanded.
SAME, PLAIN, EXPANDED = "same", "plain", "expanded"
Document = collections.namedtuple("Document", "name xml outcome")

NAME = "hostile"
ASKS = "<iommu model='smmuv3' nested='yes'/>"
DOMAIN = f"""%s<domain type='qemu'>
  <name>{NAME}</name>
  <description>%s</description>
  <memory unit='MiB'>512</memory>
  <os firmware='efi'><type arch='aarch64' machine='virt'>hvm</type></os>
  <features><acpi/><gic version='3'/></features>
  <cpu mode='maximum'/>
  <devices>
    <hostdev mode='subsystem' type='pci'>
      <source><address domain='0x0002' bus='0x01' slot='0x00' function='0x0'/></source>
    </hostdev>
    %s
  </devices>
</domain>
"""
LEVELS = 100000


def domain(description="", prolog="", devices=ASKS):
    return DOMAIN % (prolog, description, devices)


def filled(size):
    """A domain of so many bytes."""
    return domain("x" * (size - len(domain())))


def encoding(name):
    return f"<?xml version='1.0' encoding='{name}'?>"


def doctype(declarations):
    return f"<!DOCTYPE domain [{declarations}]>\n"


def bomb(levels, width):
    """Entities of entities: width ** levels times the innermost."""
    return doctype('<!ENTITY e0 "boom">' + "".join(
        f'<!ENTITY e{level} "{f"&e{level - 1};" * width}">' for level in range(1, levels + 1)))


def broken():
    """What is no XML has libvirt's own words, unless viommu would have to know what it asks for."""
    for name, xml in (("nothing", b""), ("blank", b" \n"), ("no XML", b"domain"),
                      ("bytes", bytes(range(1, 256))), ("half a tag", b"<domain"),
                      ("UTF-16", domain().encode("utf-16"))):
        yield Document(name, xml, SAME)
    for kind, asks, outcome in (("that asks", ASKS, REFUSED), ("that does not ask", "", SAME)):
        text = domain(devices=asks)
        for name, xml in (
                ("half a domain", text[:-20]),
                ("two domains", text * 2),
                ("an end tag too many", text + "</domain>"),
                ("another element", f"<device>{asks}</device>"),
                ("an attribute twice", domain(devices=f"{asks}<a b='yes' b='no'/>")),
                ("a byte that is zero", domain("a\0b", devices=asks)),
                ("no UTF-8", domain("\xff\xfe", devices=asks))):
            yield Document(f"{name}, {kind}", xml.encode("latin-1"), outcome)
    # What cannot be read may ask.
    yield Document("an encoding that is not there",
                   domain("", encoding("none-such"), "").encode(), REFUSED)
    yield Document("a request in UTF-7", domain("", encoding("UTF-7"), ASKS.replace(
        "nested", "n+AGU-sted")).encode(), REFUSED)


def misleading():
    """libvirt takes them and sees no request in them."""
    for name, xml, outcome in (
            ("a request behind a zero byte", domain(devices="") + "\0" + domain(), REFUSED),
            ("a prefix that stands for nothing",
             domain(devices="<x:iommu model='smmuv3' nested='yes'/>"), REFUSED),
            ("a request in a comment", domain(devices=f"<!-- {ASKS} -->"), PLAIN),
            ("a request as text", domain(devices=f"<![CDATA[{ASKS}]]>"), PLAIN),
            ("a request of another namespace",
             domain(devices="<iommu xmlns='urn:x' model='smmuv3' nested='yes'/>"), PLAIN)):
        yield Document(name, xml.encode(), outcome)
    yield Document("another encoding, that does not ask",
                   domain("\xe9", encoding("ISO-8859-1"), "").encode("latin-1"), PLAIN)


def costly():
    """viommu will not follow them wherever they lead."""
    deep = "<a>" * LEVELS + "</a>" * LEVELS
    for name, xml in (("deep nesting", domain(devices=ASKS + deep)),
                      ("nothing but deep nesting", deep),
                      ("unclosed deep nesting", "<a>" * LEVELS),
                      ("many bytes too much", filled(STRING_MAX + 1)),
                      ("as much as a string can be", filled(STRING_MAX)),
                      ("entities of entities", domain("&e9;", bomb(9, 10))),
                      ("entities of entities in an attribute",
                       domain(prolog=bomb(9, 10), devices=ASKS + "<a b='&e9;'/>")),
                      ("one entity, often", domain("&e1;" * 100000, bomb(1, 10000))),
                      ("an entity that contains itself",
                       domain("&a;", doctype('<!ENTITY a "&b;"><!ENTITY b "&a;">'))),
                      ("a file as an entity",
                       domain("&f;", doctype('<!ENTITY f SYSTEM "file:///etc/passwd">'))),
                      ("a device that blocks as an entity",
                       domain("&f;", doctype('<!ENTITY f SYSTEM "file:///dev/tty">'))),
                      ("a file as a parameter entity",
                       domain(prolog=doctype('<!ENTITY % f SYSTEM "file:///etc/passwd"> %f;'))),
                      ("the request as an entity",
                       domain(prolog=doctype(f'<!ENTITY ask "{ASKS}">'), devices="&ask;")),
                      ("the request as a default",
                       domain(prolog=doctype('<!ATTLIST iommu nested CDATA "yes">'),
                              devices="<iommu model='smmuv3'/>"))):
        yield Document(name, xml.encode(), REFUSED)


def many(element, count):
    return domain(devices=ASKS + "".join(element % number for number in range(count)))


def withAttributes(count):
    attributes = "".join(f" a{number}=''" for number in range(count))
    return domain(devices=f"{ASKS}<a{attributes}/>")


def unusual():
    """There may be nothing wrong with them, but they are beyond what viommu takes, or not quite."""
    for name, xml, outcome in (
            ("another encoding", domain("\xe9", encoding("ISO-8859-1")), REFUSED),
            ("much text", filled(STRING_MAX - 65536), EXPANDED),
            ("many elements", many("<a b='%d'/>", 5000), EXPANDED),
            ("too many elements", many("<a b='%d'/>", 50000), REFUSED),
            ("many attributes", withAttributes(900), EXPANDED),
            ("too many attributes", withAttributes(20000), REFUSED),
            ("many namespaces", many("<a xmlns:a='urn:%d'/>", 900), EXPANDED),
            ("too many namespaces", many("<a xmlns:a='urn:%d'/>", 5000), REFUSED),
            ("many comments", many("<!-- %d -->", 50000), EXPANDED)):
        yield Document(name, xml.encode("latin-1"), outcome)


DOCUMENTS = [*broken(), *misleading(), *costly(), *unusual()]
