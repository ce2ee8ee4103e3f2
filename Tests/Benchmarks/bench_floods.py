#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Floods at full speed beside a download, queries and new downloads, with the agent and with the kernel's connection tracking.

The generator has real-time priority; at normal priority busy workers throttle it and flatter themselves. The download that runs is
limited to 43 MB/s by its server; queries go out ten a second and count if their answer comes within one; other downloads, of 1 MB,
follow each other. Every packet that a rule gave to a queue has to be judged or counted as lost, or the program ends with 1. Compare
inside one run only. `make bench-queue`.
"""

import argparse
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "Live"))

import isolation

FLOODS = ("none", "syn", "fragment", "refused", "admitted", "ack")
POLICY = """
version: 1
%squeue: { numbers: "%s", flood-numbers: %s }
rules:
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
  - { name: Names, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 53 } }
engine: { fast-path: %s, timeouts: { cold-start: 0s, boot-start: 0s } }
"""
COOKIES = "stateful: { tcp: { syn-flood: { cookies: on } } }\n"
PROGRAM = os.path.abspath(os.environ.get("FASTPATH_OBJECT") or ".build/fastpath.o")
PINS = "/run/portreeve-fast-path"
TRACKING = """*filter
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A INPUT -p tcp --dport 80 --syn -m conntrack --ctstate NEW -j ACCEPT
-A INPUT -p udp --dport 53 -m conntrack --ctstate NEW -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -j DROP
COMMIT
"""
# Prints the bytes that came within each tenth of a second, until SIGTERM.
READER = """
import signal, socket, sys, time
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
s = socket.create_connection((sys.argv[1], 80), 10)
s.settimeout(0.05)
s.sendall(b'GET /long HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')
print('running', flush=True)
total, buffer = 0, bytearray(1 << 20)
while not ended:
    try:
        count = s.recv_into(buffer)
        if not count: break
        total += count
    except TimeoutError:
        pass
    print(f'{time.monotonic():.3f} {total}') if total else None
"""
# Ten queries a second: how many, and how many answers within a second.
QUERIES = """
import select, signal, socket, struct, sys, time
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], 53))
s.setblocking(False)
name = b'\\x03lab\\x04test\\x00\\x00\\x01\\x00\\x01'
sent, answered, number, due = {}, 0, 0, time.monotonic()
while not ended or any(time.monotonic() - at < 1 for at in sent.values()):
    now = time.monotonic()
    if now >= due and not ended:
        number += 1
        due += 0.1
        sent[number] = now
        try: s.send(struct.pack('>HHHHHH', number, 0x100, 1, 0, 0, 0) + name)
        except OSError: pass
    if select.select([s], [], [], 0.02)[0]:
        try: answer = struct.unpack('>H', s.recv(600)[:2])[0]
        except OSError: continue
        answered += time.monotonic() - sent.pop(answer, -9) <= 1
print(number, answered)
"""
# One download of 1 MB after the other: how many came whole, and how many did not, within 8 s each.
DOWNLOADS = """
import signal, subprocess, sys
ended, whole, failed = [], 0, 0
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
while not ended:
    done = subprocess.run(['curl', '-sf', '-m', '8', '-o', '/dev/null', f'http://{sys.argv[1]}/small']).returncode == 0
    whole, failed = whole + done, failed + (not done)
print(whole, failed)
"""


def prefer(process):
    """Before what else the machine has to do, and behind the generator: the servers and the agent alike."""
    children = [process]
    for pid in children:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.setpriority(os.PRIO_PROCESS, int(thread), -10)
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                children += map(int, file.read().split())


class Contestant:
    def __init__(self, name, queues=None, floods="auto", cookies="", program="off", tracks=True):
        self.name, self.queues, self.floods, self.cookies, self.program, self.tracks = name, queues, floods, cookies, program, tracks


CONTESTANTS = (
    Contestant("kernel conntrack"), Contestant("portreeve, 1 worker", 1), Contestant("portreeve, 2 workers", 2),
    Contestant("one queue for all, 1 worker", 1, "off"))
# RFC 3511 5.5: what is established in a flood of SYNs.
OPENINGS = (
    Contestant("no agent", tracks=False), Contestant("kernel conntrack"), Contestant("queue only", 1),
    Contestant("cookie mode", 1, cookies=COOKIES), Contestant("cookie mode and fast path", 1, cookies=COOKIES, program="on"))


class Round:
    """One flood at one contestant."""

    def __init__(self, lab, contestant, kind, seconds):
        self.lab, self.contestant, self.kind, self.seconds = lab, contestant, kind, seconds
        self.client, self.router, self.host = lab.client, lab.router, lab.host

    def play(self):
        from agent import Agent
        from lab import wait_until
        agent = None
        self.host.flush_rules()
        if self.contestant.queues:
            numbers = "0" if self.contestant.queues == 1 else f"0-{self.contestant.queues - 1}"
            policy = POLICY % (self.contestant.cookies, numbers, self.contestant.floods, self.contestant.program)
            agent = Agent(self.host, policy, queues=(0, self.contestant.queues - 1), fold="1s",
                          name=os.path.basename(self.lab.file("agent"))).start()
            prefer(agent.process.pid)
            if self.contestant.program == "on":
                agent.tool("iptables", "--apply", "--program", PROGRAM, "--hook", "prerouting", seconds=60)
                wait_until(lambda: agent.report()["fast_path"]["state"] == "active", "the fast path is used")
            else:
                agent.feed_as_printed("--hook", "prerouting")
        elif self.contestant.tracks:
            self.host.rules(TRACKING, [4])
        self.most = {"entries": 0, "half-open": 0, "MiB": 0}
        try:
            row = self.measure(agent)
            if agent:
                row.update(self.sums(agent), **self.most)
        finally:
            if agent:
                agent.stop()
            self.host.flush_rules()
            self.host.status("conntrack", "-F")
        return row

    def look(self, agent):
        """What the tables and the process have grown to."""
        report = agent.report()["connections"]
        half_open = sum(row["count"] for row in report["tcp_states"] if row["state"].lower().startswith("syn"))
        now = {"entries": report["tcp"], "half-open": half_open, "MiB": agent.resident_bytes() / 2**20}
        self.most = {name: max(value, now[name]) for name, value in self.most.items()}

    def measure(self, agent):
        from flooding import Flood
        nice = ("nice", "-n", "-10", "/usr/bin/python3", "-c")
        running = [self.client.start(*nice, program, self.host.ip4, name=name)
                   for name, program in (("reader", READER), ("queries", QUERIES), ("downloads", DOWNLOADS))]
        time.sleep(1.5)
        before = time.monotonic()
        sent = None
        if self.kind == "none":
            time.sleep(self.seconds)
        else:
            flood = Flood(self.router, "out0", self.host, "eth0", (self.kind,), seconds=self.seconds, sources="198.18.64.0/18",
                          prefix=("chrt", "-f", "1"))
            if agent:
                time.sleep(self.seconds * 0.8)
                self.look(agent)
            sent = flood.wait(self.seconds + 60)
        after = time.monotonic()
        for process in running:
            process.signal(15)
        for process in running:
            process.wait(30)
        reader, queries, downloads = (process.output() for process in running)
        points = [(float(at), int(total)) for at, total in (line.split() for line in reader.splitlines()[1:])]
        inside = [point for point in points if before + 0.5 <= point[0] <= after]
        rate = (inside[-1][1] - inside[0][1]) / (after - before - 0.5) if len(inside) > 1 else 0
        asked, answered = map(int, queries.split())
        whole, failed = map(int, downloads.split())
        return {"flood": self.kind, "contestant": self.contestant.name, "pps": sent["sent"] / sent["sec"] if sent else 0,
                "MB/s": rate / 1e6, "asked": asked, "answered": answered, "downloads": whole, "failed": failed}

    def sums(self, agent):
        """Whether arrived = judged + lost, queue by queue where a rule's queue is known."""
        from lab import wait_until

        def are_exact():
            rows = agent.report()["queues"]
            saved = self.host.run("iptables-save", "-c", "-t", "mangle") + self.host.run("ip6tables-save", "-c", "-t", "mangle")
            arrived = sum(int(line[1:].split(":")[0]) for line in saved.splitlines() if "NFQUEUE" in line)
            judged = sum(row["packets"] for row in rows)
            lost = sum(row["kernel_queue_drops"] + row["kernel_socket_drops"] for row in rows)
            result.update({"arrived": arrived, "judged": judged, "lost": lost})
            if self.contestant.cookies:
                result["in kernel"] = agent.report()["floods"]["in_kernel"]
            return arrived == judged + lost

        result = {}
        try:
            wait_until(are_exact, "arrived = judged + lost", 60)
        except TimeoutError:
            result["inexact"] = True
        return result


def table(rows):
    lines = ["| flood | by | packets/s | download MB/s | answers within 1 s | downloads of 1 MB, failed | TCP entries, half-open, memory in the "
             "flood | arrived = judged + lost |", "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        sums = f"{row['arrived']:,} = {row['judged']:,} + {row['lost']:,}" if "arrived" in row else ""
        tables = f"{row['entries']:,}, {row['half-open']:,}, {row['MiB']:.0f} MiB" if row.get("MiB") else ""
        sums += f"; before the queue {row['in kernel']:,}" if "in kernel" in row else ""
        lines.append(
            f"| {row['flood']} | {row['contestant']} | {row['pps']:,.0f} | {row['MB/s']:.1f} | {row['answered']} of {row['asked']} | "
            f"{row['downloads']}, {row['failed']} | {tables} | {sums}{' **not exact**' if 'inexact' in row else ''} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default=".build/release", help="where portreeved and portreeve are")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--floods", default=",".join(FLOODS))
    parser.add_argument("--only", default="", help="contestants whose name has this in it")
    parser.add_argument("--openings", action="store_true", help="establishment under a flood of SYNs, with cookies and the fast path")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    os.environ["PORTREEVE_BIN"] = os.path.abspath(arguments.bin)
    isolation.isolate()
    import services
    from lab import Lab
    rows = []
    if arguments.openings:
        os.makedirs(PINS, exist_ok=True)
        subprocess.run(["mount", "-t", "bpf", "-o", "mode=0750", "bpf", PINS], check=True)
    with Lab() as lab:
        lab.router.run("ip", "route", "add", "blackhole", "198.18.64.0/18")
        # Sparse: nobody keeps 4 GB.
        services.nginx(lab.host, {"small": bytes(1_000_000), "long": b""}, limit="location /long { limit_rate 43m; }")
        os.truncate(os.path.join(lab.directory, "www-80", "long"), 4 << 30)
        services.dnsmasq(lab.host, {"lab.test": "198.18.2.9"})
        for process in lab.processes:
            prefer(process.pid)
        kinds = ("none", "syn") if arguments.openings else arguments.floods.split(",")
        for kind in kinds:
            for contestant in OPENINGS if arguments.openings else CONTESTANTS:
                if arguments.only in contestant.name:
                    rows.append(Round(lab, contestant, kind, arguments.seconds).play())
                    print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(table(rows))
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(rows, file, indent=1)
    if arguments.openings:
        subprocess.run(["umount", "-l", PINS], check=False)
    sys.exit(1 if any("inexact" in row for row in rows) else 0)


main()
