# SPDX-License-Identifier: GPL-3.0-or-later
"""The path tester in the lab: a reflector on one machine, scans from another."""

import json
import os
import subprocess

from agent import binaries
from lab import Lab, Link, Namespace, wait_until

TOOL = os.path.join(binaries(), "portreeve")


class Reflector:
    """`portreeve reflect` in a namespace, on all of its addresses; `key` is the file that scans need. `prefix` are words that the command
    line follows."""

    def __init__(self, namespace, *options, port=7411, listen=("any",), prefix=()):
        self.namespace, self.port = namespace, port
        self.key = namespace.lab.file("reflect.key")
        namespace.run(TOOL, "reflect", "--new-key", self.key)
        words = [word for address in listen for word in ("--listen", address)]
        self.process = namespace.start(
            *prefix, TOOL, "reflect", "--key", self.key, "--control-port", port, *words, *options, name="reflect")
        wait_until(lambda: namespace.listens(port), f"the reflector listens on {port}", process=self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()

    def stop(self):
        return self.process.stop()

    def log(self):
        return self.process.output()


class Scan:
    """What a scan found: its status, what it said, and its results by protocol and port."""

    def __init__(self, status, output):
        self.status, self.output = status, output
        self.rows = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        self.said = "\n".join(line for line in output.splitlines() if not line.startswith("{"))

    def of(self, port, proto="tcp"):
        """The result for a port."""
        rows = [row for row in self.rows if row["proto"] == proto and row["dst"].endswith(f":{port}")]
        assert len(rows) == 1, f"{len(rows)} results for {proto} {port}\n{self.output}"
        return rows[0]

    def word(self, port, proto="tcp"):
        """(category, detail)"""
        row = self.of(port, proto)
        return row["category"], row["detail"]


def scan(namespace, address, *options, key=None, seconds=60, wrapper=()):
    """Runs `portreeve scan --json` to its end. `wrapper` are words that the command line follows."""
    words = [*wrapper, TOOL, "scan", "--json", *(["--key", key] if key else []), *options]
    words += [address] if address else []
    return Scan(*namespace.status(*words, seconds=seconds))


class LongLab(Lab):
    """client ── router ── host ── far: `host` is a second router."""

    def _build(self):
        super()._build()
        self.far = Namespace(self, self.host.name.replace("-host", "-far"))
        subprocess.run(["ip", "netns", "add", self.far.name], check=True)
        self.far.run("ip", "link", "set", "lo", "up")
        self.far.sysctl(net__ipv6__conf__all__accept_dad=0, net__ipv6__conf__default__accept_dad=0)
        self.far_link = Link(self.host, "far0", self.far, "eth0")
        self._address(self.far, "eth0", 3, [2])
        near4, near6 = self.host.ip4, self.host.ip6
        self._address(self.host, "far0", 3, [1])
        self.host.ip4, self.host.ip6 = near4, near6
        self.host.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        self.far.run("ip", "route", "add", "default", "via", "198.18.3.1")
        self.far.run("ip", "-6", "route", "add", "default", "via", "fd00:3::1")
        self.router.run("ip", "route", "add", "198.18.3.0/24", "via", "198.18.2.2")
        self.router.run("ip", "-6", "route", "add", "fd00:3::/64", "via", "fd00:2::2")

    def close(self):
        super().close()
        subprocess.run(["ip", "netns", "del", self.far.name], stderr=subprocess.DEVNULL)
