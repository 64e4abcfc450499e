# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the service costs: the same calls to the real libvirt of the tests' tree, directly and through it.

All three ways take turns in one process inside the described host. Each turn gives a ratio to the direct way of that
turn, and the median of them counts, so that other load counts for little. A connection through viommu-stdio has no
limit: libvirt's client makes a process for each, which alone takes ten times as long as a direct connection."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests' / 'stack'))

from aptsource import Unavailable  # noqa: E402
from describedhost import DescribedHost  # noqa: E402
from golden import emulatable, manifest  # noqa: E402
from service import Service, stdioUri  # noqa: E402
from tree import stackTree  # noqa: E402

HOST, DOMAIN, NAME = 'grace', 'nova-two-gpus', 'instance-00000001'
UUID = '0ba7b0b2-3f6b-41d1-be9b-fd4c1e732826'
IDLE, IDLE_SECONDS = 200, 10
LIMITS = {'dumpxml': 1.3, 'define': 1.3, 'open': 2, 'download': 0.9}
CLIENT = r'''
import json, libvirt, statistics, sys, time
libvirt.registerErrorHandler(lambda context, error: None, None)
uris, requested, expanded = json.loads(sys.argv[1]), open('/run/requested.xml').read(), open('/run/expanded.xml').read()
connections = [libvirt.open(uri) for uri in uris]
SIZE = 512 << 20

def seconds(call, times):
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times

def compare(calls, times, rounds):
    """The seconds of the first of @calls, and how many times those the others take: medians, as they take turns."""
    found = [[seconds(call, times) for call in calls] for _ in range(rounds)]
    return [statistics.median(turn[0] for turn in found)] + [
        statistics.median(turn[n] / turn[0] for turn in found) for n in range(1, len(calls))]

def download(connection):
    volume, stream = connection.storageVolLookupByPath('/run/pool/volume'), connection.newStream(0)
    volume.download(stream, 0, SIZE, 0)
    got = 0
    while True:
        part = stream.recv(262120)
        if not part:
            break
        got += len(part)
    stream.finish()
    assert got == SIZE, got

domains = [connection.defineXML(requested if number else expanded) for number, connection in enumerate(connections)]
pool = connections[0].storagePoolCreateXML("<pool type='dir'><name>pool</name><target><path>/run/pool</path></target></pool>", 0)
pool.createXML("<volume><name>volume</name><capacity unit='b'>%d</capacity></volume>" % SIZE, 0)
print(json.dumps({
    'dumpxml': compare([lambda d=d: d.XMLDesc(0) for d in domains], 100, 31),
    'define': compare([lambda c=c, n=n: c.defineXML(requested if n else expanded)
                     for n, c in enumerate(connections)], 20, 31),
    'open': compare([lambda u=u: libvirt.open(u).close() for u in uris], 5, 21),
    'download': compare([lambda c=c: download(c) for c in connections], 1, 7)}))
'''
HOLD = r'''
import libvirt, sys
connections = [libvirt.open(sys.argv[1]) for _ in range(int(sys.argv[2]))]
print('ready', flush=True)
sys.stdin.read()
'''


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
        return [int(word) for word in f.read().split()]


def memory(pid):
    """KiB that are its own, and its share of what it shares."""
    with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as f:
        return next(int(line.split()[1]) for line in f if line.startswith('Pss:'))


def ticks(pid):
    with open(f'/proc/{pid}/stat', encoding='ascii') as f:
        fields = f.read().rpartition(')')[2].split()
    return int(fields[11]) + int(fields[12])


def idle(host, service, table):
    """Connections on which nothing happens; libvirt's keepalive is their clients' to ask for."""
    with subprocess.Popen(**host.command('python3', '-c', HOLD, service.uri, str(IDLE)),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        client.stdout.readline()
        pids = [service.outerPid] + children(service.outerPid)
        used = sum(memory(pid) for pid in pids) / 1024
        before = sum(ticks(pid) for pid in pids)
        subprocess.run(['sleep', str(IDLE_SECONDS)], check=True)
        spent = (sum(ticks(pid) for pid in pids) - before) * 1000 / os.sysconf('SC_CLK_TCK')
        client.stdin.close()
    table.add(f'MiB of memory of {IDLE} idle connections', used, 1024)
    table.add(f'ms of processor that they take in {IDLE_SECONDS} s', spent, 10)


def measure(table, viommu):
    """Adds the rows; a row that says why, where the tree cannot be had."""
    os.environ['VIOMMU'] = str(viommu)
    try:
        tree = stackTree()
    except Unavailable as reason:
        table.skip('the service', str(reason))
        return
    plain = emulatable((ROOT / 'tests' / 'qemuxml2argvdata' / f'{DOMAIN}.xml').read_text())
    plain = plain.replace('<uuid>', '<!--').replace('</uuid>', '-->').replace('<name>', f'<uuid>{UUID}</uuid><name>', 1)
    expanded = subprocess.run([viommu, '-q', '--host', manifest(HOST), 'expand', '-'], input=plain, check=True,
                              capture_output=True, text=True).stdout
    with DescribedHost(tree, manifest(HOST)) as host, Service(host) as service:
        for name, text in (('requested.xml', plain), ('expanded.xml', expanded)):
            pathlib.Path(host.path(f'run/{name}')).write_text(text)
        os.makedirs(host.path('run/pool'))
        uris = ['qemu:///system', service.uri, stdioUri(host)]
        done = host.run('python3', '-c', CLIENT, json.dumps(uris))
        if done.returncode:
            sys.exit(f'servicebench.py: {done.stderr}')
        for what, (direct, socket, stdio) in json.loads(done.stdout).items():
            ways = (('viommud', socket, LIMITS[what]),
                    ('viommu-stdio', stdio, None if what == 'open' else LIMITS[what]))
            for way, ratio, limit in ways:
                if what == 'download':
                    table.add(f'vol-download through {way} / directly, bytes per second', 1 / ratio, limit, True)
                else:
                    table.add(f'{what} through {way} / directly ({direct * 1e6:.0f} us)', ratio, limit)
        idle(host, service, table)
