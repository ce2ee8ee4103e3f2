# SPDX-License-Identifier: GPL-3.0-or-later
"""From the queue to the verdict nothing is allocated: the worker's whole loop, counted in the running agent."""

import os
import shutil
import struct
import subprocess
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, reasons
from lab import Lab

COUNTER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "AllocationCounter")

POLICY = """
version: 1
interfaces: { ignore: [lo] }
stateful: { tcp: { limits: { incoming-per-computer: 10000, half-open-per-computer: 10000 } } }
rules:
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
  - { name: Telnet, action: deny, direction: incoming, protocol: tcp, destination: { ports: 23 }, packet-data: true }
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
"""

# Of everything something: whole connections, refused ports with and without packet data, pings, fragmented ones.
TRAFFIC = """
set -e
for i in $(seq 20); do curl -sS -m 10 -o /dev/null http://$1/ http://$1/; done
for port in 23 81 23 81; do curl -sS -m 0.5 http://$1:$port/ 2>/dev/null || true; done &
ping -q -i 0.01 -c 100 $1 >/dev/null
ping -q -i 0.01 -c 20 -s 3000 $1 >/dev/null
wait
"""


class AllocationTests(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.client, self.host = self.lab.client, self.lab.host
        self.counts = self.lab.file("allocations")
        self.preload = self.lab.file("allocationcounter.so")
        compiler = shutil.which("clang") or shutil.which("cc")
        subprocess.run(
            [compiler, "-O2", "-shared", "-fPIC", "-o", self.preload, "-I", os.path.join(COUNTER, "include"),
             os.path.join(COUNTER, "allocationcounter.c")], check=True)

    def allocations(self, agent):
        """{name of the thread: allocations it has made}."""
        with open(self.counts, "rb") as file:
            slots = list(struct.iter_unpack("QQ", file.read()))
        names = {}
        for thread, count in slots:
            try:
                with open(f"/proc/{agent.process.pid}/task/{thread}/comm") as comm:
                    names[comm.read().strip()] = count
            except OSError:
                pass
        return names

    def test_the_workers_loop_allocates_nothing(self):
        environment = {"LD_PRELOAD": self.preload, "PORTREEVE_ALLOCATIONS": self.counts}
        with Agent(self.host, POLICY, environment=environment) as agent, services.nginx(self.host):
            agent.feed()
            # The first packets teach the worker its interfaces.
            self.client.run("sh", "-c", TRAFFIC, "traffic", self.host.ip4, seconds=120)
            before = self.allocations(agent)
            packets = agent.report()["queues"][0]["packets"]
            self.client.run("sh", "-c", TRAFFIC, "traffic", self.host.ip4, seconds=120)
            after = self.allocations(agent)
            packets = agent.report()["queues"][0]["packets"] - packets
            self.assertGreater(packets, 500)
            agent.settled_report()
            self.assertEqual(set(reasons(agent.events())), {"deny", "out-of-allowed-policy"})
            # The counter counts: the writer of events allocates, and the worker did when it began.
            self.assertGreater(before["queue 0"], 0)
            self.assertGreater(after["events"], before["events"])
            self.assertEqual(after["queue 0"] - before["queue 0"], 0, f"allocations for {packets} packets")


if __name__ == "__main__":
    unittest.main(verbosity=2)
