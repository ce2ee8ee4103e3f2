# SPDX-License-Identifier: GPL-3.0-or-later
"""What collectors make of the events file in their formats: somebody else's parser or validator where one is to be had, else the
published lists of fields."""

import json
import os
import sys
import unittest

import isolation

isolation.isolate()

from agent import Agent
from lab import Lab, wait_until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), ".build/python"))

try:
    import ocsf_emitter._models as ocsf
    import pycef
    from ocsf_emitter.validate import validate
except ImportError:
    pycef = None

POLICY = """
version: 1
rules:
  - { name: "No telnet | = \\\\ end", action: deny, direction: incoming, protocol: tcp, priority: 4, destination: { ports: 23 }, packet-data: true }
  - { name: No DNS, action: deny, direction: incoming, protocol: udp, priority: 4, destination: { ports: 53 } }
  - { name: No ping, action: deny, direction: outgoing, protocol: icmp, priority: 4, icmp: { type: echo-request } }
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
events: { new-connections: [tcp], closed-connections: [tcp] }
"""

# Of the LEEF 2.0 guide's list of predefined attributes, those that are used here.
LEEF_KEYS = {"cat", "sev", "devTime", "src", "dst", "srcPort", "dstPort", "proto", "srcMAC", "dstMAC", "policy",
             "srcBytes", "dstBytes", "srcPackets", "dstPackets"}
# Of the field reference of ECS 8.11: each field set with the fields that are used here.
ECS_FIELDS = {
    "@timestamp": None, "message": None, "ecs": {"version"}, "labels": {"count"}, "host": {"hostname"},
    "event": {"kind", "category", "type", "action", "code", "reason", "provider", "module", "dataset", "severity", "sequence",
              "start", "end", "duration", "original"},
    "source": {"address", "ip", "port", "mac", "bytes", "packets"},
    "destination": {"address", "ip", "port", "mac", "bytes", "packets"},
    "network": {"direction", "type", "iana_number", "transport", "community_id", "bytes", "packets", "vlan"},
    "rule": {"name", "category", "id", "ruleset", "version"}, "user": {"id", "name", "group"},
    "observer": {"vendor", "product", "type", "version", "hostname", "ingress", "egress"}, "portreeve": None,
}


class FormatTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())

    def lines(self, form):
        """Of three packets that are dropped: TCP with its bytes, UDP over IPv6, and one of the host's own; in `opened` and `closed`, of
        a connection that the host refuses at once."""
        host, client = self.lab.host, self.lab.client
        agent = self.enterContext(Agent(host, POLICY, file_settings=f"format: {form}"))
        self.addCleanup(host.flush_rules)
        agent.feed()
        client.status("curl", "--interface", client.ip4, "-m", 1, "-s", f"telnet://{host.ip4}:23")
        client.status("dig", "-b", client.ip6, "+time=1", "+tries=1", f"@{host.ip6}", "example.org")
        host.status("ping", "-c", 1, "-W", 1, client.ip4)

        client.status("nc", "-z", "-w", 5, host.ip4, 81)
        kinds = ("telnet", "No DNS", "No ping", "New Connection Initiated", "Connection Closed")

        def written():
            with open(agent.events_file, encoding="utf-8") as file:
                found = [line for line in file if line.endswith("\n")]
            return all(any(part in line for line in found) for part in kinds) and found
        found = wait_until(written, "five events", process=agent.process)
        self.assertEqual(agent.report()["outputs"][0]["format"], form)
        status, said = agent.tool_status("events")
        self.assertEqual(status, 1)
        self.assertIn(f"is written as {form}", said)
        agent.stop()
        *pick, self.opened, self.closed = [next(line for line in found if part in line) for part in kinds]
        return pick, host, client

    @unittest.skipUnless(pycef, "needs pycef: make deps-lab")
    def test_cef_as_pycef_reads_it(self):
        (telnet, dns, ping), host, client = self.lines("cef")
        # pycef takes no bar in a header, though it is escaped; the extension is what is read here.
        read = pycef.parse(telnet.rstrip("\n").replace(r"No telnet \| = \\ end", "No telnet"))
        self.assertEqual((read["CEFVersion"], read["DeviceVendor"], read["DeviceEventClassID"], read["Severity"]),
                         ("0", "Portreeve", "21", "5"))
        self.assertEqual((read["src"], read["dst"], read["dpt"], read["proto"], read["act"]),
                         (client.ip4, host.ip4, "23", "TCP", "Deny"))
        self.assertEqual(read["TCP Flags"], "0x02 SYN")
        self.assertEqual(read["Rule"], r"No telnet | \= \\ end")
        self.assertRegex(read["Policy Line"], r"policy\.yaml:4$")
        self.assertIn("in", read)
        self.assertNotIn("out", read)
        self.assertTrue(read["portreevePacketData"])
        read = pycef.parse(dns.rstrip("\n"))
        self.assertEqual((read["Name"], read["Source IPv6 Address"], read["Destination IPv6 Address"]),
                         ("No DNS", client.ip6, host.ip6))
        read = pycef.parse(ping.rstrip("\n"))
        self.assertEqual((read["deviceDirection"], read["ICMP Type and Code"]), ("1", "8 0"))
        self.assertIn("out", read)

        opened, read = pycef.parse(self.opened.rstrip("\n")), pycef.parse(self.closed.rstrip("\n"))
        self.assertEqual((opened["DeviceEventClassID"], opened["act"], opened["TCP Flags"]), ("142", "Notice", "0x02 SYN"))
        self.assertEqual((read["DeviceEventClassID"], read["act"], read["portreeveEnded"], read["portreevePacketsIn"],
                          read["portreevePacketsOut"]), ("916", "Notice", "reset-by-responder", "1", "1"))
        self.assertEqual((read["in"], read["out"], read["externalId"]), (opened["in"], "40", opened["externalId"]))
        self.assertEqual(int(read["end"]) - int(read["start"]), int(read["portreeveDurationMilliseconds"]))
        self.assertNotIn("TCP Flags", read)

    def test_leef_by_its_published_list(self):
        (telnet, dns, ping), host, client = self.lines("leef")
        for line, number, reason in ((telnet, "21", "Deny Rule"), (dns, "21", "Deny Rule"), (ping, "21", "Deny Rule"),
                                     (self.opened, "142", "New Connection Initiated"), (self.closed, "916", "Connection Closed")):
            *header, attributes = line.rstrip("\n").split("|", 6)
            self.assertEqual(header[:3] + header[4:], ["LEEF:2.0", "Portreeve", "Portreeve", number, "x09"])
            read = dict(pair.split("=", 1) for pair in attributes.split("\t"))
            self.assertEqual(read["desc"], reason)
            own = {key for key in read if key.startswith("portreeve")}
            known = LEEF_KEYS | {"name", "desc", "act", "cnt", "in", "out", "direction", "start", "end", "dvchost", "reason", "suid", "suser", "externalId",
                                 "cs2", "cs2Label", "cs3", "cs3Label", "cs4", "cs4Label", "deviceInboundInterface",
                                 "deviceOutboundInterface", "msg"}
            self.assertLessEqual(set(read) - own, known)
        self.assertEqual([read[key] for key in ("srcPackets", "dstPackets", "dstBytes", "portreeveEnded")],
                         ["1", "1", "40", "reset-by-responder"])
        self.assertEqual(dict(p.split("=", 1) for p in telnet.rstrip("\n").split("|", 6)[6].split("\t") if p.startswith("policy="))["policy"],
                         r"No telnet | = \\ end")
        self.assertIn(f"\tsrc={client.ip6}\tdst={host.ip6}\t", dns)

    def test_ecs_by_its_published_fields(self):
        lines, host, client = self.lines("ecs")
        for line in [*lines, self.opened, self.closed]:
            record = json.loads(line)
            self.assertLessEqual(set(record), set(ECS_FIELDS))
            for key, fields in ECS_FIELDS.items():
                if fields and key in record:
                    self.assertLessEqual(set(record[key]), fields)
            if line in lines:
                self.assertEqual(record["event"]["type"], ["connection", "denied"])
        opened, closed = json.loads(self.opened), json.loads(self.closed)
        self.assertEqual((opened["event"]["type"], closed["event"]["type"]),
                         (["connection", "start", "allowed"], ["connection", "end"]))
        self.assertEqual((closed["source"]["packets"], closed["destination"]["bytes"], closed["network"]["packets"]), (1, 40, 2))
        self.assertEqual(closed["network"]["bytes"], opened["network"]["bytes"] + 40)
        self.assertEqual(closed["event"]["duration"], closed["portreeve"]["duration_ns"])
        telnet, dns, ping = map(json.loads, lines)
        self.assertEqual((telnet["source"]["ip"], telnet["destination"]["port"]), (client.ip4, 23))
        self.assertEqual(telnet["rule"]["name"], r"No telnet | = \ end")
        self.assertEqual((dns["network"]["type"], dns["network"]["transport"]), ("ipv6", "udp"))
        self.assertEqual((ping["network"]["direction"], ping["user"]["id"]), ("egress", "0"))

    @unittest.skipUnless(pycef, "needs ocsf-emitter: make deps-lab")
    def test_ocsf_as_its_validator_takes_it(self):
        lines, host, client = self.lines("ocsf")
        for line in lines:
            record = json.loads(line)
            validate(ocsf.NetworkActivity.model_validate(record))
            self.assertEqual((record["action_id"], record["disposition_id"], record["metadata"]["version"]), (2, 6, "1.5.0"))
        opened, closed = json.loads(self.opened), json.loads(self.closed)
        for record, activity in ((opened, "Open"), (closed, "Reset")):
            validate(ocsf.NetworkActivity.model_validate(record))
            self.assertEqual((record["activity_name"], record["action_id"]), (activity, 1))
        self.assertEqual((closed["traffic"]["packets_out"], closed["traffic"]["packets_in"], closed["traffic"]["bytes_in"]), (1, 1, 40))
        self.assertEqual(closed["end_time"] - closed["start_time"], closed["duration"])
        telnet, _, ping = map(json.loads, lines)
        self.assertEqual((telnet["src_endpoint"]["ip"], telnet["dst_endpoint"]["port"]), (client.ip4, 23))
        self.assertEqual(telnet["firewall_rule"]["name"], r"No telnet | = \ end")
        self.assertEqual(ping["connection_info"]["direction_id"], 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
