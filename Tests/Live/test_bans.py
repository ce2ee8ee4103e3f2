# SPDX-License-Identifier: GPL-3.0-or-later
"""fail2ban and CrowdSec, Debian's, ban by the files that come with Portreeve; neither bans from where an administrator is connected."""

import itertools
import json
import os
import shlex
import shutil
import time
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, binaries, reasons
from lab import Lab, wait_until
from test_blocks import POLICY, SESSION

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BANS = os.path.join(ROOT, "Config", "bans")
FAIL2BAN, CROWDSEC, BOUNCER = (os.path.join(ROOT, ".build", name) for name in ("fail2ban", "crowdsec", "crowdsec-custom-bouncer"))
API, KEY = "127.0.0.1:18080", "0123456789abcdef"


def missing(*directories):
    """What make deps-lab could not get, or an empty text."""
    return ", ".join(os.path.basename(directory) for directory in directories if not os.path.isdir(directory))


class BanCase(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.host, self.client = self.lab.host, self.lab.client
        self.enterContext(services.echo(self.host))
        self.agent = self.enterContext(Agent(self.host, POLICY))
        self.agent.feed()
        tool = shlex.quote(os.path.join(binaries(), "portreeve"))
        self.tool = self.lab.file("portreeve", f'#!/bin/sh\nexec {tool} "$@" --control {shlex.quote(self.agent.control)}\n')
        os.chmod(self.tool, 0o755)
        # An administrator is connected from the first of the client's addresses; the others are strangers'.
        self.administrator, self.stranger, self.other = self.lab.client_addresses[:3]
        self.enterContext(services.echo(self.host, 22))
        session = self.client.start("/usr/bin/python3", "-c", SESSION, self.host.ip4, 22, name="session")
        wait_until(lambda: "connected" in session.output(), "the administrator is connected", process=session)
        self.assertEqual(self.administrator, self.client.ip4)

    def blocks(self):
        """The longest block of each address."""
        rows = map(json.loads, self.agent.tool("blocks", "--json").splitlines())
        return {row["address"]: row for row in sorted(rows, key=lambda row: row["until"])}

    def connects(self, source, seconds=1):
        host = self.host.ip6 if ":" in source else self.host.ip4
        return self.client.status("nc", "-z", "-w", seconds, "-s", source, host, 7)[0] == 0


@unittest.skipIf(missing(FAIL2BAN), f"{missing(FAIL2BAN)} is missing: make deps-lab")
class Fail2banTests(BanCase):
    seconds = 12

    def setUp(self):
        super().setUp()
        self.processes = itertools.count(100)
        # By its first line fail2ban knows a log again.
        self.log = self.lab.file("auth.log", time.strftime("%b %d %H:%M:%S host sshd[1]: Server listening on :: port 22.\n"))
        settings = self.lab.file("fail2ban")
        shutil.copytree(os.path.join(FAIL2BAN, "etc", "fail2ban"), settings)
        os.remove(os.path.join(settings, "jail.d", "defaults-debian.conf"))
        shutil.copy(os.path.join(BANS, "fail2ban.conf"), os.path.join(settings, "action.d", "portreeve.conf"))
        self.lab.file(os.path.join(settings, "action.d", "portreeve.local"), f"[Init]\nportreeve = {self.tool}\n")
        socket = self.lab.file("fail2ban.sock")
        self.lab.file(os.path.join(settings, "fail2ban.local"), (
            f"[Definition]\ndbfile = None\nsocket = {socket}\npidfile = {socket}.pid\nlogtarget = STDOUT\nallowipv6 = auto\n"))
        self.lab.file(os.path.join(settings, "jail.local"), (
            "[DEFAULT]\nbanaction = portreeve\nbackend = polling\nignoreself = false\nignoreip =\nbantime = 10m\nmaxretry = 3\n"
            f"[sshd]\nenabled = true\nlogpath = {self.log}\n"
            f"[patient]\nenabled = true\nfilter = sshd\nlogpath = {self.log}\nbantime = -1\nmaxretry = 6\n"))
        self.words = ["env", f"PYTHONPATH={FAIL2BAN}/usr/lib/python3/dist-packages", "/usr/bin/python3"], ["-c", settings]
        self.server = self.start()

    def start(self):
        python, settings = self.words
        server = self.host.start(*python, f"{FAIL2BAN}/usr/bin/fail2ban-server", "-f", *settings, name="fail2ban")
        wait_until(lambda: "Jail 'patient' started" in server.output(), "fail2ban watches", process=server)
        return server

    def ask(self, *words):
        python, settings = self.words
        return self.host.run(*python, f"{FAIL2BAN}/usr/bin/fail2ban-client", *settings, *words)

    def logins_fail(self, address, count):
        with open(self.log, "a") as log:
            for _ in range(count):
                # A process of sshd's has one peer.
                process = next(self.processes)
                log.write(time.strftime(f"%b %d %H:%M:%S host sshd[{process}]: ")
                          + f"Failed password for root from {address} port {40_000 + process} ssh2\n")

    def test_from_failed_logins_to_the_end_of_the_ban(self):
        self.logins_fail(self.stranger, 2)
        self.logins_fail(self.other, 3)
        wait_until(lambda: self.other in self.blocks(), "who fails three times is blocked", process=self.server)
        block = self.blocks()[self.other]
        self.assertEqual((block["by"], block["why"], block["until"] - block["since"]), ("fail2ban/sshd", "3 failures", 600))
        self.assertFalse(self.connects(self.other))
        events = self.agent.wait_for_events(1)
        self.assertEqual((set(reasons(events)), {event["src_ip"] for event in events}), ({"blocked-source"}, {self.other}))
        self.assertRegex(events[0]["portreeve"]["note"], r"^until \S+, by fail2ban/sshd: 3 failures$")
        self.assertTrue(self.connects(self.stranger, 10), "who fails twice is let in")
        self.assertEqual(set(self.blocks()), {self.other})
        self.ask("set", "sshd", "unbanip", self.other)
        self.assertEqual(self.blocks(), {})
        self.assertTrue(self.connects(self.other, 10))
        action = lambda name: self.ask("get", "sshd", "action", "portreeve", name)
        self.assertIn("--for", action("actionban"))
        self.assertEqual(action("actionprolong"), action("actionban"), "a ban that becomes longer is asked for again")
        # IPv6, and a jail whose bans have no end; each lifts its own alone.
        six = self.client.ip6
        self.logins_fail(six, 6)
        wait_until(lambda: self.blocks().get(six, {}).get("by") == "fail2ban/patient", "the longer ban holds", process=self.server)
        self.assertEqual(self.blocks()[six]["until"] - self.blocks()[six]["since"], 366 * 86_400)
        self.ask("set", "sshd", "unbanip", six)
        self.assertFalse(self.connects(six))
        # Who stops fail2ban lifts its bans; an administrator's shorter block beside them stays.
        self.agent.tool("block", six, "--why", "ticket 12")
        self.logins_fail(self.stranger, 1)
        wait_until(lambda: self.stranger in self.blocks(), "the third failure", process=self.server)
        self.server.stop()
        self.assertEqual({address: row["by"] for address, row in self.blocks().items()}, {six: "administrator"})

    def test_an_administrator_is_not_shut_out(self):
        self.logins_fail(self.administrator, 3)
        wait_until(lambda: "is not blocked: a connection to the SSH server is open from there" in self.server.output(), "fail2ban says why",
                   process=self.server)
        wait_until(lambda: "Failed to execute ban jail 'sshd' action 'portreeve'" in self.server.output(), "the ban has failed")
        self.assertEqual(self.blocks(), {})
        self.assertTrue(self.connects(self.administrator, 10))


@unittest.skipIf(missing(CROWDSEC, BOUNCER), f"{missing(CROWDSEC, BOUNCER)} is missing: make deps-lab")
class CrowdSecTests(BanCase):
    seconds = 12

    def setUp(self):
        super().setUp()
        directory = self.lab.file("crowdsec")
        os.makedirs(os.path.join(directory, "hub"))
        file = lambda name, text: self.lab.file(os.path.join(directory, name), text)
        profiles = file("profiles.yaml", "name: none\nfilters: [ 'false' ]\non_success: break\n")
        simulation, credentials = file("simulation.yaml", "simulation: false\n"), file("client.yaml", "")
        file("hub/.index.json", "{}")
        self.settings = file("config.yaml", f"""
common: {{ daemonize: false, log_media: stdout, working_dir: {directory} }}
config_paths:
  {{ config_dir: {directory}, data_dir: {directory}, simulation_path: {simulation}, hub_dir: {directory}/hub,
    index_path: {directory}/hub/.index.json, notification_dir: {directory}, plugin_dir: {directory} }}
db_config: {{ type: sqlite, db_path: {directory}/crowdsec.db, use_wal: true }}
api:
  client: {{ credentials_path: {credentials} }}
  server: {{ listen_uri: "{API}", profiles_path: {profiles} }}
prometheus: {{ enabled: false }}
""")
        self.cscli("machines", "add", "lab", "--password", "of-the-lab", "-f", credentials)
        self.cscli("bouncers", "add", "portreeve", "-k", KEY)
        server = self.host.start(f"{CROWDSEC}/usr/bin/crowdsec", "-c", self.settings, "-no-cs", name="crowdsec")
        wait_until(lambda: self.host.listens(API.rpartition(":")[2]), "the local API listens", process=server)
        bouncer = file("bouncer.yaml", f"""
{{ bin_path: {BANS}/crowdsec-bouncer, feed_via_stdin: false, total_retries: 0, scenarios_containing: [], scenarios_not_containing: [],
  origins: [cscli, crowdsec], piddir: {directory}/, update_frequency: 1s, cache_retention_duration: 10s, daemonize: false,
  log_mode: stdout, log_level: info, api_url: "http://{API}/", api_key: {KEY},
  prometheus: {{ enabled: false, listen_addr: 127.0.0.1, listen_port: 60602 }} }}
""")
        self.bouncer = self.host.start(
            f"{BOUNCER}/usr/bin/crowdsec-custom-bouncer", "-c", bouncer, name="bouncer", environment={"PORTREEVE": self.tool})
        wait_until(lambda: "adding '0' decisions" in self.bouncer.output(), "the bouncer asks", process=self.bouncer)

    def cscli(self, *words):
        return self.host.run(f"{CROWDSEC}/usr/bin/cscli", "-c", self.settings, *words)

    def test_from_a_decision_to_its_end(self):
        self.agent.tool("block", self.other, "--for", "10m", "--why", "ticket 12")
        self.cscli("decisions", "add", "-i", self.other, "-d", "5m")
        self.cscli("decisions", "add", "-i", self.administrator, "-d", "1h")
        self.cscli("decisions", "add", "-r", "203.0.113.0/24", "-d", "1h")
        self.cscli("decisions", "add", "-i", "203.0.113.9", "-d", "1h", "-t", "captcha")
        self.cscli("decisions", "add", "-i", self.client.ip6, "-d", "9000h", "-R", "six \t\x1b[2J 'of' \"them\"; $(reboot)")
        self.cscli("decisions", "add", "-i", self.stranger, "-d", "1h", "-R", "crowdsecurity/ssh-bf")
        wait_until(lambda: self.stranger in self.blocks(), "the last decision is a block", process=self.bouncer)
        wait_until(lambda: self.client.ip6 in self.blocks(), "and so is that over IPv6", process=self.bouncer)
        blocks = self.blocks()
        self.assertEqual({address: row["by"] for address, row in blocks.items()}, {
            self.other: "administrator", self.stranger: "crowdsec", self.client.ip6: "crowdsec"})
        self.assertEqual(blocks[self.other]["why"], "ticket 12")
        self.assertEqual(blocks[self.client.ip6]["why"], "six [2J 'of' \"them\"; $(reboot)")
        self.assertLessEqual(blocks[self.stranger]["until"] - blocks[self.stranger]["since"], 3600)
        self.assertFalse(self.connects(self.stranger))
        self.assertFalse(self.connects(self.client.ip6))
        self.assertTrue(self.connects(self.administrator, 10))
        events = self.agent.wait_for_events(2)
        self.assertEqual({event["src_ip"] for event in events}, {self.stranger, self.client.ip6})
        self.assertEqual(set(reasons(events)), {"blocked-source"})
        notes = {event["src_ip"]: event["portreeve"]["note"] for event in events}
        self.assertRegex(notes[self.stranger], r"^until \S+, by crowdsec: crowdsecurity/ssh-bf$")
        self.cscli("decisions", "delete", "-i", self.stranger)
        self.cscli("decisions", "delete", "-i", self.other)
        wait_until(lambda: self.stranger not in self.blocks(), "the decision is taken back", process=self.bouncer)
        self.assertTrue(self.connects(self.stranger, 10))
        self.assertEqual(self.blocks()[self.other]["by"], "administrator")

    def test_what_the_script_refuses(self):
        run = lambda *words: self.host.status("env", f"PORTREEVE={self.tool}", f"{BANS}/crowdsec-bouncer", *words)
        self.assertEqual(run("add", "203.0.113.9/32", "60", "x", "{}")[0], 0, "nothing says that it is a ban")
        self.assertEqual(self.blocks(), {})
        ban = '{"duration":"1m","type":"ban","value":"x"}'
        self.assertEqual(run("add", "203.0.113.9/32", "60", "x", ban)[0], 0)
        self.assertEqual(set(self.blocks()), {"203.0.113.9"})
        for seconds in ("soon", "", "1h", "6e9", "-", "--help", "5;reboot"):
            status, said = run("add", "203.0.113.8", seconds, "x", ban)
            self.assertEqual((status, "expected a ban's seconds, a number" in said), (64, True), said)
        for seconds in ("0", "-1", "0.9", "-99999999999999999999"):
            self.assertEqual(run("add", "203.0.113.8", seconds, "x", ban)[0], 0, "it is over already")
        self.assertEqual(set(self.blocks()), {"203.0.113.9"})
        self.assertEqual(run("add", "203.0.113.9", "99999999999999999999.5", "--by=x", ban)[0], 0)
        block = self.blocks()["203.0.113.9"]
        self.assertEqual((block["by"], block["why"], block["until"] - block["since"]), ("crowdsec", "--by=x", 31_622_400))
        for value in ("203.0.113.0/24", "FR", "", "AS64500", "--help", "2001:db8::/64"):
            status, said = run("add", value, "60", "x", ban)
            self.assertEqual((status, f"{value} is none" in said), (1, True), said)
        self.assertRegex(run("add", self.administrator, "60", "x", ban)[1], "a connection to the SSH server is open from there")
        self.assertEqual(run("shut", "203.0.113.9")[0], 64)
        self.assertEqual(set(self.blocks()), {"203.0.113.9"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
