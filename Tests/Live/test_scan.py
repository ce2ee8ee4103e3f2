# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve scan` and `portreeve reflect`: who may ask, for how long ports stay open, what the tool says and takes."""

import json
import os
import re
import shlex
import signal
import time
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent
from lab import Lab, wait_until
from paths import TOOL, LongLab, Reflector, scan

HERE = os.path.dirname(os.path.abspath(__file__))


class ScanTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.router, cls.host = cls.lab.client, cls.lab.router, cls.lab.host

    def setUp(self):
        self.addCleanup(lambda: [machine.flush_rules() for machine in self.lab.namespaces])

    def reflector(self, *options, **more):
        reflector = self.enterContext(Reflector(self.host, *options, **more))
        return reflector

    def scan(self, reflector, *options, address=None, **more):
        return scan(self.client, address or self.host.ip4, *options, key=reflector.key, **more)

    def start(self, reflector, *options, address=None):
        """A scan that is running."""
        return self.client.start(
            TOOL, "scan", "--key", reflector.key, *options, address or self.host.ip4, name="scan")


class AuthenticationTests(ScanTests):
    def test_only_who_has_the_key_gets_a_lease(self):
        reflector = self.reflector()
        other = self.lab.file("other.key")
        self.host.run(TOOL, "reflect", "--new-key", other)
        found = scan(self.client, self.host.ip4, "-t", "80", key=other)
        self.assertEqual((found.status, found.rows), (2, []))
        self.assertIn("wrong key", found.said)
        self.assertFalse(self.host.listens(80))
        self.assertEqual(self.scan(reflector, "-t", "80").word(80), ("open", "answered"))

    def test_an_impostor_is_not_believed(self):
        """It answers whatever the client proves with a proof of its own."""
        program = """
import json, socket
server = socket.create_server(("", 7412)); print("ready", flush=True)
connection = server.accept()[0]; lines = connection.makefile("rw")
lines.readline(); lines.write(json.dumps({"answer": "challenge", "nonce": "00" * 32}) + "\\n"); lines.flush()
proof = json.loads(lines.readline())["proof"]
lines.write(json.dumps({"answer": "accepted", "proof": proof, "session": "1"}) + "\\n"); lines.flush()
lines.readline()
"""
        impostor = self.host.start("/usr/bin/python3", "-c", program, name="impostor")
        wait_until(lambda: "ready" in impostor.output(), "the impostor listens", process=impostor)
        key = self.lab.file("some.key")
        self.client.run(TOOL, "reflect", "--new-key", key)
        found = scan(self.client, self.host.ip4, "-s", f"{self.host.ip4}:7412", "-t", "80", key=key)
        self.assertEqual(found.status, 2)
        self.assertIn("does not have the key", found.said)

    def test_a_key_that_others_may_read_is_refused(self):
        key = self.lab.file("loose.key")
        self.host.run(TOOL, "reflect", "--new-key", key)
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
        os.chmod(key, 0o640)
        status, output = self.host.status(TOOL, "reflect", "--key", key, "--listen", "any")
        self.assertEqual(status, 1)
        self.assertIn("chmod 600", output)
        status, output = self.host.status(TOOL, "reflect", "--new-key", key)
        self.assertEqual((status, "File exists" in output), (1, True), output)

    def test_guessing_is_slow(self):
        """After five wrong proofs an address is not heard for a minute, and others are."""
        reflector = self.reflector()
        other = self.lab.file("guess.key")
        self.host.run(TOOL, "reflect", "--new-key", other)
        said = [scan(self.client, self.host.ip4, "-t", "80", key=other).said for _ in range(6)]
        self.assertEqual(["wrong key" in text for text in said], [True] * 5 + [False])
        self.assertIn("without a word", said[5])
        self.assertEqual(self.scan(reflector, "-t", "80", address=self.host.ip6).word(80)[0], "open")

    def test_only_allowed_peers_are_heard(self):
        reflector = self.reflector("--allow", "198.18.2.0/24", "--allow", "fd00:1::/64")
        self.assertIn("without a word", self.scan(reflector, "-t", "80").said)
        self.assertEqual(self.scan(reflector, "-t", "80", address=self.host.ip6).status, 0)


class LeaseTests(ScanTests):
    def slow_scan(self, reflector, *options):
        """One that waits for silent ports, once they are open at the reflector."""
        self.router.rules("*filter\n-A FORWARD -p tcp --dport 81 -j DROP\n")
        running = self.start(reflector, "-t", "81-90", "-i", "20000", "--retries", "0", *options)
        wait_until(lambda: self.host.listens(90), "the ports are open", process=running)
        return running

    def test_ports_close_when_the_scan_is_killed(self):
        running = self.slow_scan(self.reflector())
        running.kill()
        wait_until(lambda: not self.host.listens(81) and not self.host.listens(90), "the ports are closed", 3)

    def test_ports_close_when_the_path_to_the_scan_is_cut(self):
        running = self.slow_scan(self.reflector("--silence", "2"))
        self.router.rules("*filter\n-I FORWARD -p tcp --dport 7411 -j DROP\n-I FORWARD -p tcp --sport 7411 -j DROP\n")
        wait_until(lambda: not self.host.listens(90), "the ports are closed", 6)
        running.kill()

    def test_ports_close_when_the_lease_is_over(self):
        running = self.slow_scan(self.reflector("--lease", "2"))
        wait_until(lambda: not self.host.listens(90), "the ports are closed", 6)
        self.assertEqual(running.wait(30), 2)
        self.assertIn("ended without its reflector", running.output())

    def test_ports_close_at_the_end_and_when_the_reflector_ends(self):
        reflector = self.reflector()
        self.assertEqual(self.scan(reflector, "-t", "80", "-u", "53").status, 0)
        wait_until(lambda: not self.host.listens(80) and not self.host.listens(53, "u"), "the ports are closed", 3)
        running = self.slow_scan(reflector)
        self.assertEqual(reflector.stop(), 0)
        self.assertFalse(self.host.listens(90))
        self.assertEqual(running.wait(30), 2)

    def test_a_lease_has_bounds(self):
        reflector = self.reflector("--max-ports", "10", "--max-scans", "1")
        self.assertIn("more than a lease may have", self.scan(reflector, "-t", "1-11").said)
        running = self.slow_scan(reflector)
        self.assertIn("too many scans", self.scan(reflector, "-t", "100").said)
        running.kill()

    def test_every_port_is_open_before_the_first_probe(self):
        """The first packet to any port of the scan comes after the last listener."""
        reflector = self.reflector()
        capture = services.Capture(self.host)
        self.assertEqual(self.scan(reflector, "-t", "2000-2999", "-u", "2000-2009").status, 0)
        refusals = capture.stop(f"src host {self.host.ip4} and (tcp[13] & 4 != 0 or icmp)")
        self.assertEqual(refusals, [])

    def test_ports_that_it_may_not_have_are_left_out_one_by_one(self):
        """Without the right to low ports, and where another service has one."""
        self.enterContext(services.echo(self.host, 2000))
        key = self.lab.file("low.key")
        self.host.run(TOOL, "reflect", "--new-key", key)
        process = self.host.start(
            "setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service", TOOL, "reflect", "--key", key,
            "--listen", "any", name="reflect")
        wait_until(lambda: self.host.listens(7411), "it listens", process=process)
        found = scan(self.client, self.host.ip4, "-t", "80,2000-2001", key=key)
        process.stop()
        self.assertEqual([found.word(port) for port in (80, 2000, 2001)], [
            ("skipped", "reflector_EACCES"), ("skipped", "reflector_EADDRINUSE"), ("open", "answered")])
        self.assertEqual(found.status, 2)


class ChannelTests(ScanTests):
    def through(self, via, *options, address=None, **more):
        return scan(self.client, address or self.host.ip4, "-t", "80-81", "-u", "53", "--control-via", via, *options, **more)

    def test_a_program_is_the_control_channel(self):
        found = self.through(f"exec:ip netns exec {self.host.name} {TOOL} reflect --stdio --listen any")
        self.assertEqual((found.status, len(found.rows)), (0, 3), found.output)
        self.assertTrue(all(row["witness"]["proven"] for row in found.rows))
        wait_until(lambda: not self.host.listens(80), "the ports are closed", 3)

    def test_ssh_is_the_control_channel(self):
        """`ssh` finds `portreeve` there and its own settings here."""
        ssh = services.SSH(self.host)
        programs = self.lab.file("programs")
        os.mkdir(programs)
        words = shlex.join(["/usr/bin/ssh", *map(str, ssh.ssh(self.host.ip4)[1:])])
        self.lab.file(f"{programs}/ssh", f"#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done; shift 2\n"
                      f"shift\nexec {words} {TOOL} \"$@\"\n")
        os.chmod(f"{programs}/ssh", 0o755)
        found = self.through("ssh", wrapper=("env", f"PATH={programs}:{os.environ['PATH']}"))
        self.assertEqual((found.status, len(found.rows)), (0, 3), found.output)
        ssh.process.stop()

    def test_a_program_that_is_no_reflector(self):
        for program, said in (("exec:echo hello", "no reflector"), ("exec:true", "without a word"), ("telnet", "--control-via")):
            found = self.through(program)
            self.assertIn(said, found.said)
            self.assertNotEqual(found.status, 0)

    def test_offline_both_sides_have_the_same_plan(self):
        plan = self.lab.file("offline.yaml", f"""
version: 1
tests:
  - {{ target: ["{self.host.ip4}", "{self.host.ip6}"], protocol: tcp+udp, ports: "80-82", expect: allow }}
  - {{ name: own, target: "{self.host.ip4}", protocol: tcp+udp, ports: 90, source: "{self.client.ip4}",
       payload: {{ text: hello }}, expect: allow }}
""")
        key = self.lab.file("offline.key")
        self.host.run(TOOL, "reflect", "--new-key", key)
        reflect = self.host.start(
            TOOL, "reflect", "--offline", "--plan", plan, "--key", key, "--listen", "any", "--lease", "60", name="reflect")
        wait_until(lambda: self.host.listens(90, "u"), "it listens", process=reflect)
        self.assertFalse(self.host.listens(7411))
        found = scan(self.client, None, "--offline", "--plan", plan, key=key)
        self.assertEqual((found.status, len(found.rows)), (0, 14), found.output)
        self.assertTrue(all(row["one_sided"] for row in found.rows))
        self.assertEqual(reflect.stop(), 0)
        records = [json.loads(line) for line in reflect.output().splitlines() if line.startswith("{")]
        keyed = [row for row in records if row["session"] == found.rows[0]["session"]]
        self.assertEqual(sorted(row["probe"] for row in keyed), list(range(12)))
        self.assertTrue(all(row["proven"] and row["answered"] for row in records))

    def test_offline_another_plan_is_another_key(self):
        plans = [self.lab.file(f"plan{number}.yaml", f"version: 1\n# {number}\ntests:\n"
                 f"  - {{ target: {self.host.ip4}, protocol: tcp+udp, ports: 80, timeout: 500ms }}\n") for number in (1, 2)]
        key = self.lab.file("plans.key")
        self.host.run(TOOL, "reflect", "--new-key", key)
        reflect = self.host.start(
            TOOL, "reflect", "--offline", "--plan", plans[0], "--key", key, "--listen", "any", "--lease", "3", name="reflect")
        wait_until(lambda: self.host.listens(80, "u"), "it listens", process=reflect)
        found = scan(self.client, None, "--offline", "--plan", plans[1], "--retries", "0", key=key)
        self.assertEqual((found.word(80)[0], found.word(80, "udp")), ("payload_error", ("payload_timeout", "copies=3")))
        # The lease ends by itself.
        self.assertEqual(reflect.wait(10), 0)


class ToolTests(ScanTests):
    def test_what_users_of_firescan_know(self):
        reflector = self.reflector(port=8080)
        found = scan(self.client, None, "-t", "50-60,6,5,4445,4,3,2", "-u", "53,500", "-s", f"{self.host.ip4}:8080", "-i", "2000",
                     "-g", "monthly test", key=reflector.key)
        self.assertEqual((found.status, len(found.rows)), (0, 19), found.output)
        self.assertEqual({row["tag"] for row in found.rows}, {"monthly test"})
        self.assertEqual({row["code"] for row in found.rows}, {12110})
        for list_, said in (("0", '"0"'), ("1-65536", "65535"), ("9-3", "descends"), ("80,", "ports 1 to 65535"), ("http", "http")):
            status, output = self.client.status(TOOL, "scan", "-t", list_, "--key", reflector.key, self.host.ip4)
            self.assertEqual(status, 64, output)
            self.assertIn(said, output)

    def test_ports_to_which_the_same_happened_are_one_line(self):
        reflector = self.reflector()
        self.router.rules("*filter\n-A FORWARD -p tcp --dport 100:109 -j DROP\n-A FORWARD -p tcp --dport 110 -j REJECT\n")
        status, text = self.client.status(
            TOOL, "scan", "--key", reflector.key, "-t", "90-119", "-i", "500", "--retries", "0", self.host.ip4)
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r"tcp +open +answered +- +90-99,111-119\n")
        self.assertRegex(text, r"tcp +handshake_timeout +syn_sent=\d +- +100-109\n +Handshake Connection Timed Out: nothing came")
        self.assertRegex(text, rf"tcp +handshake_refused +icmp_port +- +110\n.*rejected by {self.router.ip4}")
        self.assertRegex(text, r"30 probes in [\d.]+ s: 19 open, 10 handshake_timeout, 1 handshake_refused")

    def test_expectations_decide_the_exit_status(self):
        reflector = self.reflector()
        self.router.rules("*filter\n-A FORWARD -p tcp --dport 81 -j DROP\n-A FORWARD -p tcp --dport 82 -j REJECT\n")
        quick = ("-i", "400", "--retries", "0")
        for ports, expectation, status in (("80", "allow", 0), ("81", "allow", 1), ("81-82", "deny", 0), ("80-81", "deny", 1),
                                           ("82", "reject", 0), ("81", "reject", 1)):
            found = self.scan(reflector, "-t", ports, "--expect", expectation, *quick)
            self.assertEqual(found.status, status, (ports, expectation, found.output))
        plan = self.lab.file("plan.yaml", f"""
version: 1
reflector: {self.host.ip4}
timeout: 400ms
tests:
  - {{ name: dropped, target: {self.host.ip4}, protocol: tcp, ports: 81-82,
       expect: {{ outcome: deny, category: handshake_timeout }} }}
  - {{ name: refused, target: {self.host.ip4}, protocol: tcp, ports: 82, expect: {{ outcome: reject, detail: icmp_port }} }}
""")
        found = scan(self.client, None, "--plan", plan, "--retries", "0", key=reflector.key)
        self.assertEqual(found.status, 1)
        self.assertEqual([(row["test"], row["dst"][-2:], row["ok"]) for row in found.rows],
                         [("dropped", "81", True), ("dropped", "82", False), ("refused", "82", True)])

    def test_wrong_plans_are_located(self):
        plan = self.lab.file("wrong.yaml", """version: 1
tests:
  - { target: 192.0.2.1, protocol: sctp, ports: 80 }
  - { target: 192.0.2.1, protocol: tcp, port: 80, ports: 0 }
""")
        status, output = self.client.status(TOOL, "scan", "--plan", plan, "--key", "/nonexistent")
        self.assertEqual(status, 64)
        for line in (":3:36: error: found \"sctp\", expected tcp, udp or tcp+udp", ":4:41: error: found the unknown key \"port\"",
                     ":4:58: error: found \"0\", expected ports"):
            self.assertIn(plan + line, output)

    def test_a_dry_run_sends_nothing(self):
        output = self.client.run(TOOL, "scan", "--dry-run", "-t", "1-1000", "-u", "53", "--retries", "0", "--parallel", "100", "-i",
                                 "5000", "192.0.2.1")
        self.assertEqual(output, "tcp 192.0.2.1 1-1000\nudp 192.0.2.1 53\n1,001 probes, at most 120 s if none is answered\n")

    def test_an_interrupted_scan_says_what_it_knows(self):
        reflector = self.reflector()
        self.router.rules("*filter\n-A FORWARD -p tcp --dport 81 -j DROP\n")
        running = self.start(reflector, "--json", "-t", "80-82", "-i", "30000", "--sequential")
        wait_until(lambda: self.host.listens(82), "the ports are open", process=running)
        time.sleep(0.5)
        running.signal(signal.SIGINT)
        self.assertEqual(running.wait(5), 2)
        rows = [json.loads(line) for line in running.output().splitlines() if line.startswith("{")]
        self.assertEqual([row["category"] for row in rows], ["open", "skipped", "skipped"])
        self.assertIn("interrupted", running.output())

    def test_progress_on_a_terminal(self):
        reflector = self.reflector()
        self.router.rules("*filter\n-A FORWARD -p tcp --dport 81 -j DROP\n")
        words = shlex.join([TOOL, "scan", "--key", reflector.key, "-t", "80-83", "-i", "900", "--retries", "0", self.host.ip4])
        output = self.client.run("script", "-qec", words, "/dev/null")
        self.assertRegex(output, r"\d+ %, \d left, about \d+ s")

    def test_the_order_is_that_of_the_seed(self):
        reflector = self.reflector()

        def order(*options):
            found = self.scan(reflector, "-t", "100-139", "--parallel", "1", *options)
            return [row["dst"] for row in sorted(found.rows, key=lambda row: int(row["src"].rpartition(":")[2]))]

        one, again, other = order("--seed", "7"), order("--seed", "7"), order("--seed", "8")
        self.assertEqual(one, again)
        self.assertNotEqual(one, other)
        self.assertEqual(order("--sequential"), sorted(one))

    def test_rules_that_let_a_scan_in(self):
        print_rules = lambda form: self.host.run(
            TOOL, "reflect", "--print-rules", form, "-t", "80,8000-8099", "-u", "53", "--allow", "198.18.1.0/24")
        self.host.rules("*filter\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n", [4])
        reflector = self.reflector()
        self.host.run("sh", "-ec", print_rules("iptables") + "iptables -A INPUT -i eth0 -j DROP")
        found = self.scan(reflector, "-t", "80,8000-8099,81", "-u", "53", "-i", "500", "--retries", "0")
        self.assertEqual(found.word(81)[0], "handshake_timeout")
        self.assertEqual({row["category"] for row in found.rows if not row["dst"].endswith(":81")}, {"open"})
        policy = self.lab.file("rules.yaml", print_rules("policy"))
        self.assertIn("3 rules", self.host.run(TOOL, "check", policy))

    def test_one_sided_says_so(self):
        self.enterContext(services.echo(self.host, 7))
        status, text = self.client.status(TOOL, "scan", "--target", self.host.ip4, "-t", "7-8", "-i", "500")
        self.assertEqual(status, 0)
        self.assertIn("without a reflector it is not known by whom", text)
        self.assertIn("refused by the target or something before it", text)
        self.assertIn("one-sided: no reflector said what arrived", text)


class WitnessTests(ScanTests):
    def test_what_the_reflector_saw_decides_the_sentence(self):
        reflector = self.reflector()
        self.router.rules("""*filter
-A FORWARD -p tcp --dport 81 -j REJECT --reject-with tcp-reset
-A FORWARD -p tcp --dport 82 ! --syn -j DROP
-A FORWARD -p tcp --dport 83 --tcp-flags PSH PSH -j DROP
-A FORWARD -p tcp --sport 84 --tcp-flags PSH PSH -j DROP
-A FORWARD -p udp --dport 85 -j DROP
-A FORWARD -p udp --sport 86 -j DROP
*nat
-A PREROUTING -p tcp --dport 87 -j DNAT --to-destination :80
-A POSTROUTING -p udp --dport 88 -j MASQUERADE --to-ports 1000
COMMIT
""".replace("*nat", "COMMIT\n*nat"), [4])
        found = self.scan(reflector, "-t", "80-84", "-u", "85-86,88", "-i", "800", "--retries", "0")
        for port, proto, sentence in (
                (81, "tcp", "no SYN reached the reflector's host: by something before it"), (82, "tcp", "accepted no connection: only the handshake"),
                (83, "tcp", "the connection arrived, and its payload did not"), (84, "tcp", "the answer is dropped on the way back"),
                (85, "udp", "no datagram arrived"), (86, "udp", "the answer is dropped, or lost, on the way back"),
                (88, "udp", "the address is translated")):
            self.assertIn(sentence, found.of(port, proto)["conclusion"], port)
        self.assertEqual(found.of(88, "udp")["witness"]["peer"], "198.18.2.1:1000")

    def test_an_echo_a_proxy_and_a_replay_are_told_apart(self):
        boxes = {1210: "echo", 1211: "banner", 1214: "replay"}
        reflector = self.reflector()
        process = self.router.start(
            "/usr/bin/python3", os.path.join(HERE, "middlebox.py"), self.host.ip4, self.host.ip6,
            *[f"{port}:{behaviour}" for port, behaviour in boxes.items()], name="middlebox")
        wait_until(lambda: "ready" in process.output(), "the proxies listen", process=process)
        self.router.rules("*nat\n" + "".join(
            f"-A PREROUTING -i in0 -p tcp --dport {port} -j REDIRECT --to-ports {port + 10000}\n" for port in boxes))
        for address in (self.host.ip4, self.host.ip6):
            plan = self.lab.file("told-apart.yaml", f"""
version: 1
tests:
  - {{ target: "{address}", protocol: tcp, ports: [1210, 1211] }}
  - {{ name: first, target: "{address}", protocol: tcp, ports: 1214 }}
  - {{ name: second, target: "{address}", protocol: tcp, ports: 1214 }}
""")
            found = self.scan(reflector, "--plan", plan, "--sequential", address=address)
            results = [(row["test"], row["category"], row.get("guess"), row["witness"]["arrived"]) for row in found.rows]
            self.assertEqual(results, [
                (None, "payload_mismatch", "an echo of the request", False),
                (None, "payload_mismatch", "a mail or FTP server", False),
                ("first", "open", None, True),
                ("second", "payload_mismatch", "an answer to another probe, repeated", False)], found.output)
        process.stop()

    def test_the_device_that_rejects_is_named(self):
        """Two routers, each of which rejects one port."""
        with LongLab() as lab:
            reflector = self.enterContext(Reflector(lab.far))
            for machine, port in ((lab.router, 81), (lab.host, 82)):
                machine.rules(f"*filter\n-A FORWARD -p tcp --dport {port} -j REJECT\n-A FORWARD -p udp --dport {port} -j REJECT\n")
            for address, near, beyond in ((lab.far.ip4, lab.router.ip4, "198.18.2.2"), (lab.far.ip6, lab.router.ip6, "fd00:2::2")):
                found = scan(lab.client, address, "-t", "80-82", "-u", "80-82", "-i", "2000", "--retries", "0", key=reflector.key)
                for proto, category in (("tcp", "handshake_refused"), ("udp", "payload_refused")):
                    self.assertEqual(found.word(80, proto), ("open", "answered"))
                    self.assertEqual(found.word(81, proto), (category, "icmp_port"))
                    self.assertEqual(
                        [found.of(port, proto)["icmp"]["from"] for port in (81, 82)], [near, beyond], found.output)

    def test_a_silence_that_may_be_the_reflectors_own_is_unreliable(self):
        """Its accept queue overflows while it stands still: nothing is called blocked."""
        self.host.sysctl(net__core__somaxconn=1)
        reflector = self.reflector()
        self.router.rules("*filter\n-A FORWARD -p tcp --dport 81 -j DROP\n")
        running = self.start(reflector, "--json", "-t", "81-82", "-i", "3000", "--sequential", "--retries", "0", "--expect", "allow")
        wait_until(lambda: self.host.listens(82), "the ports are open", process=running)
        reflector.process.signal(signal.SIGSTOP)
        flood = self.client.start(
            "/usr/bin/python3", "-c", "import socket, sys, time\n"
            "held = [socket.socket() for _ in range(8)]\nfor each in held:\n    each.setblocking(False)\n"
            "    each.connect_ex((sys.argv[1], 82))\ntime.sleep(20)", self.host.ip4, name="flood")
        # The second probe is on its way when the reflector goes on.
        time.sleep(5)
        reflector.process.signal(signal.SIGCONT)
        status = running.wait(30)
        flood.stop()
        rows = {row["dst"][-2:]: row for row in map(json.loads, (
            line for line in running.output().splitlines() if line.startswith("{")))}
        self.assertTrue(rows["81"]["unreliable"], running.output())
        self.assertNotIn("ok", rows["81"])
        self.assertEqual(status, 2, running.output())


class ReasonTests(ScanTests):
    def test_the_agents_reason_is_told_and_expected(self):
        policy = self.host.run(TOOL, "reflect", "--print-rules", "policy", "-t", "80", "-u", "80") + (
            "  - { name: No, action: deny, direction: incoming, protocol: tcp+udp, destination: { ports: 81 } }\n")
        agent = self.enterContext(Agent(self.host, policy, fold="1s"))
        agent.feed()
        self.addCleanup(lambda: [self.host.run(tool, "-t", "mangle", "-F") for tool in ("iptables", "ip6tables")])
        reflector = self.reflector()
        for address in (self.host.ip4, self.host.ip6):
            plan = self.lab.file("reasons.yaml", f"""
version: 1
timeout: 700ms
tests:
  - {{ target: "{address}", protocol: tcp+udp, ports: 80, expect: allow }}
  - {{ target: "{address}", protocol: tcp+udp, ports: 81, expect: {{ outcome: deny, reason: deny }} }}
  - {{ target: "{address}", protocol: tcp+udp, ports: 82, expect: {{ outcome: deny, reason: deny }} }}
  - {{ target: "{address}", protocol: tcp+udp, ports: 83, expect: {{ outcome: deny, reason: out-of-allowed-policy }} }}
""")
            found = scan(self.client, None, "--plan", plan, "-s", f"[{self.host.ip6}]:7411", "--retries", "0", "--events",
                         agent.events_file, key=reflector.key)
            for proto in ("tcp", "udp"):
                # The agent looks once a second which ports listen.
                results = [([reason.removesuffix("-open-port") for reason in found.of(port, proto).get("reasons", [])],
                            found.of(port, proto)["ok"]) for port in (80, 81, 82, 83)]
                refused = ["out-of-allowed-policy"]
                self.assertEqual(results, [([], True), (["deny"], True), (refused, False), (refused, True)], found.output)
            self.assertEqual(found.status, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
