# SPDX-License-Identifier: LGPL-2.1-or-later
"""This machine's viommu with the libvirt of a described host, by its socket."""

import os

from golden import viommuDone
from killrelay import shortPath

LIBVIRT = "/run/libvirt/libvirt-sock"


def viommuBeside(host, record, *args, stdin=None, socket=None):
    """What became of `viommu --host MANIFEST -c URI ARGS…`; @socket: another path of this machine."""
    with shortPath(socket or host.path(LIBVIRT)) as path:
        # The directory is open in this process, not in viommu.
        path = path.replace("/self/", f"/{os.getpid()}/")
        return viommuDone(record, "-c", f"qemu+unix:///system?socket={path}", *args, stdin=stdin)
