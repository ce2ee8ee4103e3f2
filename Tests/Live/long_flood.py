# SPDX-License-Identifier: GPL-3.0-or-later
"""A flood of everything for as long as is wanted, and what of the agent has to stay bounded in it and be right after it."""

import os
import time

import services
from agent import Agent
from flooding import Flood
from lab import CommandFailed, wait_until

KINDS = ("syn", "fragment", "refused", "admitted", "ack")
HALF_OPEN, UDP_LIMIT, FRAGMENTED = 2, 1000, 500
# Each file of events, and how many there may be with the one being written.
EVENT_BYTES, EVENT_FILES = 4 << 20, 4
# More SYNs and datagrams than that are under way within the second that an entry lives.
POLICY = f"""
version: 1
queue: {{ numbers: "0-1" }}
rules:
  - {{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: {{ ports: 80 }} }}
  - {{ name: Names, action: force-allow, direction: incoming, protocol: udp, destination: {{ ports: 53 }} }}
stateful: {{ tcp: {{ limits: {{ half-open-per-computer: {HALF_OPEN} }} }} }}
engine:
  timeouts: {{ syn-sent: 1s, syn-received: 1s, udp: 1s, closed: 1s, error: 1s, cold-start: 0s, boot-start: 0s, fragment: 1s }}
  limits: {{ udp: {UDP_LIMIT}, fragmented-datagrams: {FRAGMENTED} }}
"""
FILES = f"rotate: {{ size: {EVENT_BYTES >> 20}MiB, keep: {EVENT_FILES - 1} }}"
# The flood's computers: the last of them are the client's afterwards.
NETWORK, COMPUTERS = "198.18.64.0/22", 1024
RETURNING = [f"198.18.67.{number}" for number in range(200, 210)]

# Opens so many connections at once from an address, and says how many are there after a while.
OPENINGS = """
import socket, sys, time
sockets = []
for _ in range(int(sys.argv[3])):
    s = socket.socket()
    s.bind((sys.argv[1], 0))
    s.settimeout(5)
    s.connect((sys.argv[2], 80))
    sockets.append(s)
print(len(sockets))
"""


class LongFlood:
    """`host` with the agent, nginx and dnsmasq, flooded from the router's end of its cable."""

    def __init__(self, lab):
        self.lab, self.client, self.router, self.host = lab, lab.client, lab.router, lab.host
        self.agent = Agent(self.host, POLICY, queues=(0, 1), fold="1s", file_settings=FILES, name="flooded")
        self.problems, self.memory, self.disk, self.entries = [], [], [], []
        self.served = self.asked = 0
        self.sent = self.summary = None

    def run(self, seconds, rate, every=10.0, prefix=()):
        """Floods so long at so many packets a second; what was wrong is in `problems`, in sentences."""
        self.router.run("ip", "route", "add", "blackhole", NETWORK)
        services.nginx(self.host)
        services.dnsmasq(self.host, {"lab.test": "198.18.2.9"})
        self.agent.start()
        self.agent.feed_as_printed("--hook", "prerouting")
        flood = Flood(self.router, "out0", self.host, "eth0", KINDS, rate, seconds, sources=NETWORK, prefix=prefix)
        begun = time.monotonic()
        while flood.process.is_running:
            self.look()
            pause = begun + len(self.memory) * every - time.monotonic()
            while pause > 0 and flood.process.is_running:
                time.sleep(min(pause, 0.1))
                pause = begun + len(self.memory) * every - time.monotonic()
        self.sent = flood.wait()
        self.look_after()
        self.look_back()
        return self

    def check(self, is_right, problem):
        if not is_right and len(self.problems) < 50:
            self.problems.append(problem)

    # While it goes on

    def look(self):
        report = self.agent.report()
        connections = report["connections"]
        self.entries.append(connections["tcp"] + connections["udp"])
        self.memory.append(self.agent.resident_bytes())
        self.disk.append(self.bytes_on_disk())
        half_open = sum(row["count"] for row in connections["tcp_states"] if row["state"].lower().startswith("syn"))
        self.check(half_open <= HALF_OPEN * (COMPUTERS + 16), f"{half_open} half-open connections")
        self.check(connections["udp"] <= UDP_LIMIT, f"{connections['udp']} exchanges over UDP")
        self.check(connections["fragmented_datagrams"] <= FRAGMENTED, f"{connections['fragmented_datagrams']} datagrams")
        self.check_sums(report)
        # How many of them come is told, and is no matter of right or wrong.
        self.asked += 1
        self.served += self.ask()

    def bytes_on_disk(self):
        """Of the events, and of what else the agent writes beside them."""
        directory, total = self.agent.directory, 0
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            try:
                total += os.path.getsize(path) if os.path.isfile(path) else 0
            except FileNotFoundError:
                pass
        return total

    def check_sums(self, report):
        for row in report["reasons"]:
            self.check(row["dropped"] == row["written"] + row["pending"] + row["silenced"] + row["lost"], f"the sum of {row}")
            self.check(row["lost"] == 0, f"records lost: {row}")

    def ask(self):
        """Whether a download and a name come within their time."""
        words = ["curl", "-sf", "-m", 5, "-o", "/dev/null", f"http://{self.host.ip4}/"]
        names = ["dig", "+short", "+tries=1", "+time=2", f"@{self.host.ip4}", "lab.test"]
        try:
            return self.client.status(*words)[0] == 0 and "198.18.2.9" in self.client.status(*names)[1]
        except CommandFailed:
            return False

    # After it

    def look_after(self):
        """A second after the last entry's time, which is a second too."""
        wait_until(lambda: not any(row["waiting"] for row in self.host.queues().values()), "the queues are empty", 60)
        time.sleep(2)
        report = self.agent.report()
        connections = report["connections"]
        # What is left are the run's own downloads, which the host has closed.
        left = sum(row["count"] for row in connections["tcp_states"] if row["state"] != "TIME-WAIT") + connections["udp"]
        self.check(left == 0 and connections["refused"] == 0, f"entries are left: {connections}")
        self.check(connections["fragmented_datagrams"] == 0, f"datagrams are left: {connections}")
        for address in RETURNING:
            self.client.run("ip", "addr", "add", f"{address}/32", "dev", "eth0")
            self.router.run("ip", "route", "replace", f"{address}/32", "dev", "in0")
            came = self.client.python(OPENINGS, address, self.host.ip4, HALF_OPEN + 1, check=False).strip()
            self.check(came == str(HALF_OPEN + 1), f"{address} opened after the flood: {came}")
        for _ in range(3):
            self.check(self.ask(), "a download or a name fails after the flood")

    def look_back(self):
        """What was bounded, and where every packet went."""
        early = self.memory[:max(2, len(self.memory) // 10)]
        self.check(max(self.memory) <= 1.1 * max(early) + (16 << 20),
                   f"memory grew from {max(early) >> 20} MiB in the first tenth to {max(self.memory) >> 20} MiB")
        most = EVENT_BYTES * EVENT_FILES + (1 << 20)
        self.check(max(self.disk) <= most, f"{max(self.disk)} bytes on disk, more than {most}")
        try:
            wait_until(self.is_sum_exact, "every packet that a rule gave to a queue was judged or lost to it", 30)
        except TimeoutError as error:
            self.check(False, f"{error}: {self.summary}")
        self.check_sums(self.agent.report())

    def is_sum_exact(self):
        report = self.agent.report()
        saved = [self.host.run(tool, "-c", "-t", "mangle") for tool in ("iptables-save", "ip6tables-save")]
        arrived = sum(int(line[1:].split(":")[0]) for line in "".join(saved).splitlines() if "NFQUEUE" in line)
        rows = report["queues"]
        judged = sum(row["packets"] for row in rows)
        full = sum(row["kernel_queue_drops"] for row in rows)
        buffer = sum(row["kernel_socket_drops"] for row in rows)
        dropped = sum(row["dropped"] for row in rows)
        by_reason = sum(row["dropped"] for row in report["reasons"])
        self.summary = {"arrived": arrived, "judged": judged, "queue full": full, "socket full": buffer, "dropped": dropped,
                        "by reason": by_reason, "written": sum(row["written"] for row in report["reasons"]),
                        "pending": sum(row["pending"] for row in report["reasons"])}
        return arrived == judged + full + buffer and dropped == by_reason
