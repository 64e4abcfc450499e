# SPDX-License-Identifier: LGPL-2.1-or-later
"""The generated part of docs/stock.rst: a table, and below it what each of them said."""

NOT_TRIED = "cannot be tried here"
NOT_REACHED = "not reached"
# Refusals that are for want of something on the machine of the test.
WANTING = (("requires KVM", "no KVM"), ("No provided host device", "no host device"),
           ("cannot bind memory to host NUMA nodes", "no second NUMA node"))
MOST_WORDS = 2
SEEN_WITH = "Seen with "


def _wanting(outcome):
    return next((what for words, what in WANTING if outcome.verdict == "refuses"
                 and any(words in line for line in outcome.words)), None)


def _verdict(outcome):
    if outcome is None:
        return NOT_REACHED
    wanting = _wanting(outcome)
    return f"{NOT_TRIED}: {wanting}" if wanting else outcome.verdict


def _libvirt(row):
    if row.native and row.native.verdict == "refuses":
        return f"{row.define.verdict}; refuses to start it"
    return row.define.verdict


def _tcg(row):
    return NOT_TRIED if row.case.untried and row.started else _verdict(row.tcg)


def _table(rows):
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 6 28 20 18 14 14", ""]
    cells = [("Class", "What is wrong", "libvirt", "QEMU", "QEMU, TCG form", "viommu check")]
    cells += [(row.case.name[:3], row.case.title, _libvirt(row), _verdict(row.started), _tcg(row),
               ", ".join(dict.fromkeys(severity for severity, _ in row.findings))) for row in rows]
    for row in cells:
        lines += [f"   {' ' if place else '*'} - {cell}" for place, cell in enumerate(row)]
    return lines


def _said(outcome):
    if outcome is None:
        return NOT_REACHED
    more = len(outcome.words) - MOST_WORDS
    words = [f"``{line}``" for line in outcome.words[:MOST_WORDS if more > 1 else None]]
    words += [f"and {more} more"] if more > 1 else []
    return f"{outcome.verdict}: {' / '.join(words)}" if words else outcome.verdict


def _details(row):
    heading = f"{row.case.name[:3]}: {row.case.title}"
    tcg = f"{NOT_TRIED}: {row.case.untried}" if row.started and row.case.untried else _said(row.tcg)
    fields = [("libvirt, define", _said(row.define)), ("libvirt, command line", _said(row.native)),
              ("QEMU", _said(row.started)), ("QEMU, TCG form", tcg)]
    fields += [("viommu check", f"{severity}: ``{text}``") for severity, text in row.findings]
    return [heading, "-" * len(heading), ""] + [f":{name}: {text}" for name, text in fields] + [""]


def render(versions, suite, rows):
    """@versions of libvirt and QEMU, as the run found them; @rows of stock-test.py."""
    libvirt, qemu = versions
    lines = ["", f"{SEEN_WITH}libvirt {libvirt} and QEMU {qemu} of Debian {suite}.", ""]
    lines += _table(rows) + [""]
    for row in rows:
        lines += _details(row)
    return "\n".join(lines + [""])
