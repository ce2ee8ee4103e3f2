# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve replay`: captures as other programs write them, judged by the program itself."""

import json
import logging
import os
import pty
import shutil
import struct
import subprocess
import tempfile
import unittest

import isolation

isolation.isolate()

# It warns of missing routes.
logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Ether
from scapy.utils import PcapNgWriter, PcapWriter

import records
from agent import binaries

TOOL = os.path.join(binaries(), "portreeve")
HOST, HOST6, PEER, PEER6 = "198.18.2.2", "fd00:2::2", "203.0.113.9", "fd00:9::9"
BEGIN = 1_700_000_000

# Two seconds of a capture fold into one line.
POLICY = """
version: 1
rules:
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
  - { name: No telnet, action: deny, direction: incoming, protocol: tcp, destination: { ports: 23 } }
events: { fold: 10s }
"""
DLT_ETHERNET, DLT_IEEE802_11 = 1, 105
PROGRAMS = {"gzip": "gz", "xz": "xz", "zstd": "zst", "bzip2": "bz2", "lz4": "lz4"}


def syn(port, source=PEER, destination=HOST, sport=40_000):
    network = IPv6(src=source, dst=destination) if ":" in source else IP(src=source, dst=destination)
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / network / TCP(sport=sport, dport=port, flags="S", seq=7)


class ReplayTests(unittest.TestCase):
    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.policy = self.file("policy.yaml", POLICY.encode())

    def file(self, name, content):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def capture(self, packets, name="capture.pcap", link=DLT_ETHERNET):
        """A file with the packets, 100 ms from one to the next."""
        path = os.path.join(self.directory, name)
        writer = PcapNgWriter(path) if name.endswith("ng") else PcapWriter(path, linktype=link)
        for number, packet in enumerate(packets):
            packet.time = BEGIN + number / 10
            writer.write(packet if link == DLT_ETHERNET else bytes(packet))
        writer.close()
        return path

    def replay(self, *words, status=0, **options):
        """Events, and what standard error says."""
        done = subprocess.run(
            [TOOL, "replay", "--policy", self.policy, *words], capture_output=True, timeout=60, **options)
        self.assertEqual(done.returncode, status, done.stderr.decode())
        self.output = done.stdout
        return records.parsed(done.stdout.splitlines()), done.stderr.decode()

    def found(self, events):
        return [(e["frame"]["number"], e["portreeve"]["reason"], e["portreeve"].get("rule")) for e in events]

    mixed = [
        syn(80), syn(23, sport=40_001), syn(443, sport=40_002), syn(23, PEER6, HOST6), syn(23, "192.0.2.1", "192.0.2.2"),
        syn(53, HOST, PEER)]
    expected = [(2, "deny", "No telnet"), (3, "out-of-allowed-policy", None), (4, "deny", "No telnet")]

    def test_events_on_standard_output_and_a_summary_on_standard_error(self):
        path = self.capture(self.mixed)
        events, summary = self.replay("--no-fold", "--local", f"{HOST}/31", "--local", HOST6, path)
        self.assertEqual(self.found(events), self.expected)
        self.assertEqual([e["timestamp"] for e in events], [f"2023-11-14T22:13:20.{n}00000+0000" for n in (1, 2, 3)])
        self.assertEqual((events[2]["src_ip"], events[2]["dest_ip"], events[2]["dest_port"]), (PEER6, HOST6, 23))
        self.assertIn("6 packets: 2 passed, 3 dropped, 1 neither from nor to this host\n", summary)
        self.assertIn("  2 deny\n  1 out-of-allowed-policy\n", summary)
        self.assertRegex(summary, r"[1-9][0-9,]* packets/s\n$")

    def test_frames_that_the_kernel_never_shows(self):
        """What is only seen here: a frame that ends in its link header, and one of IP without a byte of it."""
        whole = bytes(syn(80))
        path = self.file("cut.pcap", b"")
        writer = PcapWriter(path, linktype=DLT_ETHERNET)
        for frame in (whole, whole[:13], whole[:14], whole):
            writer.write(frame)
        writer.close()
        events, _ = self.replay("--no-fold", "--local", HOST, path)
        self.assertEqual(self.found(events), [(2, "unreadable-ethernet-header", None), (3, "no-ip-header", None)])
        self.assertEqual({e["portreeve"]["cause"] for e in events}, {"malformed"})

    def test_without_a_local_address_the_machine_that_takes_part_in_everything_is_this_host(self):
        """A server that is attacked, and at last a client of its own."""
        attack = [syn(23, f"203.0.113.{n}") for n in range(1, 9)]
        events, summary = self.replay("--no-fold", self.capture([*attack, syn(443, HOST, "203.0.113.200")]))
        self.assertEqual(self.found(events), [(n, "deny", "No telnet") for n in range(1, 9)])
        self.assertRegex(summary, rf"(?m)^this host is taken to be {HOST}")
        self.assertNotIn("warning", summary)

    def test_of_two_machines_the_one_that_is_connected_to_is_this_host_by_a_guess(self):
        refusal = Ether() / IP(src=HOST, dst=PEER) / TCP(sport=23, dport=40_000, flags="RA", seq=0, ack=8)
        for packets in ([syn(23), refusal], [refusal, syn(23)]):
            events, summary = self.replay("--no-fold", self.capture(packets))
            self.assertIn("deny", [reason for _, reason, _ in self.found(events)])
            self.assertRegex(summary, rf"(?m)^warning: this host is taken to be {HOST}, by a guess: .*--local says which$")
        self.assertNotIn("taken to be", self.replay("--local", PEER, self.capture([syn(23)]))[1])

    def test_standard_input_is_read_once(self):
        with open(self.capture([syn(23)]), "rb") as capture:
            events, summary = self.replay("--no-fold", "-", stdin=capture)
        self.assertEqual(self.found(events), [])
        self.assertRegex(summary, r"(?m)^warning: standard input is read only once")

    def test_pcapng_is_judged_alike(self):
        for name in ("capture.pcapng", "capture.pcap"):
            events, _ = self.replay("--no-fold", "--local", HOST, "--local", HOST6, self.capture(self.mixed, name))
            self.assertEqual(self.found(events), self.expected, name)
            with open(os.path.join(self.directory, name), "rb") as file:
                self.assertEqual(file.read(4).hex(), "0a0d0d0a" if name.endswith("ng") else "d4c3b2a1")

    def test_standard_input(self):
        with open(self.capture(self.mixed), "rb") as capture:
            events, _ = self.replay("--no-fold", "--local", HOST, "--local", HOST6, "-", stdin=capture)
        self.assertEqual(self.found(events), self.expected)

    def test_events_fold_as_the_policy_says(self):
        path = self.capture([syn(23, sport=40_000 + n) for n in range(5)])
        events, summary = self.replay("--local", HOST, path)
        single, _ = self.replay("--no-fold", "--local", HOST, path)
        self.assertEqual(sum(e["portreeve"]["count"] for e in events), 5)
        self.assertLess(len(events), 5)
        self.assertEqual(self.found(single), [(n, "deny", "No telnet") for n in range(1, 6)])
        self.assertIn("5 packets: 0 passed, 5 dropped\n", summary)

    def test_several_files_are_one_stretch_of_time(self):
        """The second begins in the middle of a connection that the first has opened."""
        client = Ether() / IP(src=PEER, dst=HOST)
        server = Ether() / IP(src=HOST, dst=PEER)
        opening = [client / TCP(sport=5, dport=80, flags="S", seq=1), server / TCP(sport=80, dport=5, flags="SA", seq=1, ack=2)]
        rest = [client / TCP(sport=5, dport=80, flags="A", seq=2, ack=2), syn(23)]
        files = [self.capture(opening, "1.pcap"), self.capture(rest, "2.pcapng")]
        events, summary = self.replay("--no-fold", "--local", HOST, *files)
        self.assertEqual(self.found(events), [(2, "deny", "No telnet")])
        self.assertIn("4 packets: 3 passed, 1 dropped\n", summary)

    @unittest.skipUnless(shutil.which("mergecap") and shutil.which("capinfos"), "needs wireshark-common: make deps-lab")
    def test_what_mergecap_writes(self):
        """Interfaces with different link types, snap lengths and clocks, which libpcap reads to the first of another kind; some in the
        byte order of another machine, and one whose frames cannot be replayed."""
        client = lambda port: IP(src=PEER, dst=HOST) / TCP(sport=40_000 + port, dport=port, flags="S", seq=7)
        parts = []
        for number, (link, snap, nano, endian) in enumerate((
                (1, 262144, False, "<"), (1, 96, False, ">"), (101, 65535, True, "<"), (113, 1500, True, ">"), (DLT_IEEE802_11, 262144, False, "<"),
                (276, 200, False, "<"))):
            path = os.path.join(self.directory, f"part{number}.pcap")
            with open(path, "wb") as file:
                file.write(struct.pack(endian + "IHHIIII", 0xa1b23c4d if nano else 0xa1b2c3d4, 2, 4, 0, 0, snap, link))
                for fraction, port in ((0, 80), (500_000 * (1_000 if nano else 1), 23)):
                    packet = client(port)
                    frame = bytes({1: Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet, 113: CookedLinux(proto=0x800) / packet,
                                   276: CookedLinuxV2(proto=0x800) / packet}.get(link, packet))
                    file.write(struct.pack(endian + "IIII", BEGIN + number, fraction, len(frame), len(frame)) + frame)
            parts.append(path)
        merged = os.path.join(self.directory, "merged.pcapng")
        for chosen in (parts[:2], parts[:4], parts, parts[::-1]):
            subprocess.run(["mergecap", "-w", merged, *chosen], check=True)
            if len(chosen) == 6:
                told = subprocess.run(["capinfos", "-I", merged], capture_output=True, text=True, check=True).stdout
                self.assertIn("Number of interfaces in file: 6", told)
            events, summary = self.replay("--no-fold", "--local", HOST, merged)
            foreign = 2 * (parts[4] in chosen)
            self.assertEqual([rule for _, _, rule in self.found(events)], ["No telnet"] * (len(chosen) - foreign // 2), chosen)
            self.assertIn(f"{2 * len(chosen) - foreign} packets: ", summary)
            self.assertEqual("  2 of links that cannot be replayed, left out" in summary, bool(foreign))
            times = [event["timestamp"][17:23] for event in events]
            self.assertEqual(times, sorted(times))
        self.assertEqual(times, ["20.500", "21.500", "22.500", "23.500", "25.500"])
        # The same packets one by one are the same events.
        single, _ = self.replay("--no-fold", "--local", HOST, *parts[:4], parts[5])
        key = lambda event: (event["timestamp"], event["portreeve"]["reason"], event["src_port"])
        self.assertEqual([key(event) for event in single], [key(event) for event in events])

    @unittest.skipUnless(all(map(shutil.which, PROGRAMS)), "needs what compresses: make deps-lab")
    def test_compressed_files_are_read_as_they_are(self):
        path = self.capture(self.mixed)
        words = ("--no-fold", "--local", HOST, "--local", HOST6)
        for program, ending in PROGRAMS.items():
            packed = f"{path}.{ending}"
            with open(packed, "wb") as file:
                subprocess.run([program, "-c", path], stdout=file, check=True)
            self.assertEqual(self.found(self.replay(*words, packed)[0]), self.expected, program)
            with open(packed, "rb") as file:
                self.assertEqual(self.found(self.replay(*words, "-", stdin=file)[0]), self.expected, program)
            with open(packed, "rb") as file:
                torn = self.file(f"torn.{ending}", file.read()[:-20])
            said = self.replay(*words, torn, status=1)[1]
            self.assertRegex(said, rf"{torn}: .*(its compressed data ends too early|{program} could not decompress it to its end)")
        # Through a pipe the first bytes cannot be read twice.
        with open(f"{path}.xz", "rb") as file:
            said = self.replay(*words, "-", input=file.read(), status=1)[1]
        self.assertIn("it is compressed with xz; decompress it before: xz -dc", said)
        with open(f"{path}.gz", "rb") as file:
            self.assertEqual(self.found(self.replay(*words, "-", input=file.read())[0]), self.expected)

    def test_folders_are_read_in_the_order_of_their_paths(self):
        folder = os.path.join(self.directory, "captures")
        os.makedirs(f"{folder}/b/later")
        for name, port in (("b/2.pcap", 23), ("a.pcap", 443), ("b/later/0.pcapng", 22), ("b/1.cap", 21)):
            path = self.capture([syn(port)], os.path.basename(name))
            shutil.move(path, f"{folder}/{name}")
        self.file("captures/notes.txt", b"no capture")
        subprocess.run(["gzip", f"{folder}/b/1.cap"], check=True)
        events, summary = self.replay("--no-fold", "--local", HOST, folder, self.capture([syn(20)], "last.pcap"))
        self.assertEqual([event["dest_port"] for event in events], [443, 21, 23, 22, 20])
        self.assertIn("5 packets: ", summary)
        os.mkdir(f"{folder}/empty")
        self.assertIn("no file in it has a capture's name", self.replay(f"{folder}/empty", status=1)[1])

    def test_the_summary_as_json(self):
        path = self.capture(self.mixed)
        done = subprocess.run(
            [TOOL, "replay", "--policy", self.policy, "--no-fold", "--json", "--local", HOST, "--local", HOST6, path], capture_output=True,
            timeout=60, check=True)
        *events, summary = map(json.loads, done.stdout.splitlines())
        self.assertEqual((len(events), summary["packets"], summary["passed"], summary["dropped"], summary["of_others"]), (3, 6, 2, 3, 1))
        self.assertEqual({row["reason"]: row["dropped"] for row in summary["reasons"]}, {"deny": 2, "out-of-allowed-policy": 1})
        self.assertEqual(done.stderr, b"")

    def test_progress_on_a_terminal_alone(self):
        """The first 2,048 packets of each reading are told of at once."""
        path = self.capture([syn(23, sport=1 + n % 60_000) for n in range(2_100)])
        for words, readings in ((("--local", HOST), 1), ((), 2)):
            ours, its = pty.openpty()
            done = subprocess.run(
                [TOOL, "replay", "--policy", self.policy, *words, path], stdout=subprocess.DEVNULL, stderr=its, timeout=60, check=True)
            os.close(its)
            text = os.read(ours, 65_536).decode()
            os.close(ours)
            self.assertRegex(text, r"\r\d+ %, 2,048 packets read, [\d,]+ packets/s, about [\d,]+ s left", words)
            # The line is gone before the summary comes.
            self.assertRegex(text, r"\r +\r(this host|warning|2,100 packets)")
        self.assertNotIn("\r", self.replay("--local", HOST, path)[1])

    def test_standard_input_in_the_place_of_any_file(self):
        """Also where a file is read more than once; twice it is nobody's."""
        path = self.capture(self.mixed)
        with open(self.policy, "rb") as file:
            policy = file.read()
        with open(path, "rb") as file:
            capture = file.read()

        def run(*words, input):
            done = subprocess.run([TOOL, *words], input=input, capture_output=True, timeout=60)
            return done.returncode, done.stdout.decode(), done.stderr.decode()

        status, text, _ = run("check", "-", input=policy)
        self.assertEqual((status, "<stdin>: 2 rules in 1 file" in text), (0, True), text)
        self.assertIn("<stdin>:2:7: error: ", run("check", "-", input=b"version: 1\nmode: inlin\n")[2])
        other = self.file("other.yaml", POLICY.replace("ports: 80", "ports: 81").encode())
        for words in (("-", other), (other, "-")):
            status, text, said = run("diff", *words, input=policy)
            self.assertEqual((status, "80" in text), (2, True), said)
        status, text, _ = run("diff", self.policy, other, "--local", HOST, "--over", "-", input=capture)
        self.assertEqual((status, "traffic: 1 of " in text), (2, True), text)
        status, text, said = run("explain", "--policy", self.policy, "--capture", "-", "--packet", "2", "--local", HOST, input=capture)
        self.assertEqual((status, "packet 2 of <stdin>" in text, "No telnet" in text), (2, True, True), text + said)
        status, text, said = run("explain", "--policy", "-", "--capture", path, "--packet", "2", "--local", HOST, input=policy)
        self.assertEqual((status, "No telnet" in text), (2, True), text + said)
        status, text, said = run("replay", "--policy", "-", "--no-fold", "--local", HOST, path, input=policy)
        self.assertEqual((status, len(text.splitlines())), (0, 2), said)
        plan = b"version: 1\ntests:\n  - { target: 127.0.0.1, protocol: tcp, ports: 9 }\n"
        status, text, said = run("scan", "--dry-run", "--plan", "-", input=plan)
        self.assertEqual((status, "tcp 127.0.0.1 9" in text), (0, True), said)
        self.assertIn("<stdin>:", run("scan", "--dry-run", "--plan", "-", input=b"tests: []\n")[2])
        row = {"v": 1, "test": None, "probe": 0, "proto": "tcp", "dst": "127.0.0.1:9", "category": "open", "detail": "connected"}
        status, text, said = run("scan", "--target", "127.0.0.1", "-t", "9", "-i", "200", "--retries", "0", "--diff", "-",
                                 input=json.dumps(row).encode() + b"\n")
        self.assertEqual((status, "was open connected; is handshake_refused" in text), (1, True), text + said)
        events = run("replay", "--policy", self.policy, "--no-fold", "--local", HOST, path, input=b"")[1]
        status, text, said = run("events", "--file", "-", "--summary", input=events.encode())
        self.assertEqual((status, "No telnet" in text), (0, True), said)
        for words in (("diff", "-", "-"), ("replay", "--policy", "-", "-"), ("explain", "--policy", "-", "--capture", "-", "--packet", "1")):
            self.assertEqual(run(*words, input=policy)[0], 64, words)

    def test_two_processes_give_the_same_bytes(self):
        path = self.capture([
            Ether() / IP(src=f"203.0.113.{n % 200}", dst=HOST) / UDP(sport=1000 + n % 7, dport=n % 13) for n in range(2000)])
        outputs = set()
        for _ in range(2):
            self.replay("--local", HOST, path)
            outputs.add(self.output)
        self.assertEqual(len(outputs), 1)
        self.assertGreater(outputs.pop().count(b"\n"), 100)

    def test_what_cannot_be_replayed_is_refused_by_name(self):
        frame = syn(23)
        whole = self.capture([frame, frame])
        with open(whole, "rb") as file:
            torn = self.file("torn.pcap", file.read()[:-10])
        for path, words in (
                (os.path.join(self.directory, "none.pcap"), "No such file or directory"),
                (self.file("text.pcap", b"no capture at all"), "expected a pcap or pcapng file"),
                (self.capture([frame], "wlan.pcap", DLT_IEEE802_11), "link type IEEE802_11 cannot be replayed"),
                (torn, "frame 2: ")):
            with self.subTest(path):
                events, said = self.replay("--no-fold", "--local", HOST, whole, path, status=1)
                self.assertIn(f"{path}: ", said)
                self.assertIn(words, said)
                # What came before it has been judged.
                self.assertEqual(len(events), 3 if path == torn else 2)
                self.assertRegex(said, r"(?m)^[23] packets: 0 passed, [23] dropped$")

    def test_a_policy_that_is_wrong(self):
        self.policy = self.file("bad.yaml", b"version: 1\nmode: inlin\n")
        _, said = self.replay(self.capture(self.mixed), status=1)
        self.assertIn(f"{self.policy}:2:7: error: ", said)
        self.policy = "/none.yaml"
        self.assertIn("/none.yaml", self.replay(self.capture(self.mixed), status=1)[1])

    def test_output_that_cannot_be_written(self):
        """A full disk behind standard output."""
        small, large = [self.capture([syn(23, sport=n) for n in range(1, count)], f"{count}.pcap") for count in (2, 3000)]
        for words in (["replay", "--policy", self.policy, "--no-fold", "--local", HOST, path] for path in (small, large)):
            self.assert_fails_on_a_full_disk(*words)
        self.assert_fails_on_a_full_disk("schema")
        self.assert_fails_on_a_full_disk("reasons")

    def assert_fails_on_a_full_disk(self, *words):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([TOOL, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertTrue(done.stderr.endswith("standard output: No space left on device\n"), done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
