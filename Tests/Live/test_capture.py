# SPDX-License-Identifier: GPL-3.0-or-later
"""Dropped packets as a capture: what tshark and capinfos read of it while it grows, after rotation, a full disk and a kill."""

import glob
import os
import shutil
import time
import unittest

import isolation

isolation.isolate()

from agent import Agent
from lab import Lab, wait_until

POLICY = """
version: 1
rules:
  - { name: "No telnet; \\"quoted\\" = ü", action: deny, direction: incoming, protocol: tcp, priority: 4, destination: { ports: 23 } }
  - { name: No DNS, action: deny, direction: incoming, protocol: udp, priority: 4, destination: { ports: 53 }, packet-data: true }
  - { name: No ping, action: deny, direction: outgoing, protocol: icmp, priority: 4, icmp: { type: echo-request } }
  - { name: Odd ports, action: deny, direction: incoming, protocol: udp, priority: 4, destination: { ports: 20000-29999 } }
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
"""
FIELDS = ("frame.comment", "frame.interface_name", "frame.packet_flags_direction", "frame.time_epoch", "frame.len", "frame.cap_len",
          "ip.src", "ipv6.src", "tcp.dstport", "udp.dstport", "icmp.type", "udp.payload")
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[2])):
    s.sendto(bytes((number * 7 + place) % 256 for place in range(int(sys.argv[3]))), (sys.argv[1], 20000 + number % 9000))
"""


@unittest.skipUnless(shutil.which("tshark"), "tshark is missing: make deps-lab")
class CaptureTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())

    def agent(self, name, settings="", path=None):
        self.path = path or self.lab.file(f"{name}.pcapng")
        policy = POLICY + f"events: {{ capture: {{ path: {self.path}, {settings} }} }}\n"
        agent = self.enterContext(Agent(self.lab.host, policy, name=name))
        self.addCleanup(self.lab.host.flush_rules)
        agent.feed()
        return agent

    def packets(self, path=None):
        words = ["tshark", "-n", "-r", path or self.path, "-T", "fields", "-E", "separator=\x1f"]
        for field in FIELDS:
            words += ["-e", field]
        lines = self.lab.host.run(*words, seconds=60).splitlines()
        return [dict(zip(FIELDS, line.split("\x1f"))) for line in lines if "\x1f" in line]

    def output(self, agent):
        return next(output for output in agent.report()["outputs"] if output["name"] == "capture")

    def await_written(self, agent, count):
        return wait_until(lambda: (output := self.output(agent))["written"] >= count and output["pending"] == 0 and output,
                          f"{count} packets are written", process=agent.process)

    def send(self, count, size=20):
        self.lab.client.python(SEND, self.lab.host.ip4, count, size)

    def test_what_tshark_reads_while_it_grows(self):
        host, client = self.lab.host, self.lab.client
        agent = self.agent("reading")
        before = time.time()
        client.status("curl", "--interface", client.ip4, "-m", 1, "-s", f"telnet://{host.ip4}:23")
        client.status("dig", "-b", client.ip6, "+time=1", "+tries=1", f"@{host.ip6}", "example.org")
        wait_until(lambda: self.output(agent)["written"] >= 2, "two packets", process=agent.process)
        telnet = self.packets()[0]
        self.assertEqual((telnet["ip.src"], telnet["tcp.dstport"]), (client.ip4, "23"))
        self.assertIn('reason: deny (21, Deny Rule); action: Deny; rule: No telnet; "quoted" = ü; policy: ', telnet["frame.comment"])
        self.assertRegex(telnet["frame.comment"], r"policy\.yaml:4;")
        self.assertIn("sequence: 1", telnet["frame.comment"])
        self.assertEqual(telnet["frame.packet_flags_direction"], "0x00000001")
        self.assertEqual(telnet["frame.interface_name"], host.interfaces[0])
        self.assertTrue(before - 1 <= float(telnet["frame.time_epoch"]) <= time.time() + 1)
        self.assertEqual(len(telnet["frame.time_epoch"].split(".")[1]), 9)
        host.status("ping", "-c", 1, "-W", 1, client.ip4)
        wait_until(lambda: any(packet["icmp.type"] == "8" for packet in self.packets()), "the ping is there", process=agent.process)
        packets = self.packets()
        ping = next(packet for packet in packets if packet["icmp.type"] == "8")
        self.assertEqual(ping["frame.packet_flags_direction"], "0x00000002")
        dns = next(packet for packet in packets if packet["udp.dstport"] == "53")
        self.assertEqual(dns["ipv6.src"], client.ip6)
        # Bytes stand in the event only where its rule wants them.
        events = {event["portreeve"]["rule"]: event for event in agent.events() if "rule" in event["portreeve"]}
        self.assertIn("packet", events["No DNS"])
        self.assertNotIn("packet", events["No ping"])
        self.assertEqual(self.output(agent)["format"], "pcapng")
        said = host.run("capinfos", self.path)
        self.assertRegex(said, r"pcapng")
        self.assertRegex(said, r"Capture application:\s+Portreeve")

    def test_files_end_by_size_and_each_can_be_read(self):
        agent = self.agent("rotating", "size: 1MiB, files: 3, budget: off")
        self.send(3000, 1200)
        self.await_written(agent, 3000)
        agent.tool("reopen")
        self.send(5)
        self.await_written(agent, 3005)
        files = sorted(glob.glob(self.path + "*"))
        self.assertEqual(files, [self.path, self.path + ".1", self.path + ".2"])
        sizes = [os.path.getsize(path) for path in files]
        self.assertLessEqual(max(sizes), 1 << 20)
        numbers = []
        for path in reversed(files):
            packets = self.packets(path)
            self.assertEqual({packet["frame.interface_name"] for packet in packets}, {self.lab.host.interfaces[0]})
            numbers += [int(packet["frame.comment"].rpartition("sequence: ")[2]) for packet in packets]
        self.assertEqual(numbers, list(range(numbers[0], 3006)))
        whole = next(packet for packet in self.packets(files[1]))
        self.assertEqual(len(whole["udp.payload"]), 2400)

    def test_a_killed_agent_leaves_what_the_next_one_goes_on_with(self):
        agent = self.agent("killed")
        self.send(10)
        self.await_written(agent, 10)
        agent.kill()
        with open(self.path, "ab") as file:
            file.write(b"\x06\x00\x00\x00\x80\x00\x00\x00torn")
        agent.start()
        self.send(5)
        self.await_written(agent, 5)
        packets = self.packets()
        self.assertEqual(len(packets), 15)
        self.assertEqual({packet["frame.interface_name"] for packet in packets}, {self.lab.host.interfaces[0]})

    def test_a_file_that_is_something_else_is_left_alone(self):
        path = self.lab.file("letter.txt", "Dear reader, this is no capture.\n")
        with self.assertRaises(Exception) as refused:
            self.agent("else", path=path)
        self.assertIn("no pcapng file", str(refused.exception))
        self.assertIn("events.capture.path", str(refused.exception))
        with open(path) as file:
            self.assertEqual(file.read(), "Dear reader, this is no capture.\n")

    def test_a_full_disk_is_counted_and_not_fatal(self):
        directory = self.lab.file("small")
        os.makedirs(directory)
        path = os.path.join(directory, "dropped.pcapng")
        if os.system(f"mount -t tmpfs -o size=64k tmpfs {directory} 2>/dev/null"):
            self.skipTest("no file system can be mounted here")
        self.addCleanup(os.system, f"umount -l {directory}")
        agent = self.agent("full", path=path)
        self.send(300, 1000)
        trouble = wait_until(lambda: self.output(agent).get("trouble"), "the disk is full", process=agent.process)
        self.assertIn("No space left", trouble)
        wait_until(lambda: agent.report()["outputs"][0]["written"] == 300, "the event file has all", process=agent.process)
        self.assertLessEqual(len(self.packets(path)), 60)
        os.system(f"mount -o remount,size=8m {directory}")
        self.assertEqual(self.await_written(agent, 300)["lost"], 0)
        self.assertEqual(len(self.packets(path)), 300)


if __name__ == "__main__":
    unittest.main(verbosity=2)
