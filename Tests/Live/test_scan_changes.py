# SPDX-License-Identifier: GPL-3.0-or-later
"""What devices on the way make of a probe: each change by a real one, and none where there is none."""

import unittest

import isolation

isolation.isolate()

from lab import Lab, wait_until
from paths import TOOL, Reflector, scan

# The router's rules, and what they are seen as.
CHANGES = (
    ("-A FORWARD -p tcp --syn -j TCPMSS --set-mss 1200", "MSS clamped from {mss} to 1200"),
    ("-A FORWARD -p tcp -j TCPOPTSTRIP --strip-options wscale", "window scale removed from the SYN"),
    ("-A FORWARD -p tcp -j TCPOPTSTRIP --strip-options sack-permitted", "selective acknowledgements removed from the SYN"),
    ("-A FORWARD -p tcp -j TCPOPTSTRIP --strip-options timestamp", "time stamps removed from the SYN"),
    ("-A FORWARD -j DSCP --set-dscp 46", "DSCP changed from 0 to 46"),
)


class ChangeTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.router, cls.host = cls.lab.client, cls.lab.router, cls.lab.host
        cls.reflector = cls.enterClassContext(Reflector(cls.host))

    def changes(self, address, *options):
        found = scan(self.client, address, "-i", "1500", "-t", "6101-6103", *options, key=self.reflector.key)
        rows = [found.of(port, "tcp") for port in (6101, 6102, 6103)]
        return [row["category"] for row in rows], [row.get("on_the_way", []) for row in rows]

    def with_rules(self, table, rule, version):
        tool = {4: "iptables", 6: "ip6tables"}[version]
        words = rule.split()
        self.router.run(tool, "-t", table, *words)
        self.addCleanup(self.router.run, tool, "-t", table, "-D", *words[1:])

    def test_none_where_nothing_is_changed(self):
        for address in (self.host.ip4, self.host.ip6):
            self.assertEqual(self.changes(address), (["open"] * 3, [[]] * 3))

    def test_each_by_the_device_that_makes_it(self):
        for version, address, mss in ((4, self.host.ip4, 1460), (6, self.host.ip6, 1440)):
            for rule, text in CHANGES:
                with self.subTest(rule, version=version):
                    self.with_rules("mangle", rule, version)
                    try:
                        self.assertEqual(self.changes(address), (["open"] * 3, [[text.format(mss=mss)]] * 3))
                    finally:
                        self.doCleanups()

    def test_ecn_that_was_asked_for(self):
        self.client.sysctl(net__ipv4__tcp_ecn=1)
        self.addCleanup(self.client.sysctl, net__ipv4__tcp_ecn=2)
        self.assertEqual(self.changes(self.host.ip4), (["open"] * 3, [[]] * 3))
        self.with_rules("mangle", "-A FORWARD -p tcp -j ECN --ecn-tcp-remove", 4)
        self.assertEqual(self.changes(self.host.ip4), (["open"] * 3, [["ECN removed from the SYN"]] * 3))

    def test_datagrams_marked_by_the_scan_and_on_the_way(self):
        for version, address in ((4, self.host.ip4), (6, self.host.ip6)):
            words = ("-i", "1500", "-t", "6106", "-u", "6106", "--dscp", "10", "--ecn")
            found = scan(self.client, address, *words, key=self.reflector.key)
            self.assertEqual([row.get("on_the_way", []) for row in found.rows], [[], []], found.output)
            self.with_rules("mangle", "-A FORWARD -j DSCP --set-dscp 0", version)
            found = scan(self.client, address, *words, key=self.reflector.key)
            self.assertEqual([row["on_the_way"] for row in found.rows], [["DSCP changed from 10 to 0"]] * 2, found.output)
            self.doCleanups()
            # A field of one byte that is taken away: 0x02 of the second byte of the header, by nftables.
            family, field = ("ip", "ip ecn set not-ect") if version == 4 else ("ip6", "ip6 ecn set not-ect")
            self.router.run("nft", "add", "table", family, "bleach")
            self.addCleanup(self.router.run, "nft", "delete", "table", family, "bleach")
            self.router.run("nft", "add", "chain", family, "bleach", "forward", "{ type filter hook forward priority mangle; }")
            self.router.run("nft", "add", "rule", family, "bleach", "forward", *field.split())
            found = scan(self.client, address, *words, key=self.reflector.key)
            self.assertEqual(found.of(6106, "udp")["on_the_way"], ["ECN field cleared"], found.output)
            self.doCleanups()

    def test_what_goes_with_named_ports_alone_and_waits_out_of_all_bounds(self):
        plan = self.lab.file("plan.yaml", f"version: 1\ntests: [ {{ target: {self.host.ip4}, protocol: tcp, ports: 1 }} ]\n")
        for words in (("--plan", plan, "--mtu"), ("--plan", plan, "--idle", "1s"), ("--plan", plan, "--dscp", "1"),
                      (self.host.ip4, "--mtu", "-t", "1"), (self.host.ip4, "--mtu", "-u", "1", "--size", "3000"),
                      (self.host.ip4, "--idle", "0s", "-t", "1"), (self.host.ip4, "--idle", "56m", "-t", "1"),
                      (self.host.ip4, "--idle", "1s", "-u", "1"), (self.host.ip4, "--dscp", "64", "-t", "1")):
            status, text = self.client.status(TOOL, "scan", "--key", self.reflector.key, *words)
            self.assertEqual(status, 64, f"{words}: {text}")
        status, text = self.client.status(
            TOOL, "scan", self.host.ip4, "--dry-run", "-t", "1-65535", "--sequential", "--retries", "3", "--idle", ",".join(["55m"] * 11),
            seconds=60)
        self.assertIn(status, (0, 64), text)

    def test_translated_source(self):
        self.with_rules("nat", "-A POSTROUTING -o out0 -j MASQUERADE", 4)
        own, router = self.client.ip4, "198.18.2.1"
        self.assertEqual(
            self.changes(self.host.ip4, "-u", "6101"), (["open"] * 3, [[f"source {own} translated to {router}"]] * 3))
        found = scan(self.client, self.host.ip4, "-i", "1500", "-u", "6104", key=self.reflector.key)
        self.assertEqual(found.of(6104, "udp")["on_the_way"], [f"source {own} translated to {router}"])

    def test_a_handshake_that_somebody_else_completed(self):
        proxy = self.router.start("socat", "TCP-LISTEN:6199,reuseaddr,fork", "EXEC:cat", name="proxy")
        wait_until(lambda: self.router.listens(6199), "socat listens", process=proxy)
        self.with_rules("nat", "-A PREROUTING -p tcp --dport 6101:6103 -j REDIRECT --to-ports 6199", 4)
        categories, changes = self.changes(self.host.ip4)
        self.assertNotIn("open", categories)
        self.assertEqual(changes, [["the handshake was completed by something on the way"]] * 3)

    def test_a_connection_that_a_silent_device_forgets(self):
        """The router loses what it knew of the connection that is silent for longer, and lets nothing by that it does not know."""
        self.router.sysctl(net__netfilter__nf_conntrack_tcp_loose=0)
        self.with_rules("mangle", "-A FORWARD -p tcp --dport 6101:6103 -m conntrack --ctstate INVALID -j DROP", 4)
        self.router.sysctl(net__netfilter__nf_conntrack_tcp_timeout_established=3)
        found = scan(
            self.client, self.host.ip4, "-i", "1500", "-t", "6101", "--idle", "1s,6s", "--retries", "2",
            key=self.reflector.key)
        rows = {row.get("test"): (row["category"], row["conclusion"]) for row in found.rows}
        self.assertEqual(rows[None][0], "open")
        self.assertEqual(rows["idle 1s"][0], "open")
        self.assertIn("still passes after 1 s of silence", rows["idle 1s"][1])
        self.assertEqual(rows["idle 6s"][0], "payload_timeout")
        self.assertIn("after 6 s of silence", rows["idle 6s"][1])
        # A long silence is not kept twice.
        self.assertEqual([(row["attempt"], row.get("retry")) for row in found.rows], [(0, None)] * 3)

    def mtu(self, address):
        found = scan(
            self.client, address, "-i", "800", "-u", "6105", "--mtu", "--retries", "0", "--udp-rate", "200", "--locate",
            key=self.reflector.key)
        words = ["scan", "--key", self.reflector.key, "-i", "800", "-u", "6105", "--mtu", "--retries", "0", "--udp-rate", "200"]
        _, text = self.client.status(TOOL, *words, address)
        return found, [line for line in text.splitlines() if "path MTU" in line]

    def test_the_path_mtu_and_who_says_it(self):
        """A link of 1,400 behind the router, and a client whose own link has 1,500."""
        self.lab.host_link.set_mtu(1400)
        self.addCleanup(self.lab.host_link.set_mtu, 1500)
        for address, router in ((self.host.ip4, "198.18.1.1"), (self.host.ip6, "fd00:1::1")):
            _, lines = self.mtu(address)
            self.assertEqual(lines, [f"{address}: path MTU there: 1400, says {router}; back: at least 1400"])

    def test_no_smaller_link(self):
        for address in (self.host.ip4, self.host.ip6):
            _, lines = self.mtu(address)
            self.assertEqual(lines, [f"{address}: path MTU there: 1500, says this host's own link; back: at least 1500"])

    def test_another_link_of_this_host(self):
        self.lab.client_link.set_mtu(1450)
        self.addCleanup(self.lab.client_link.set_mtu, 1500)
        for address in (self.host.ip4, self.host.ip6):
            _, lines = self.mtu(address)
            self.assertEqual(lines, [f"{address}: path MTU there: 1450, says this host's own link; back: at least 1448"])

    def test_black_holes_in_each_direction(self):
        """The router throws what is larger away and says nothing."""
        for rule, there, back in (
                ("-A FORWARD -i in0 -m length --length 1429:65535 -j DROP",
                 "1428 to 1431, larger ones vanish without a word: a black hole", "at least 1428"),
                ("-A FORWARD -i out0 -m length --length 1429:65535 -j DROP", "1500, says this host's own link",
                 "1428 to 1431, larger answers do not come")):
            with self.subTest(rule):
                self.with_rules("mangle", rule, 4)
                try:
                    found, lines = self.mtu(self.host.ip4)
                finally:
                    self.doCleanups()
                self.assertEqual(lines, [f"{self.host.ip4}: path MTU there: {there}; back: {back}"])
                # The hop is looked for by small packets, which pass.
                silent = [row for row in found.rows if row.get("category") == "payload_timeout"]
                self.assertTrue(silent and not any("hop" in row for row in found.rows), found.output)
                self.assertIn(there, [row["path_mtu"] for row in found.rows if "path_mtu" in row][0])

    def test_loss_is_no_black_hole(self):
        """Of some sizes nothing arrives, of larger ones it does."""
        for lengths in ("1300", "1496:1500"):
            self.with_rules("mangle", f"-A FORWARD -i in0 -m length --length {lengths} -j DROP", 4)
        _, lines = self.mtu(self.host.ip4)
        self.assertIn("packets are lost, so that more cannot be said", lines[0])

    def test_nothing_is_translated_where_answers_are_lost(self):
        self.with_rules("mangle", "-A FORWARD -i out0 -p tcp --sport 6107 --tcp-flags SYN,ACK SYN,ACK -j DROP", 4)
        self.with_rules("mangle", "-A FORWARD -i out0 -p udp --sport 6107 -j DROP", 4)
        found = scan(
            self.client, self.host.ip4, "-i", "600", "-t", "6107", "-u", "6107", "--retries", "1", key=self.reflector.key)
        self.assertEqual([row.get("on_the_way", []) for row in found.rows], [[], []], found.output)

    def test_somebody_elses_connection_is_not_the_probes(self):
        """The probe's SYNs are dropped; another host knocks at the same port meanwhile."""
        self.with_rules("mangle", "-A FORWARD -i in0 -p tcp --dport 6108 -j DROP", 4)
        knocks = self.router.start(
            "sh", "-c", f"while sleep 0.1; do socat -u /dev/null TCP:{self.host.ip4}:6108,connect-timeout=1; done", name="knocks")
        self.addCleanup(knocks.stop)
        found = scan(self.client, self.host.ip4, "-i", "1500", "-t", "6107,6108", "--retries", "0", key=self.reflector.key)
        row = found.of(6108)
        self.assertEqual((row["category"], row.get("on_the_way", [])), ("handshake_timeout", []), found.output)
        self.assertNotEqual(row["where"], "on the way back")

    def test_in_the_summary(self):
        self.with_rules("mangle", CHANGES[1][0], 4)
        status, output = self.client.status(
            TOOL, "scan", "--key", self.reflector.key, "-t", "6101-6103", "-i", "1500", self.host.ip4)
        self.assertEqual(status, 0, output)
        self.assertIn("on the way: window scale removed from the SYN (3 of 3 probes)", output)


if __name__ == "__main__":
    unittest.main()
