# SPDX-License-Identifier: GPL-3.0-or-later
"""The strict posture, with FTP followed and retransmissions compared, says nothing of honest traffic, whatever the path does to it.

PORTREEVE_SEGMENTS=1000000 has the streams of two kernels be that long; `make strict` does, and keeps what came of it."""

import os
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent
from lab import Lab, wait_until

POLICY = """
version: 1
stateful: { ftp: { incoming-active: true, outgoing-active: true, incoming-passive: true, outgoing-passive: true } }
engine: { anti-evasion: strict, timeouts: { cold-start: 0s, boot-start: 0s } }
rules:
  - { name: In, action: allow, direction: incoming, protocol: tcp, destination: { ports: [7, 21, 80] } }
  - { name: Out, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 1 } }
"""
FILE = bytes(range(251)) * 4_000
SEGMENTS = int(os.environ.get("PORTREEVE_SEGMENTS", 100_000))
SEGMENT_SIZE = 200
# Sends so many bytes to the echo and hears them, from a sequence number that wraps among the first segments.
STREAM = """
import socket, sys, threading
address, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
s = socket.socket(family)
s.setsockopt(6, 2, size)                    # TCP_MAXSEG
try:
    s.setsockopt(6, 19, 1)                  # TCP_REPAIR
    s.setsockopt(6, 20, 2)                  # TCP_REPAIR_QUEUE: of sending
    s.setsockopt(6, 21, 0xffffffff - 50_000 - (1 << 32))  # TCP_QUEUE_SEQ
    s.setsockopt(6, 19, 0)
except PermissionError:
    pass
s.settimeout(600)
s.connect((address, 7))
data = bytes(i * 7 % 256 for i in range(65536))
def send():
    left = count
    while left:
        left -= s.send(data[(count - left) % 65536:][:left])
    s.shutdown(1)
threading.Thread(target=send).start()
at = 0
while piece := s.recv(65536):
    assert piece == (data * 2)[at % 65536:][:len(piece)], at
    at += len(piece)
assert at == count, at
"""


class StrictTests(unittest.TestCase):
    def begin(self, lab):
        self.enterContext(services.nginx(lab.host, {"file": FILE, "index.html": b"short"}))
        self.enterContext(services.vsftpd(lab.host, {"file": FILE}))
        self.enterContext(services.echo(lab.host))
        agent = self.enterContext(Agent(lab.host, POLICY, queues=(0, 1)))
        agent.feed()
        return agent

    def transfers(self, lab):
        """Long and short, both families."""
        for address in (lab.host.ip4, f"[{lab.host.ip6}]"):
            for url in (f"http://{address}/file", f"ftp://{address}/file"):
                size = lab.client.run("curl", "-sSf", "-m", 100, "-o", "/dev/null", "-w", "%{size_download}", url, seconds=110)
                self.assertEqual(size, str(len(FILE)), url)
            lab.client.run("curl", "-sSf", "-m", 100, "-P", "-", "-o", "/dev/null", f"ftp://{address}/file", seconds=110)
            lab.client.run("sh", "-c", f"for i in 1 2 3 4 5 6 7 8; do curl -sSf -m 100 -o /dev/null 'http://{address}/'; done", seconds=120)

    def test_losses_with_segmentation_offload(self):
        lab = self.enterContext(Lab())
        agent = self.begin(lab)
        lab.lose(2)
        self.transfers(lab)
        lab.lose(0)
        agent.settled_report()
        self.assertEqual(agent.events(), [])

    def test_losses_doubles_and_another_order(self):
        lab = self.enterContext(Lab(offload=False))
        agent = self.begin(lab)
        client, host = lab.client.mac("eth0"), lab.host.mac("eth0")
        lab.router.sysctl(net__ipv4__ip_forward=0, net__ipv6__conf__all__forwarding=0)
        here = os.path.dirname(os.path.abspath(__file__))
        path = lab.router.start("/usr/bin/python3", os.path.join(here, "crossing.py"), "in0", client, "out0", host, name="crossing")
        wait_until(lambda: "crossing" in path.output(), "the path is there", process=path)
        self.transfers(lab)

        def judged():
            return sum(queue["packets"] for queue in agent.settled_report()["queues"])
        # How many acknowledgements there are is the hosts' business.
        for _ in range(4):
            for address in (lab.host.ip4, lab.host.ip6):
                lab.client.python(STREAM, address, SEGMENTS * SEGMENT_SIZE // 4, SEGMENT_SIZE, seconds=60 + SEGMENTS // 500)
            if (count := judged()) >= SEGMENTS:
                break
        self.assertEqual(agent.events(), [])
        self.assertGreaterEqual(count, SEGMENTS)
        print(f"{count:,} packets judged, no event")


if __name__ == "__main__":
    unittest.main(verbosity=2)
