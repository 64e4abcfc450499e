# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nova's libvirt driver in a described host, as the test outside talks to it (see novaagent.py)."""

import json
import os
import shutil
import subprocess
import tempfile

from describedhost import HostError
from golden import TESTS
from novatree import ENVIRONMENT, MOUNTED

DIRECTORY = "/run/nova"
AGENT = "novaagent.py"
CONFIG = "[libvirt]\nconnection_uri = {uri}\n"


class NovaError(Exception):
    """Nova raised an exception: its class, the code of libvirt's error (or None), its words."""

    def __init__(self, kind, code, words):
        super().__init__(f"{kind} {code}: {words}")
        self.kind, self.code, self.words = kind, code, words


class Nova:
    """with Nova(host, novaTree(tree), uri) as nova: nova.ask("define", xml)"""

    def __init__(self, host, directory, uri):
        self.host, self.directory, self.uri = host, directory, uri
        self.agent = None

    def __enter__(self):
        if not os.path.isdir(self.host.path(DIRECTORY)):
            subprocess.run(["nsenter", "-t", str(self.host.pid), "-m", "mount", "-o", "bind,ro",
                            self.directory, self.host.root + MOUNTED], check=True)
            os.mkdir(self.host.path(DIRECTORY))
            shutil.copy(os.path.join(TESTS, "stack", AGENT), self.host.path(DIRECTORY))
        config = f"{DIRECTORY}/nova.conf"
        with open(self.host.path(config), "w", encoding="ascii") as f:
            f.write(CONFIG.format(uri=self.uri))
        self.log = tempfile.TemporaryFile(mode="w+")
        self.agent = subprocess.Popen(
            **self.host.command("env", *ENVIRONMENT, "python3", f"{DIRECTORY}/{AGENT}", config),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        return self

    def ask(self, name, *arguments):
        """The result of that method of the agent's, or NovaError."""
        self.agent.stdin.write(json.dumps([name, *arguments]) + "\n")
        self.agent.stdin.flush()
        line = self.agent.stdout.readline()
        if not line:
            self.log.seek(0)
            raise HostError(f"Nova ended: {self.log.read()[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise NovaError(*answer["error"])
        return answer["result"]

    def __exit__(self, *unused):
        self.agent.stdin.close()
        self.agent.wait()
        self.agent.stdout.close()
        self.log.close()
