# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs in the emulated host and does what the test outside asks for, over a virtio-serial port.

One request a line, one answer a line, both JSON and with the same "id". {"run": [argv], "stdin",
"timeout"} runs a program, and ends it with all that it started when it is late; {"talk": [socket, line, last, timeout]} sends a line to a guest's console and reads up to a
line that contains @last; {"read": path} is a file's bytes as text.
"""

import glob
import json
import os
import signal
import socket
import subprocess
import time

NAME = "viommu.agent"
CHUNK = 65536


def port():
    """The device node of the port; there is no udev here that would make a link of that name."""
    for path in glob.glob("/sys/class/virtio-ports/*/name"):
        with open(path, encoding="ascii") as f:
            if f.read().strip() == NAME:
                return os.path.join("/dev", os.path.basename(os.path.dirname(path)))
    raise SystemExit(f"no port {NAME}")


def run(request):
    try:
        program = subprocess.Popen(request["run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, errors="replace",
                                   start_new_session=True)
    except OSError as error:
        return {"status": 127, "stdout": "", "stderr": str(error)}
    late = False
    try:
        out, err = program.communicate(request.get("stdin", ""), request.get("timeout"))
    except subprocess.TimeoutExpired:
        late = True
        os.killpg(program.pid, signal.SIGKILL)
        out, err = program.communicate()
    return {"status": program.returncode, "stdout": out, "stderr": err, "late": late}


def talk(request):
    path, line, last, timeout = request["talk"]
    end, got = time.monotonic() + timeout, b""
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(path)
        console.sendall(line.encode() + b"\n")
        while last.encode() not in got or not got.endswith(b"\n"):
            console.settimeout(max(end - time.monotonic(), 0.01))
            try:
                part = console.recv(CHUNK)
            except TimeoutError:
                return {"error": f"no answer in {timeout} s", "text": got.decode(errors="replace")}
            if not part:
                return {"error": "the console is closed", "text": got.decode(errors="replace")}
            got += part
    return {"text": got.decode(errors="replace")}


def read(request):
    with open(request["read"], "rb") as f:
        return {"text": f.read().decode(errors="replace")}


def answer(request):
    for name, act in (("run", run), ("talk", talk), ("read", read)):
        if name in request:
            try:
                return act(request)
            except OSError as error:
                return {"error": str(error)}
    return {"error": "not a request"}


def main():
    # One line at a time in each direction: the port is not a file that could be sought in.
    device = os.open(port(), os.O_RDWR)
    pending = b""
    os.write(device, b'{"id": 0}\n')
    while True:
        part = os.read(device, CHUNK)
        if not part:        # nobody outside yet
            time.sleep(0.1)
            continue
        pending += part
        while b"\n" in pending:
            line, _, pending = pending.partition(b"\n")
            request = json.loads(line)
            data = json.dumps({**answer(request), "id": request["id"]}).encode() + b"\n"
            while data:
                data = data[os.write(device, data):]


if __name__ == "__main__":
    main()
