# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent as a service: what its manager hears, and what a restart or a crash leaves of connections and packets."""

import json
import os
import re
import signal
import socket
import struct
import time
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, hand_written_rules, reasons
from lab import Lab, wait_until
from load import Connections, Conversation, IdleConnections
from manager import ManagedAgent

POLICY = """
version: 1
interfaces: { ignore: [lo] }
rules:
  - { name: Services, action: allow, direction: incoming, protocol: tcp, destination: { ports: [7, 80, 5201] } }
  - { name: Echo, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 7 } }
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
"""
FAIL_OPEN = POLICY + "failure: { engine: open }\n"


def names(workers):
    """Of the sockets that the manager keeps, for queues from 0 on."""
    kinds = ("queue", "openings", "fragments", "datagrams")
    return {f"{kind}-{place * workers + worker}" for place, kind in enumerate(kinds) for worker in range(workers)}


class ServiceTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.host = cls.lab.client, cls.lab.host
        cls.enterClassContext(services.echo(cls.host))

    def setUp(self):
        self.addCleanup(self.host.flush_rules)

    def agent(self, policy=POLICY, **options):
        agent = ManagedAgent(self.host, policy, name=os.path.basename(self.lab.file("agent")), **options)
        self.addCleanup(agent.end)
        return agent.start()

    def idle(self, address=None, count=100):
        idle = IdleConnections(self.client, address or self.host.ip4, count=count)
        self.addCleanup(idle.stop)
        return idle

    def assert_no_loss(self, agent):
        """No packet was dropped by anybody: no event, none lost on the way to the agent."""
        self.assertEqual(agent.events(), [], agent.log())
        for queue in agent.report()["queues"]:
            self.assertEqual(
                (queue["dropped"], queue["kernel_queue_drops"], queue["kernel_socket_drops"], queue["refused_verdicts"]),
                (0, 0, 0, 0), queue)


class NotificationTests(ServiceTests):
    def test_the_life_of_a_service(self):
        for abstract in (False, True):
            with self.subTest(abstract=abstract):
                agent = self.agent(abstract=abstract)
                self.assertEqual(len(self.host.queues()), 4)
                self.assertIn("STATUS=queue 0, policy epoch 1 with 3 rules, inline, fails closed", agent.manager.words())
                self.assertIn("epoch 2 is in force", agent.tool("reload"))
                wait_until(lambda: agent.manager.words("READY") == ["READY=1"] * 2, "ready again")
                order = agent.manager.words("READY", "RELOADING")
                self.assertEqual(order, ["READY=1", "RELOADING=1", "READY=1"])
                moment = int(agent.manager.words("MONOTONIC_USEC")[0].split("=")[1]) / 1e6
                self.assertLess(abs(moment - agent.manager.said[-1][0]), 60)
                agent.write_policy("version: 1\nmode: inlin\n")
                status, output = agent.tool_status("reload")
                self.assertEqual(status, 1)
                self.assertRegex(output, r"policy\.yaml:2:7: error")
                wait_until(lambda: len(agent.manager.words("READY")) == 3, "ready again")
                self.assertIn("epoch 2 with 3 rules", agent.manager.words("STATUS")[-1])
                self.assertRegex(agent.manager.words("STATUS")[-1], "the last reload was refused: .*policy.yaml:2:7")
                self.assertEqual(agent.stop(), 0)
                self.assertEqual(agent.manager.words("STOPPING"), ["STOPPING=1"])
                agent.end()

    def test_the_watchdog_hears_of_progress_only(self):
        agent = self.agent(queues=(0, 1), watchdog=1_000_000)
        wait_until(lambda: len(agent.manager.words("WATCHDOG")) > 3, "an idle agent is well", process=agent.process)
        from test_lifecycle import HALT, thread_named
        halt = self.host.start("/usr/bin/python3", "-c", HALT, thread_named(agent.process.pid, "queue 1"), name="halt")
        wait_until(lambda: "halted" in halt.output(), "the thread stands still", process=halt)
        # An agent that is well says so twice a second.
        last = lambda: max(moment for moment, line in agent.manager.said if line == "WATCHDOG=1")
        wait_until(lambda: time.monotonic() - last() > 2, "it says nothing any more", 9, agent.process)
        agent.kill()

    def test_its_servers_complain_of_no_missing_right(self):
        """As the service's user: standard error is the journal, and nothing but the agent's own log belongs there."""
        agent = self.agent(user=SERVICE)
        for _ in range(3):
            agent.report()
            agent.tool("reload")
            self.host.run("curl", "-sSf", "-m", 30, "--unix-socket", os.path.join(agent.directory, "metrics.sock"),
                          "http://localhost/metrics")
        self.assertEqual([line for line in agent.log().splitlines() if not re.match(r"(<\d>)?portreeved: ", line)], [])

    def test_a_watchdog_meant_for_another_process(self):
        agent = self.agent()
        time.sleep(1.5)
        self.assertEqual(agent.manager.words("WATCHDOG"), [])


class KeptSocketTests(ServiceTests):
    def test_sockets_are_kept_by_the_failure_setting(self):
        agent = self.agent(queues=(0, 1))
        wait_until(lambda: set(agent.manager.kept) == names(2), "all are kept")
        agent.write_policy(FAIL_OPEN)
        agent.tool("reload")
        wait_until(lambda: not agent.manager.kept, "none is kept")
        agent.write_policy(POLICY)
        agent.tool("reload")
        wait_until(lambda: set(agent.manager.kept) == names(2), "all are kept again")
        agent.manager.drop()
        agent.kill()
        self.assertEqual(self.host.queues(), {})

    def test_open_gives_sockets_only_for_a_planned_restart(self):
        agent = self.agent(FAIL_OPEN)
        self.assertEqual(agent.manager.kept, {})
        port = self.host.queues()[0]["port"]
        agent.stop()
        self.assertEqual(self.host.queues()[0]["port"], port)
        agent.start()
        self.assertEqual(self.host.queues()[0]["port"], port)
        self.assertIn("queue 0 goes on", agent.log())
        wait_until(lambda: not agent.manager.kept, "none is kept")
        agent.kill()
        self.assertEqual(self.host.queues(), {})

    def test_what_is_no_socket_of_the_queue(self):
        """A file, a TCP socket, another netfilter socket, a socket of another namespace, a name of no queue."""
        agent = self.agent()
        agent.kill()
        true_socket = agent.manager.kept.pop("queue-0")[0]
        elsewhere = os.open(f"/proc/{self.lab.processes[0].pid}/stat", os.O_RDONLY)
        netfilter = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        netfilter.bind((0, 0))
        for wrong, why in ((elsewhere, "no netfilter socket"), (socket.create_server(("127.0.0.1", 0)), "no netfilter socket"),
                           (netfilter, "another network namespace")):
            with self.subTest(why):
                descriptor = wrong if isinstance(wrong, int) else wrong.fileno()
                agent.manager.drop("queue-0")
                agent.manager.keep("queue-0", descriptor)
                os.close(true_socket) if true_socket >= 0 else None
                true_socket = -1
                agent.start()
                self.assertIn(why, agent.log())
                self.assertIn("queue 0 was opened anew", agent.log())
                self.assertEqual(len(agent.manager.kept["queue-0"]), 1)
                self.assertEqual(len(self.host.queues()), 4)
                agent.kill()
        agent.manager.keep("queue-7", elsewhere)
        agent.manager.keep("other", elsewhere)
        agent.start()
        self.assertIn("they are opened anew", agent.log())
        wait_until(lambda: set(agent.manager.kept) == names(1), "only the queues' own are kept")

    def test_other_queues(self):
        agent = self.agent(queues=(0, 3))
        agent.stop()
        self.assertEqual(set(self.host.queues()), set(range(16)))
        agent.queues = (0, 1)
        agent.start()
        self.assertIn("the queues are not those of the run before", agent.log())
        self.assertEqual(set(self.host.queues()), set(range(8)))
        wait_until(lambda: set(agent.manager.kept) == names(2), "the new ones are kept")

    def test_queues_for_floods_come_and_go(self):
        """As after a release that had none: what goes on waits for the next run, which opens the others."""
        together = POLICY + "queue: { flood-numbers: off }\n"
        agent = self.agent(together)
        agent.feed()
        idle = self.idle(count=20)
        for policy, width in ((POLICY, 4), (together, 1)):
            port = self.host.queues()[0]["port"]
            agent.stop()
            agent.write_policy(policy)
            agent.start()
            self.assertIn("queue 0 goes on", agent.log())
            self.assertIn("connections of the run before go on exactly", agent.log())
            self.assertEqual(self.host.queues()[0]["port"], port)
            self.assertEqual(set(self.host.queues()), set(range(width)))
            wait_until(lambda: len(agent.manager.kept) == width, "its own are kept")
            self.assertEqual(idle.answering(), 20)

    def test_two_agents(self):
        agent = self.agent()
        other = Agent(self.host, POLICY, name="second")
        with self.assertRaisesRegex(Exception, f"queue 0 is held by process {agent.process.pid} "):
            other.start()


# Sends numbered datagrams to an echo server, and counts what comes back within some seconds after the last.
DATAGRAMS = """
import socket, sys, time
address, count = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
s.connect((address, 7))
for number in range(count):
    s.send(b'%d' % number)
print('sent', flush=True)
s.settimeout(60)
back = set()
try:
    while len(back) < count:
        back.add(int(s.recv(100)))
        s.settimeout(5)
except TimeoutError:
    pass
print(len(back), 'back', flush=True)
"""


class CrashTests(ServiceTests):
    def datagrams(self, count):
        """Datagrams to an agent that stands still, once all of them wait in the kernel."""
        before = self.host.queues()[0]["waiting"]
        process = self.client.start("/usr/bin/python3", "-c", DATAGRAMS, self.host.ip4, count, name="datagrams")
        wait_until(lambda: self.host.queues()[0]["waiting"] >= before + count, "all wait", process=process)
        return process

    def halted(self, policy=POLICY):
        """An agent that stands still, fed, of which the manager keeps the socket."""
        self.host.flush_rules()
        agent = self.agent(policy)
        agent.feed()
        agent.process.signal(signal.SIGSTOP)
        if not agent.manager.kept:
            self.keep_from(agent)
        return agent

    def take(self, agent, count):
        """Receives packets as the agent would, and settles nothing; returns how many are datagrams to this host: the kernel's
        own IPv6 packets may be among them."""
        address = socket.inet_aton(self.host.ip4)
        with socket.socket(fileno=os.dup(agent.manager.kept["queue-0"][0])) as reader:
            return sum(address in reader.recv(70000) for _ in range(count))

    def test_packets_wait_for_the_next_run(self):
        """Killed while packets wait: they are judged, and every one passes."""
        agent = self.halted()
        datagrams = self.datagrams(200)
        agent.kill()
        agent.start()
        datagrams.wait()
        self.assertIn("200 back", datagrams.output())
        self.assertEqual(self.host.queues()[0]["waiting"], 0)
        self.assert_no_loss(agent)

    def test_what_the_dead_reader_had_received(self):
        for policy, taken_come_back in ((POLICY, False), (FAIL_OPEN, True)):
            with self.subTest(policy):
                agent = self.halted(policy)
                datagrams = self.datagrams(200)
                taken = self.take(agent, 10)
                back = 200 if taken_come_back else 200 - taken
                agent.kill()
                agent.start()
                datagrams.wait()
                self.assertIn(f"{back} back", datagrams.output())
                self.assertEqual(self.host.queues()[0]["waiting"], 0)
                events = agent.wait_for_events(10)
                self.assertEqual(reasons(events), {"internal-driver-error": 10})
                self.assertIn("10 packets that the process before had received", events[0]["portreeve"]["note"])
                self.assertEqual(agent.report()["queues"][0]["refused_verdicts"], 0)
                self.assertEqual(self.lost(agent), {"undecided": 10})
                agent.end()

    def lost(self, agent):
        """Of queue 0 by cause, from the metrics."""
        scrape = self.host.run("curl", "-sSf", "-m", 30, "--unix-socket", os.path.join(agent.directory, "metrics.sock"),
                               "http://localhost/metrics")
        rows = re.findall(r'portreeve_queue_lost_packets_total\{queue="0",cause="(.*)"\} (\d+)', scrape)
        return {cause: int(count) for cause, count in rows if count != "0"}

    def test_what_was_lost_while_nobody_read(self):
        """The kernel counts what does not fit the kept queue; each loss is reported once, by whichever run sees it."""
        agent = self.agent(POLICY + "queue: { length: 20 }\n")
        agent.feed()
        total = 0
        for round in (1, 2):
            wait_until(lambda: f"queue-full {total} " in self.written_losses(agent), "the losses are written down")
            agent.kill()
            self.client.python(
                "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                f"for _ in range(100): s.sendto(b'x', ('{self.host.ip4}', 7))")
            self.assertGreaterEqual(self.host.queues()[0]["full"] - total, 80)
            agent.start()
            # A packet of the kernel's own may come in between.
            lost = self.host.queues()[0]["full"] - total
            events = agent.wait_for_events(lost)
            self.assertEqual(reasons(events), {"internal-driver-error": lost})
            self.assertRegex(events[0]["portreeve"]["note"],
                             r"^\d+ packets were lost while no agent read the queue: queue full \d+, socket buffer full 0$")
            total += lost
            self.assertEqual(agent.report()["queues"][0]["kernel_queue_drops"], total)
            self.assertEqual(self.lost(agent), {"queue-full": total})
        # Nothing more was lost: neither a restart nor a crash reports anything.
        agent.restart()
        agent.kill()
        agent.start()
        self.client.run("ping", "-c", 1, self.host.ip4)
        agent.settled_report()
        self.assertEqual(reasons(agent.events()), {})

    @staticmethod
    def written_losses(agent):
        try:
            with open(os.path.join(agent.directory, "losses")) as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def test_all_was_received_and_nothing_waits_in_the_socket(self):
        agent = self.halted()
        self.datagrams(5)
        self.take(agent, 5)
        agent.kill()
        agent.start()
        self.assertEqual(self.host.queues()[0]["waiting"], 0)
        self.assertEqual(reasons(agent.wait_for_events(5)), {"internal-driver-error": 5})
        self.client.run("ping", "-c", 1, self.host.ip4)

    @staticmethod
    def keep_from(agent):
        """Takes the socket out of the living process (pidfd_getfd(2))."""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        pidfd = os.pidfd_open(agent.process.pid)
        for entry in os.listdir(f"/proc/{agent.process.pid}/fd"):
            descriptor = libc.syscall(438, pidfd, int(entry), 0)
            kept = socket.socket(fileno=descriptor) if "socket" in os.readlink(f"/proc/self/fd/{descriptor}") else None
            if kept is not None and kept.family == socket.AF_NETLINK and kept.proto == 12:
                agent.manager.keep("queue-0", descriptor)
                return
            os.close(descriptor) if kept is None else kept.close()
        raise LookupError("no netfilter socket")


# Without the grace for connections that are older than the agent, what it does not know is refused. An exchange of
# datagrams lasts as long as a test.
NO_GRACE = "engine: { timeouts: { cold-start: 0s, boot-start: 0s, udp: 1h } }\n"
NOBODY = 65534
# In a user namespace there is only one user.
SERVICE = None if isolation.is_user_namespace() else NOBODY


class RestartTests(ServiceTests):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.enterClassContext(services.iperf3(cls.host))

    def test_restart_under_load(self):
        """As the service's user: bulk data both ways, a hundred idle connections, a flood of short ones; no packet is
        dropped by anybody, and no event written."""
        for policy, queues in ((POLICY + NO_GRACE, (0, 1)), (FAIL_OPEN + NO_GRACE, (0, 0))):
            with self.subTest(policy):
                self.host.flush_rules()
                agent = self.agent(policy, queues=queues, user=SERVICE)
                agent.feed()
                idle = self.idle()
                conversation = Conversation(self.client, self.host.ip6)
                bulk = self.client.start("iperf3", "-c", self.host.ip4, "-t", 12, "--bidir", "-J", name="bulk")
                stream = Connections(self.client, self.host.ip4, patience=10)
                self.client.python(DATAGRAMS, self.host.ip4, 1)
                for _ in range(3):
                    time.sleep(2)
                    self.assertEqual(agent.restart(), 0)
                    self.assertEqual(agent.report()["connections"]["udp"], 1)
                    self.assertIn("go on exactly", agent.log())
                    self.assertEqual(idle.answering(), 100)
                outcomes = stream.stop()
                self.assertEqual(set(outcomes), {"complete"}, outcomes)
                self.assertEqual(bulk.wait(60), 0, bulk.output())
                self.assertTrue(conversation.stop())
                self.assertEqual(idle.answering(), 100)
                self.assert_no_loss(agent)
                idle.stop()
                sums = json.loads(bulk.output())["end"]
                moved = sums["sum_sent"]["bytes"] + sums["sum_received_bidir_reverse"]["bytes"]
                packets = sum(queue["packets"] for queue in agent.report()["queues"])
                print(f"{'open' if 'open' in policy else 'closed'}: 3 restarts, {moved >> 20} MiB, {outcomes['complete']} "
                      f"short connections, {packets} packets since the last restart, 0 dropped, longest pause "
                      f"{conversation.longest_pause} ms", flush=True)
                agent.end()

    def test_crash(self):
        """kill -9, then the next run: the connections of the last state go on, although it learns their windows anew."""
        agent = self.agent(POLICY + NO_GRACE, queues=(0, 1))
        agent.feed()
        idle = self.idle()
        conversation = Conversation(self.client, self.host.ip4)
        written = os.stat(agent.state).st_mtime_ns if os.path.exists(agent.state) else 0
        wait_until(lambda: os.path.exists(agent.state) and os.stat(agent.state).st_mtime_ns != written, "a new state", 40)
        agent.kill()
        agent.start()
        self.assertIn("with windows to be learnt anew", agent.log())
        conversation.wait_for_progress()
        self.assertEqual(idle.answering(), 100)
        self.assertTrue(conversation.stop())
        self.assertEqual(set(reasons(agent.events())) - {"internal-driver-error"}, set())
        self.client.run("ping", "-c", 1, self.host.ip4)
        print(f"kill -9: longest pause {conversation.longest_pause} ms", flush=True)

    def test_another_number_of_queues(self):
        agent = self.agent(POLICY + NO_GRACE, queues=(0, 3))
        agent.feed()
        idle = [self.idle(address) for address in (self.host.ip4, self.host.ip6)]
        conversations = [Conversation(self.client, address) for address in (self.host.ip4, self.host.ip6)]
        for queues in ((0, 1), (0, 2), (0, 0), (0, 1)):
            with self.subTest(queues):
                agent.stop()
                agent.queues = queues
                # Whole tables, so that no packet finds none. What comes to a queue that is not open yet is sent again.
                for family, text in hand_written_rules(queues).items():
                    self.host.run("iptables-restore" if family == 4 else "ip6tables-restore", "-w", input=text)
                agent.start()
                self.assertIn("they are opened anew", agent.log())
                for conversation in conversations:
                    conversation.wait_for_progress()
                self.assertEqual([some.answering() for some in idle], [100, 100])
                report = agent.report()
                self.assertEqual(report["connections"]["tcp"], 202, report["connections"])
                self.assert_no_loss(agent)
        self.assertTrue(all(conversation.stop() for conversation in conversations))

    def test_connections_that_nobody_has_claimed_are_listed(self):
        agent = self.agent(POLICY + NO_GRACE, queues=(0, 3))
        agent.feed()
        idle = self.idle(count=20)
        agent.stop()
        agent.queues = (0, 1)
        for family, text in hand_written_rules(agent.queues).items():
            self.host.run("iptables-restore" if family == 4 else "ip6tables-restore", "-w", input=text)
        agent.start()
        listed = lambda: [json.loads(line) for line in agent.tool("connections", "--port", 7, "--json").splitlines()]
        self.assertEqual([row["queue"] for row in listed()], [None] * 20)
        self.assertEqual(agent.tool("connections").count("ESTABLISHED (not claimed yet)"), 20)
        self.assertEqual(idle.answering(), 20)
        # All of one pair of addresses, they are of one queue.
        queues = {row["queue"] for row in listed()}
        self.assertTrue(queues == {0} or queues == {1}, queues)
        self.assertEqual(len(listed()), 20)
        self.assertNotIn("not claimed yet", agent.tool("connections"))

    def test_a_new_policy_judges_again(self):
        agent = self.agent(POLICY + NO_GRACE)
        agent.feed()
        idle = self.idle(count=1)
        agent.write_policy(POLICY.replace("[7, 80, 5201]", "[80]") + NO_GRACE)
        agent.restart()
        self.assertEqual(idle.answering(), 0)
        self.assertEqual(set(reasons(agent.wait_for_events(1))), {"out-of-allowed-policy"})


class StateFileTests(ServiceTests):
    """What is not believed. With no grace the one connection that the file has is then unknown."""
    seconds = 130

    def refusal(self, change):
        """What the agent says of the file after `change(path)`."""
        agent = self.agent(POLICY + NO_GRACE)
        agent.feed()
        idle = self.idle(count=1)
        agent.stop()
        change(agent.state)
        agent.start()
        self.assertNotIn("go on exactly", agent.log())
        self.assertEqual(idle.answering(), 0)
        self.assertIn("out-of-connection", reasons(agent.wait_for_events(1)))
        line = next(line for line in agent.log().splitlines() if "connections of the run before" in line)
        idle.stop()
        agent.end()
        self.host.flush_rules()
        return line

    def test_old(self):
        self.assertIn("is 301 seconds old", self.refusal(lambda path: patch(path, 32, lambda b: shift(b, -301))))
        self.assertIn("dated in the future", self.refusal(lambda path: patch(path, 32, lambda b: shift(b, 3600))))

    def test_of_another_boot(self):
        self.assertIn("from before the last boot", self.refusal(lambda path: patch(path, 16, lambda b: b"\0" * 8)))

    def test_of_another_version(self):
        self.assertIn("it has format 7", self.refusal(lambda path: patch(path, 8, lambda b: struct.pack(">I", 7) + b[4:])))

    def test_torn(self):
        self.assertIn("its end is missing", self.refusal(lambda path: os.truncate(path, os.stat(path).st_size - 8)))
        self.assertIn("its end is missing", self.refusal(lambda path: os.truncate(path, 48)))
        self.assertIn("does not begin as a state does", self.refusal(lambda path: os.truncate(path, 0)))

    def test_damaged(self):
        self.assertIn("its checksum is wrong", self.refusal(lambda path: patch(path, 90, lambda b: b"\1" * 8, sum=False)))

    def test_forged(self):
        self.assertIn("others than its owner may use it", self.refusal(lambda path: os.chmod(path, 0o644)))
        if SERVICE is not None:
            self.assertIn("it belongs to user 65534", self.refusal(lambda path: os.chown(path, NOBODY, NOBODY)))
        self.assertIn("opening", self.refusal(replace_by_link))
        # An address that is not of its version, with a checksum that is right.
        self.assertIn("record 0 describes no connection", self.refusal(lambda path: patch(path, 50, lambda b: b"\xff" * 8)))


def shift(field, seconds):
    return struct.pack(">q", struct.unpack(">q", field)[0] + seconds * 10**9)


def patch(path, offset, change, sum=True):
    """Changes eight bytes of a state, and makes its checksum right again."""
    with open(path, "r+b") as file:
        content = bytearray(file.read())
        content[offset:offset + 8] = change(bytes(content[offset:offset + 8]))
        if sum:
            content[-8:] = struct.pack(">Q", checksum(content[:-8]))
        file.seek(0)
        file.write(content)


def replace_by_link(path):
    os.rename(path, path + ".real")
    os.symlink(path + ".real", path)


def checksum(content):
    """SipHash-1-3 of the words of a state."""
    mask = (1 << 64) - 1
    key = (0x5052545256535441, 1)
    v = [key[0] ^ 0x736F6D6570736575, key[1] ^ 0x646F72616E646F6D, key[0] ^ 0x6C7967656E657261, key[1] ^ 0x7465646279746573]

    def turned(x, bits):
        return (x << bits | x >> (64 - bits)) & mask

    def turn():
        v[0] = (v[0] + v[1]) & mask
        v[1] = turned(v[1], 13) ^ v[0]
        v[0] = turned(v[0], 32)
        v[2] = (v[2] + v[3]) & mask
        v[3] = turned(v[3], 16) ^ v[2]
        v[0] = (v[0] + v[3]) & mask
        v[3] = turned(v[3], 21) ^ v[0]
        v[2] = (v[2] + v[1]) & mask
        v[1] = turned(v[1], 17) ^ v[2]
        v[2] = turned(v[2], 32)

    words = struct.unpack(f">{len(content) // 8}Q", content)
    for word in [*words, len(words) << 59 & mask]:
        v[3] ^= word
        turn()
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(3):
        turn()
    return v[0] ^ v[1] ^ v[2] ^ v[3]


if __name__ == "__main__":
    unittest.main(verbosity=2)
