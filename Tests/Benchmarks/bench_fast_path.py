#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fast path beside nothing, the kernel's connection tracking, Portreeve's queue and two plain C agents, in one run.

Sockets of the frame guard make recent kernels clone each received packet, so the fast path stands there without them too; "offload by
mark" is Bypass with `offload: true`, where connection marks have the kernel accept a flow; "bypass" the same by the fast path. "Empty program"
is what no program can beat: rules as the fast path's, whose program accepts everything at once.

Client and host are network namespaces joined by a veth pair; what is compared stands at the host, at PREROUTING and OUTPUT.
Portreeve has 10,000 rules and full stateful tracking. Each round starts every contestant anew, in the other order than the round
before; a ratio is of one round. `make bench-queue`; needs root.

  udp     datagrams of 64 exchanges that were answered, as fast as one processor sends them: how many a second reach the host
  ack     acknowledgements of 8 established connections, likewise
  load    100,000 of such datagrams a second: what processor time the agent takes
  bulk    iperf3, one stream, segmentation offloads on
  rtt     round trips of one byte on one TCP connection, microseconds
  crr     connections a second: connect, request, response, close
  ten     10 GB in one connection: how many packets of it came to the queue (Portreeve only)
"""

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import re
import resource
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
QUEUE = os.path.join(HERE, "queue")
sys.path.insert(0, QUEUE)

import bench
from bench import CLIENT_IPS, SRV, Bench, Contestant, Lab, finish, sh

PINS = "/run/portreeve-fast-path"
OTHERS = ("none", "conntrack + connmark", "empty program", "queue")
CLONE_NEWNET = 0x40000000
FLOWS, CONNECTIONS = 64, 8
PRIMARY = {"udp": "pps", "ack": "pps", "load": "cpu_pct", "bulk": "gbps", "rtt": "mean", "crr": "cps", "ten": "queued"}
CONNMARK = """*mangle
-A PREROUTING -i eth0 -m connmark --mark 1/1 -j ACCEPT
-A PREROUTING -i eth0 -m conntrack --ctstate INVALID -j DROP
-A PREROUTING -i eth0 -m conntrack --ctstate ESTABLISHED -j CONNMARK --set-mark 1/1
-A OUTPUT -o eth0 -m connmark --mark 1/1 -j ACCEPT
COMMIT
"""
QUEUED = "*mangle\n-A PREROUTING -i eth0 -j NFQUEUE --queue-num {q}\n-A OUTPUT -o eth0 -j NFQUEUE --queue-num {q}\nCOMMIT\n"
EMPTY = """*mangle
:EMPTY-IN -
:EMPTY-OUT -
-A PREROUTING -j EMPTY-IN
-A OUTPUT -j EMPTY-OUT
-A EMPTY-IN -m bpf --bytecode "1,6 0 0 65535" -j RETURN
-A EMPTY-IN -j DROP
-A EMPTY-OUT -m bpf --bytecode "1,6 0 0 65535" -j RETURN
-A EMPTY-OUT -j DROP
COMMIT
"""
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ = 19, 20, 21


@contextlib.contextmanager
def inside(namespace):
    """This process is in a network namespace meanwhile: sockets that it makes stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as own, open(f"/run/netns/{namespace}") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(own.fileno(), CLONE_NEWNET)


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def frame(macs, source, destination, protocol, payload, at):
    """An Ethernet frame of an IPv4 packet; `at` is where in the payload its checksum stands."""
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    even = payload + b"\0" * (len(payload) % 2)
    value = checksum(addresses + struct.pack(">HH", protocol, len(payload)) + even)
    payload = payload[:at] + struct.pack(">H", value) + payload[at + 2:]
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0) + addresses
    header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
    return (macs + b"\x08\x00" + header + payload).ljust(60, b"\0")


class Peer(Contestant):
    """One contestant; `rules` feed it, unless Portreeve applies its own."""

    def __init__(self, name, command=None, rules=None, program=None):
        self.name, self.cmd, self.rules, self.program = name, command, rules, program
        self.kernel, self.q, self.nq, self.cpus = None if command else "kernel:none", 0, 1, None
        # An agent that has next to nothing to do with a flow leaves its processor to the server, as in `Bench.scpu`.
        self.connmark = program in ("on", "offload", "bypass")
        self.proc = self.log = None


class FastPathBench(Bench):
    def __init__(self, arguments, lab, directory):
        super().__init__(arguments, lab, os.path.join(QUEUE, "build"))
        self.directory, self.tool = directory, os.path.abspath(os.path.join(arguments.bin, "portreeve"))
        self.agent = os.path.abspath(os.path.join(arguments.bin, "portreeved"))
        self.control = os.path.join(directory, "control.sock")

    def policy(self, program):
        lines = ["version: 1", f"events: {{ file: {{ path: {self.directory}/events.jsonl }} }}", 'queue: { numbers: "0" }',
                 f"engine: {{ fast-path: {'on' if program in ('on', 'bypass') else 'off'}, timeouts: {{ cold-start: 0s, boot-start: 0s }} }}", "rules:"]
        for number in range(self.a.rules):
            lines.append(
                f"  - {{ name: Rule {number}, action: deny, direction: incoming, protocol: {'tcp' if number % 2 else 'udp'}, "
                f"source: {{ addresses: 203.0.113.{number % 256} }}, destination: {{ ports: {1 + number % 60000} }} }}")
        if program in ("offload", "bypass"):
            for direction, end in (("incoming", "destination"), ("outgoing", "source")):
                for protocol, ports in (("tcp", "[5201, 9002, 9004, 9101]"), ("udp", "9100")):
                    lines.append(f"  - {{ name: {protocol} {direction}, action: bypass, offload: true, direction: {direction}, "
                                 f"protocol: {protocol}, {end}: {{ ports: {ports} }} }}")
        lines += ["  - { name: TCP, action: allow, direction: incoming, protocol: tcp, destination: { ports: [5201, 9002, 9004, 9101] } }",
                  "  - { name: UDP, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 9100 } }"]
        path = os.path.join(self.directory, f"policy-{program}.yaml")
        with open(path, "w") as file:
            file.write("\n".join(lines) + "\n")
        return path

    def peers(self):
        def portreeve(program, before=""):
            return f"{before}{self.agent} --policy {self.policy(program)} --queue 0 --control {self.control}"
        return [
            Peer("none"), Peer("conntrack + connmark", rules=CONNMARK), Peer("empty program", rules=EMPTY),
            Peer("fast path", portreeve("on"), program="on"),
            Peer("fast path without frame guard", portreeve("on", "setpriv --bounding-set=-net_raw "), program="on"),
            Peer("bypass", portreeve("bypass", "setpriv --bounding-set=-net_raw "), program="bypass"),
            Peer("offload by mark", portreeve("offload"), program="offload"), Peer("queue", portreeve("off"), program="off"),
            Peer("nfq_fast", f"{self.bin}/nfq_fast -q 0 -b 32 -v batch -z -g -r 8388608 -l 8192", QUEUED.format(q=0)),
            Peer("nfq_simple", f"{self.bin}/nfq_simple 0", QUEUED.format(q=0))]

    def report(self):
        return json.loads(sh([self.tool, "status", "--json", "--control", self.control], check=False))

    @contextlib.contextmanager
    def standing(self, peer):
        """The contestant stands at the host meanwhile."""
        self.flush()
        try:
            peer.start(self.lab, self.a.agent_cpus, self.directory, 60)
            if peer.program:
                self.lab.nx(self.lab.fw, [self.tool, "iptables", "--apply", "--hook", "prerouting", "--program", self.a.program,
                                           "--policy", self.policy(peer.program), "--control", self.control])
                wanted = "active" if peer.program in ("on", "bypass") else None
                end = time.monotonic() + 20
                while wanted and self.report()["fast_path"]["state"] != wanted:
                    if time.monotonic() > end: raise RuntimeError(json.dumps(self.report()["fast_path"]))
                    time.sleep(0.2)
            elif peer.rules:
                self.lab.nx(self.lab.fw, "iptables-restore -n", inp=peer.rules)
            yield
        finally:
            self.flush()
            peer.stop()
            peer.proc = None
            for name in os.listdir(PINS):
                with contextlib.suppress(OSError): os.unlink(os.path.join(PINS, name))

    def flush(self):
        for program in ("iptables", "ip6tables"):
            for table in ("mangle", "security", "filter", "raw"):
                self.lab.nx(self.lab.fw, [program, "-t", table, "-F"], check=False)
                self.lab.nx(self.lab.fw, [program, "-t", table, "-X"], check=False)
        self.lab.nx(self.lab.fw, "conntrack -F", check=False)

    # What is sent

    def macs(self):
        def mac(namespace): return bytes.fromhex(re.search(r"link/ether (\S+)", self.lab.nx(namespace, "ip link show eth0")).group(1).replace(":", ""))
        return mac(self.lab.s) + mac(self.lab.c)

    def file(self, frames):
        path = os.path.join(self.directory, "frames")
        with open(path, "wb") as file:
            for one in frames: file.write(struct.pack(">H", len(one)) + one)
        return path

    def blast(self, path, rate, seconds):
        p = self.cmd(self.lab.c, self.a.client_cpu, [f"{self.bin}/frames", "-i", "eth0", "-f", path, "-r", str(rate), "-t", str(seconds), "-b", "16" if rate else "64"])
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        sent = json.loads(finish(p, seconds + 20))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # What it sends is received in its own context.
        sent["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return sent

    @contextlib.contextmanager
    def exchanges(self):
        """Datagrams of exchanges that were answered: the frames' file. What comes later is dropped behind the hooks, and counted."""
        with contextlib.ExitStack() as stack:
            with inside(self.lab.s):
                server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                server.bind((SRV, 9100))
            frames = []
            for number in range(FLOWS):
                own = (CLIENT_IPS[number % len(CLIENT_IPS)], 20000 + number)
                with inside(self.lab.c):
                    client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    client.bind(own)
                client.connect((SRV, 9100))
                client.settimeout(5); server.settimeout(5)
                for _ in range(3):
                    client.send(b"x" * 18)
                    server.sendto(b"y" * 18, server.recvfrom(64)[1])
                    client.recv(64)
                frames.append(frame(self.macs_, own[0], SRV, 17, struct.pack(">HHHH", own[1], 9100, 26, 0) + b"x" * 18, 6))
            time.sleep(1.2)
            self.lab.nx(self.lab.s, "iptables -t filter -A INPUT -p udp --dport 9100 -j DROP")
            try: yield self.file(frames)
            finally: self.lab.nx(self.lab.s, "iptables -t filter -D INPUT -p udp --dport 9100 -j DROP")

    def arrived(self):
        for line in self.lab.nx(self.lab.s, "iptables -t filter -nvxL INPUT").splitlines():
            if "dpt:9100" in line: return int(line.split()[0])
        raise RuntimeError("no counter")

    def udp(self, peer, seconds, rate=0):
        with self.exchanges() as path:
            before, cpu = self.arrived(), peer.snap()
            sent = self.blast(path, rate, seconds)
            after = peer.snap(); time.sleep(0.3)
            row = self.rates(self.arrived() - before, sent)
            if cpu: row["cpu_pct"] = 100 * (after[0] - cpu[0]) / sent["sec"]
            return row

    def rates(self, arrived, sent):
        return {"pps": arrived / (sent["cpu"] if self.a.busy else sent["sec"]), "sent_pps": sent["sent"] / sent["sec"]}

    def ack(self, peer, seconds):
        with contextlib.ExitStack() as stack:
            with inside(self.lab.s):
                listener = stack.enter_context(socket.create_server((SRV, 9101)))
            frames = []
            for number in range(CONNECTIONS):
                with inside(self.lab.c):
                    client = stack.enter_context(socket.socket())
                    client.bind((CLIENT_IPS[number], 0))
                    client.connect((SRV, 9101))
                server = stack.enter_context(listener.accept()[0])
                for _ in range(3):
                    client.sendall(b"x" * 100); server.recv(200); server.sendall(b"y" * 100); client.recv(200)
                time.sleep(0.05)
                client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
                numbers = []
                for queue in (2, 1):  # what it sends, what it gets
                    client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, queue)
                    numbers.append(client.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ) & 0xffffffff)
                client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 0)
                head = struct.pack(">HHIIBBHHH", client.getsockname()[1], 9101, *numbers, 0x50, 0x10, 500, 0, 0)
                frames.append(frame(self.macs_, client.getsockname()[0], SRV, 6, head, 16))
            time.sleep(1.2)
            path = self.file(frames)
            before, cpu = self.segments(), peer.snap()
            sent = self.blast(path, 0, seconds)
            after = peer.snap(); time.sleep(0.3)
            row = self.rates(self.segments() - before, sent)
            if cpu: row["cpu_pct"] = 100 * (after[0] - cpu[0]) / sent["sec"]
            return row

    def segments(self):
        """How many TCP segments the host's stack has got."""
        lines = [line.split() for line in self.lab.nx(self.lab.s, "cat /proc/net/snmp").splitlines() if line.startswith("Tcp:")]
        return int(lines[1][lines[0].index("InSegs")])

    def rtt(self, peer):
        # On one processor, so that no wake-up between two hides what stands in between.
        server = self.cmd(self.lab.s, self.a.client_cpu, [f"{self.bin}/tcprr", "-s", "-p", "9004"]); time.sleep(0.2)
        try: return json.loads(finish(self.cmd(self.lab.c, self.a.client_cpu, [f"{self.bin}/tcprr", "-d", SRV, "-p", "9004", "-n", "20000"]), 30))
        finally: server.kill(); server.wait()

    def ten(self, peer):
        if not peer.program: return {}
        server = self.cmd(self.lab.s, self.scpu(peer), ["iperf3", "-s", "-1", "-p", "5201"], out=subprocess.DEVNULL); time.sleep(0.2)
        try:
            before = sum(row["packets"] for row in self.report()["queues"])
            p = self.cmd(self.lab.c, self.a.client_cpu, ["iperf3", "-c", SRV, "-p", "5201", "-n", "10G" if peer.program in ("on", "bypass") else "1G", "-J"])
            end = json.loads(finish(p, 120))["end"]
            return {"queued": sum(row["packets"] for row in self.report()["queues"]) - before, "gbps": end["sum_received"]["bits_per_second"] / 1e9}
        finally: server.kill(); server.wait()

    def connections(self, peer):
        """Each opens and closes, by packets that every agent judges: all of them have a processor to themselves."""
        shared, peer.connmark = peer.connmark, False
        try: return self.crr(peer, self.a.seconds)
        finally: peer.connmark = shared

    def run(self, peer, test):
        if test == "load": return self.udp(peer, self.a.seconds, 100000)
        if test in ("udp", "ack"): return getattr(self, test)(peer, self.a.seconds)
        if test == "bulk": return self.tcp(peer, self.a.seconds, True)
        if test == "crr": return self.connections(peer)
        return getattr(self, test)(peer)


def table(results, peers, tests):
    """Medians with the least and most, and the ratios to `none`, to the first of the agents' queues and to connection tracking."""
    lines = []
    for test in tests:
        key = PRIMARY[test]
        lines += [f"\n### {test}", f"| by | {key} | " + " | ".join(f"to {other}" for other in OTHERS) + " |", "|---" * (len(OTHERS) + 2) + "|"]
        for peer in peers:
            rows = results[peer.name].get(test, [])
            values = [row[key] for row in rows if row.get(key) is not None]
            if not values: continue
            cells = [f"{bench.fmt(statistics.median(values))} ({bench.fmt(min(values))}–{bench.fmt(max(values))})"]
            for other in OTHERS:
                beside = results[other].get(test, []) if other in results else []
                ratios = [row[key] / base[key] for row, base in zip(rows, beside) if row.get(key) and base.get(key)]
                cells.append(f"{statistics.median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})" if ratios else "")
            lines.append(f"| {peer.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=".build/release", help="where portreeved and portreeve are")
    parser.add_argument("--program", default=".build/fastpath.o", help="the program for the kernel")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rules", type=int, default=10000)
    parser.add_argument("--seconds", type=float, default=2, help="of a measurement")
    parser.add_argument("--tests", default="udp,ack,load,bulk,rtt,crr,ten")
    parser.add_argument("--only", default="", help="contestants, with commas between")
    parser.add_argument("--busy", action="store_true", help="udp and ack per second of the sender's processor time: others want the machine too")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if os.geteuid(): sys.exit("bench_fast_path.py: it loads a program into the kernel and pins processes to processors: run it as root")
    arguments.program = os.path.abspath(arguments.program)
    arguments.client_cpu, arguments.server_cpu, arguments.agent_cpus = "0", "0", "1"
    arguments.streams, arguments.conc = 1, 32
    bench.NICE[:] = ["nice", "-n", "-10"]
    subprocess.run(["make", "-s", "-C", QUEUE], check=True)
    tests = arguments.tests.split(",")
    os.makedirs(PINS, exist_ok=True)
    subprocess.run(["mount", "-t", "bpf", "-o", "mode=0750", "bpf", PINS], check=True)
    lab = Lab("host", f"pf-{os.getpid()}-")
    try:
        with tempfile.TemporaryDirectory(prefix="portreeve-bench.") as directory:
            lab.up()
            lab.offload(True)
            for namespace in lab.ns: lab.nx(namespace, "sysctl -qw net.ipv4.tcp_timestamps=0")
            stand = FastPathBench(arguments, lab, directory)
            stand.macs_ = stand.macs()
            peers = [peer for peer in stand.peers() if not arguments.only or peer.name in arguments.only.split(",")]
            results = {peer.name: {} for peer in peers}
            for round_ in range(arguments.rounds):
                for peer in peers if round_ % 2 == 0 else peers[::-1]:
                    with stand.standing(peer):
                        for test in tests:
                            bench.wait_quiet(3)
                            try: row = stand.run(peer, test)
                            except (subprocess.TimeoutExpired, ValueError, KeyError, OSError) as why: row = {"error": repr(why)}
                            results[peer.name].setdefault(test, []).append(row)
                            print(round_, peer.name, test, json.dumps(row), file=sys.stderr, flush=True)
            print(table(results, peers, tests))
            if arguments.json:
                with open(arguments.json, "w") as file: json.dump(results, file, indent=1)
    finally:
        lab.down()
        subprocess.run(["umount", "-l", PINS], check=False)


main()
