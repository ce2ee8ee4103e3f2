# SPDX-License-Identifier: GPL-3.0-or-later
"""The path tester in the lab: a reflector on one machine, scans from another."""

import json
import os

from agent import binaries
from lab import wait_until

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
