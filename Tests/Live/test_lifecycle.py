# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's life under traffic: new policies, its end in every manner, its return, and what it cannot start with."""

import os
import resource
import signal
import time
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, binaries, reasons, thread_named
from forge import inside
from lab import CommandFailed, Lab, wait_until
from load import Connections, Conversation, Downloads, IdleConnections
from machine import queue_reader

POLICY = """
version: 1
interfaces: { ignore: [lo] }
rules:
  - { name: Services, action: allow, direction: incoming, protocol: tcp, destination: { ports: [7, 80] } }
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
"""
OTHER = POLICY + "  - { name: No finger, action: deny, direction: incoming, protocol: tcp, destination: { ports: 79 } }\n"
NO_ECHO = POLICY + (
    "  - { name: Echo is off, action: deny, direction: incoming, priority: 1, protocol: tcp, destination: { ports: 7 } }\n")
FAIL_OPEN = POLICY + "failure: { engine: open }\n"

FILE = os.urandom(1 << 20) * 12


class LifeTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.host = cls.lab.client, cls.lab.host
        cls.enterClassContext(services.nginx(cls.host, {"file": FILE, "page": b"here\n"}))
        cls.enterClassContext(services.echo(cls.host))

    def setUp(self):
        self.addCleanup(self.host.flush_rules)

    def agent(self, policy=POLICY, **options):
        agent = Agent(self.host, policy, name=os.path.basename(self.lab.file("agent")), **options).start()
        self.addCleanup(agent.stop)
        return agent

    @property
    def addresses(self):
        """The host's, of both families."""
        return (self.host.ip4, self.host.ip6)

    @property
    def url(self):
        return f"http://{self.host.ip4}/file"

    def can_connect(self, seconds=30, address=None):
        """Whether a page comes within that time: a short one where none is expected."""
        address = address or self.host.ip4
        url = f"http://[{address}]/page" if ":" in address else f"http://{address}/page"
        return self.client.status("curl", "-sSf", "-o", "/dev/null", "-m", seconds, url)[0] == 0

    def assert_no_loss(self, agent):
        """No packet was dropped by anybody: no event, none lost on the way to the agent."""
        self.assertEqual(agent.events(), [])
        for queue in agent.report()["queues"]:
            self.assertEqual(
                (queue["dropped"], queue["kernel_queue_drops"], queue["kernel_socket_drops"], queue["refused_verdicts"]),
                (0, 0, 0, 0), queue)


class ReloadTests(LifeTests):
    def test_reload_under_load_loses_nothing(self):
        agent = self.agent(queues=(0, 1))
        agent.feed()
        downloads = Downloads(self.client, self.url, rate="4M")
        streams = [Connections(self.client, address) for address in (self.host.ip4, self.host.ip6)]
        reloads = 0
        while downloads.are_running or reloads < 8:
            reloads += 1
            policy = OTHER if reloads % 2 else POLICY
            if reloads % 4:
                agent.reload(policy)
                agent.await_epoch(1 + reloads)
            else:
                agent.write_policy(policy)
                self.assertIn(f"epoch {1 + reloads} is in force", agent.tool("reload"))
        for stream in streams:
            outcomes = stream.stop()
            self.assertEqual(set(outcomes), {"complete"}, outcomes)
        self.assertTrue(all(got == FILE for got in downloads.finish()))
        self.assert_no_loss(agent)

    def test_a_living_connection_that_a_new_policy_refuses(self):
        agent = self.agent()
        agent.feed()
        for address in (self.host.ip4, self.host.ip6):
            with self.subTest(address):
                agent.reload(POLICY)
                agent.tool("reload")
                conversation = Conversation(self.client, address)
                agent.events()
                agent.write_policy(NO_ECHO)
                agent.tool("reload")
                events = agent.wait_for_events(2)
                self.assertEqual(set(reasons(events)), {"deny"}, events)
                for event in events:
                    self.assertEqual(event["portreeve"]["rule"], "Echo is off")
                    self.assertIn(address, (event["src_ip"], event["dest_ip"]))
                stopped = conversation.progress
                agent.write_policy(POLICY)
                agent.tool("reload")
                conversation.wait_for_progress()
                self.assertGreater(conversation.progress, stopped)
                self.assertTrue(conversation.stop())
                self.assertEqual(set(reasons(agent.events())) - {"deny"}, set())

    def test_the_limits_of_the_tables_follow_a_reload(self):
        limits = lambda tcp, udp, more="": (
            POLICY + f"engine: {{ limits: {{ tcp: {tcp}, udp: {udp}, icmp: 10{more} }} }}\n")
        agent = self.agent(limits(100, 50))
        agent.feed()
        idle = IdleConnections(self.client, self.host.ip4, count=10)
        self.addCleanup(idle.stop)
        # What is open stays; nothing more comes in.
        agent.write_policy(limits(5, 100))
        agent.tool("reload")
        self.assertEqual(idle.answering(), 10)
        self.assertFalse(self.can_connect(2))
        self.assertEqual(set(reasons(agent.wait_for_events(1))), {"max-tcp-connections"})
        counts = agent.report()["connections"]
        self.assertEqual((counts["limits"]["tcp"], counts["limits"]["udp"]), (5, 100))
        # As much as there was room for at the start, however it is shared out.
        agent.write_policy(limits(149, 1))
        agent.tool("reload")
        self.assertTrue(self.can_connect())
        for wrong, words in (
                (limits(150, 51), ["tcp, udp and icmp are 211 together; the running agent has room for 160"]),
                (limits(100, 50, ", fragmented-datagrams: 7") + "queue: { length: 100 }\n",
                 ["queue.length cannot change", "engine.limits.fragmented-datagrams cannot change"])):
            agent.write_policy(wrong)
            status, output = agent.tool_status("reload")
            self.assertEqual(status, 1, output)
            for part in [*words, "systemctl restart portreeved", "epoch 3 stays in force"]:
                self.assertIn(part, output)
        self.assertEqual(idle.answering(), 10)

    def test_a_connection_of_an_interface_that_was_ignored(self):
        """It was none of the agent's business; when it is, the connection is taken up as after a start."""
        short = "engine: { timeouts: { cold-start: 1s, boot-start: 0s } }\n"
        agent = self.agent(POLICY.replace("[lo]", "[lo, eth0]") + short)
        agent.feed()
        conversation = Conversation(self.client, self.host.ip4)
        wait_until(lambda: agent.report()["uptime"] > 2, "the cold start of the agent itself is over")
        agent.write_policy(POLICY + short)
        agent.tool("reload")
        conversation.wait_for_progress()
        self.assertEqual(agent.report()["connections"]["tcp"], 1)
        self.assertTrue(conversation.stop())
        self.assertEqual(agent.events(), [])

    def test_an_ignored_interface_stays_ignored_without_a_free_descriptor(self):
        """Where the kernel cannot be asked for the interfaces, what was known of them stays."""
        agent = self.agent(POLICY.replace("[lo]", "[lo, eth0]") + "engine: { timeouts: { cold-start: 0s, boot-start: 0s } }\n")
        agent.feed()
        conversation = Conversation(self.client, self.host.ip4)
        # Those that it opens for a moment do not count.
        first_free = lambda: min(set(range(1000)) - set(map(int, os.listdir(f"/proc/{agent.process.pid}/fd"))))
        free = min(first_free() for _ in range(100))
        before = resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (free, before[1]))
        # It looks once a second.
        time.sleep(3)
        conversation.wait_for_progress()
        resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, before)
        self.assertTrue(conversation.stop())
        self.assertEqual(agent.events(), [])
        self.assertEqual(agent.report()["connections"]["tcp"], 0)

    def test_a_broken_policy_changes_nothing(self):
        agent = self.agent()
        agent.feed()
        conversation = Conversation(self.client, self.host.ip4)
        broken = POLICY + "  - { name: Wrong, action: alow, direction: incoming }\n"
        line = len(POLICY.splitlines()) + 1
        place = f"{agent.policy}:{line}:{broken.splitlines()[line - 1].index('alow') + 1}: error"
        agent.write_policy(broken)
        status, output = agent.tool_status("reload")
        self.assertEqual(status, 1)
        self.assertIn(place, output)
        self.assertIn("did you mean", output)
        self.assertIn("epoch 1 stays in force", output)
        agent.reload()
        wait_until(lambda: place in agent.log(), "the log names the place", process=agent.process)
        report = agent.report()
        self.assertEqual(report["policy"]["epoch"], 1)
        self.assertIn(place, report["policy"]["last_reload_error"])
        conversation.wait_for_progress()
        self.assertTrue(conversation.stop())
        self.assertTrue(self.can_connect())
        agent.write_policy(POLICY)
        self.assertIn("epoch 2 is in force", agent.tool("reload"))
        self.assertIsNone(agent.report()["policy"]["last_reload_error"])
        self.assert_no_loss(agent)


class EndTests(LifeTests):
    seconds = 62

    def test_killed_when_closed(self):
        agent = self.agent()
        agent.feed()
        conversations = [Conversation(self.client, address) for address in self.addresses]
        streams = [Connections(self.client, address, patience=1) for address in self.addresses]
        agent.kill()
        for address in self.addresses:
            self.assertFalse(self.can_connect(1, address), address)
        status, output = agent.tool_status("status")
        self.assertEqual(status, 2)
        self.assertIn("this host is shut", output)
        stopped = [conversation.progress for conversation in conversations]
        for stream in streams:
            self.assertIn("TimeoutError", stream.stop())
        self.assertEqual([conversation.progress for conversation in conversations], stopped)
        agent.start()
        for address, conversation in zip(self.addresses, conversations):
            self.assertTrue(self.can_connect(address=address), address)
            conversation.wait_for_progress()
            self.assertTrue(conversation.stop())
        self.assert_no_loss(agent)

    def test_killed_when_open(self):
        agent = self.agent(FAIL_OPEN)
        agent.feed(bypass=True)
        conversations = [Conversation(self.client, address) for address in self.addresses]
        downloads = Downloads(self.client, self.url, rate="4M")
        agent.kill()
        for address, conversation in zip(self.addresses, conversations):
            self.assertTrue(self.can_connect(address=address), address)
            conversation.wait_for_progress()
        status, output = agent.tool_status("status")
        self.assertEqual(status, 2)
        self.assertIn("this host is not protected", output)
        agent.start()
        for address, conversation in zip(self.addresses, conversations):
            conversation.wait_for_progress()
            self.assertTrue(self.can_connect(address=address), address)
        self.assertTrue(all(got == FILE for got in downloads.finish()))
        for conversation in conversations:
            self.assertTrue(conversation.stop())
        self.assert_no_loss(agent)

    def test_terminated_under_load(self):
        """SIGTERM settles every packet that was taken; what comes later is the kernel's, which drops it or, with
        --queue-bypass, passes it."""
        for policy, bypass, expected in ((POLICY, False, {"complete", "TimeoutError"}), (FAIL_OPEN, True, {"complete"})):
            with self.subTest(bypass=bypass):
                self.host.flush_rules()
                agent = self.agent(policy)
                agent.feed(bypass=bypass)
                stream = Connections(self.client, self.host.ip4, patience=3)
                downloads = Downloads(self.client, self.url, rate="4M")
                stream.wait_for_one()
                self.assertEqual(agent.stop(), 0)
                self.assertIn("ending: SIGTERM", agent.log())
                self.assertEqual(self.host.queues(), {})
                self.assertEqual(self.can_connect(30 if bypass else 1), bypass)
                self.assertEqual(set(stream.stop()), expected)
                self.assertEqual(agent.events(), [])
                agent.start()
                self.assertTrue(all(got == FILE for got in downloads.finish()))
                self.assert_no_loss(agent)
                agent.stop()

    def halt(self, agent, length):
        """Stops the agent and fills its queue."""
        agent.process.signal(signal.SIGSTOP)

        def is_full():
            self.client.status("ping", "-q", "-c", 5, "-i", 0.01, "-W", 1, self.host.ip4)
            return self.host.queues()[0]["waiting"] >= length

        wait_until(is_full, "the queue is full")

    def test_halted_when_open(self):
        """The kernel passes what does not fit the queue of an agent that hangs. What passed goes on when it is back, though
        the agent saw neither a connection's opening nor how far others have got."""
        agent = self.agent(FAIL_OPEN + "queue: { length: 16 }\n")
        agent.feed(bypass=True)
        older = Conversation(self.client, self.host.ip4)
        self.halt(agent, 16)
        self.assertTrue(self.can_connect())
        younger = Conversation(self.client, self.host.ip4)
        older.wait_for_progress(30)
        agent.process.signal(signal.SIGCONT)
        for conversation in (older, younger):
            conversation.wait_for_progress()
            self.assertTrue(conversation.stop())
        self.assertTrue(self.can_connect())
        self.assertEqual(reasons(agent.events()), {})

    def test_a_queue_that_overflows_again_and_again_when_open(self):
        agent = self.agent(FAIL_OPEN + "queue: { length: 16 }\n")
        agent.feed(bypass=True)
        downloads = Downloads(self.client, self.url, rate="8M")
        for _ in range(3):
            self.halt(agent, 16)
            agent.process.signal(signal.SIGCONT)
            wait_until(lambda: self.host.queues()[0]["waiting"] < 16, "it has room again", process=agent.process)
        while downloads.are_running:
            agent.process.signal(signal.SIGSTOP)
            time.sleep(0.05)
            agent.process.signal(signal.SIGCONT)
            time.sleep(0.05)
        overflows = agent.report()["queues"][0]["overflows"]
        self.assertGreater(overflows, 0)
        scrape = self.host.run("curl", "-sSf", "-m", 30, "--unix-socket", f"{agent.directory}/metrics.sock",
                               "http://localhost/metrics")
        self.assertRegex(scrape, r'portreeve_queue_overflows_total\{queue="0"\} [1-9]')
        self.assertRegex(agent.tool("status"), r"UNSEEN\n.* perhaps, \d+ times\n")
        self.assertEqual(agent.log().count("queue 0 may have been full"), 1)
        self.assertTrue(all(got == FILE for got in downloads.finish()))
        self.assertEqual(reasons(agent.events()), {})

    def test_a_full_socket_buffer(self):
        """The queue has room and its socket's buffer has none: what the kernel drops then, or passes, is counted and reported."""
        sink = "  - { name: Sink, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 9 } }\n"
        for failure, action in (("closed", "observed"), ("open", "fail-open")):
            with self.subTest(failure):
                agent = self.agent(f"{POLICY}{sink}queue: {{ length: 1000000 }}\nfailure: {{ engine: {failure} }}\n")
                agent.feed(bypass=failure == "open")
                with agent.halted():
                    self.client.python(
                        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                        f"for _ in range(40000): s.sendto(b'x' * 1000, ('{self.host.ip4}', 9))", seconds=60)
                wait_until(lambda: self.host.queues()[0]["waiting"] == 0, "all that waited is judged", process=agent.process)
                wait_until(lambda: agent.report()["queues"][0]["kernel_socket_drops"] > 0, "the loss is counted")
                lost = agent.report()["queues"][0]["kernel_socket_drops"]
                self.assertGreater(lost, 1000)
                if failure == "closed":
                    self.assertEqual(self.host.queues()[0]["socket"], lost)
                events = [event for event in agent.wait_for_events(lost) if event.get("dest_port") is None]
                self.assertEqual(reasons(events), {"internal-driver-error": lost})
                self.assertEqual({event["portreeve"]["action"] for event in events}, {action})
                self.assertIn(f"queue full 0, socket buffer full {lost}", events[-1]["portreeve"]["note"])
                scrape = self.host.run("curl", "-sSf", "-m", 30, "--unix-socket", f"{agent.directory}/metrics.sock",
                                       "http://localhost/metrics")
                self.assertIn(f'portreeve_queue_lost_packets_total{{queue="0",cause="socket-full"}} {lost}\n', scrape)
                self.assertTrue(self.can_connect())
                agent.stop()
                self.host.flush_rules()

    def test_halted_when_closed(self):
        """The kernel drops what does not fit; the agent reports it when it goes on."""
        agent = self.agent(POLICY + "queue: { length: 16 }\n")
        agent.feed()
        agent.process.signal(signal.SIGSTOP)
        before = self.host.rule_packets("PREROUTING", "mangle")[0]
        self.client.status("ping", "-q", "-f", "-c", 100, "-W", 1, "-l", 3, self.host.ip4)
        sent = self.host.rule_packets("PREROUTING", "mangle")[0] - before
        agent.process.signal(signal.SIGCONT)
        wait_until(lambda: self.host.queues()[0]["waiting"] == 0, "all that waited is judged", process=agent.process)
        # The kernel's own packets, such as neighbour discovery, may have had places too.
        lost = self.host.queues()[0]["full"]
        self.assertGreaterEqual(lost, sent - 16)
        events = agent.wait_for_events(lost)
        self.assertEqual(agent.report()["queues"][0]["overflows"], 0)
        self.assertEqual(dict(reasons(events)), {"internal-driver-error": lost})
        self.assertEqual(events[0]["portreeve"]["action"], "observed")
        self.assertIn(f"queue full {lost}", events[-1]["portreeve"]["note"])
        self.assertTrue(self.can_connect())

    def test_a_worker_that_hangs_ends_the_agent(self):
        agent = self.agent(FAIL_OPEN, queues=(0, 1))
        agent.feed(bypass=True)
        halt = self.host.start("/usr/bin/python3", "-c", HALT, thread_named(agent.process.pid, "queue 1"), name="halt")
        wait_until(lambda: "halted" in halt.output(), "the thread stands still", process=halt)
        self.assertEqual(agent.process.wait(40), 1)
        self.assertIn("the worker of queue 1 hangs", agent.log())
        self.assertTrue(self.can_connect())

    def test_a_queue_that_is_taken_away_ends_the_agent(self):
        """The queue is gone, and its socket as good as ever: nothing would come to its worker again."""
        agent = self.agent(FAIL_OPEN, queues=(0, 1))
        agent.feed(bypass=True)
        self.host.python(UNBIND, agent.process.pid, self.host.queues()[1]["port"], 1)
        self.assertEqual(agent.process.wait(20), 1)
        self.assertIn("queue 1 is not bound to this agent any more", agent.log())
        self.assertTrue(self.can_connect())

    def test_a_worker_whose_socket_fails_ends_the_agent(self):
        """Of a worker of four queues, and of one of a single queue."""
        for floods in ("auto", "off"):
            with self.subTest(floods):
                agent = self.agent(FAIL_OPEN + f"queue: {{ flood-numbers: {floods} }}\n", queues=(0, 1))
                agent.feed(bypass=True)
                self.host.python(CLOSE, thread_named(agent.process.pid, "queue 1"))
                self.assertEqual(agent.process.wait(20), 1)
                self.assertIn("queue 1: receiving failed: Bad file descriptor", agent.log())
                self.assertTrue(self.can_connect())

    def test_each_line_for_the_journal_has_its_priority(self):
        agent = self.agent(environment={"JOURNAL_STREAM": "8:1"})
        self.assertNotRegex(agent.log().rstrip("\n"), "(?m)^(?!<[4-6]>)", "lines without a priority")
        before = len(agent.log())
        agent.reload("version: 1\nrules: 7\nmode: sideways\n")
        wait_until(lambda: agent.log().count("policy.yaml:") >= 2, "the refusal is in the log", process=agent.process)
        refusal = agent.log()[before:]
        self.assertGreater(refusal.count("\n"), 2)
        self.assertNotRegex(refusal.rstrip("\n"), "(?m)^(?!<3>)", "lines of the refusal that are no errors")


class InterfaceTests(LifeTests):
    """A lab of its own, whose host loses its interface."""

    def test_packets_whose_interface_goes_away(self):
        """The kernel drops them from the queue and refuses their verdicts, which the agent reports."""
        self.host.sysctl(net__ipv6__conf__eth0__keep_addr_on_down=1)
        agent = self.agent()
        agent.feed()
        with agent.halted():
            for address in self.addresses:
                self.client.status("ping", "-q", "-c", 5, "-i", 0.01, "-W", 1, address)
            self.assertGreaterEqual(self.host.queues()[0]["waiting"], 10)
            routes = [self.host.run("ip", family, "route", "show", "default").split() for family in ("-4", "-6")]
            self.host.run("ip", "link", "set", "eth0", "down")
        wait_until(lambda: agent.report()["queues"][0]["refused_verdicts"] > 0, "verdicts are refused")
        wait_until(lambda: self.host.queues()[0]["waiting"] == 0, "all that waited is judged")
        refused = agent.report()["queues"][0]["refused_verdicts"]
        events = agent.wait_for_events(refused)
        self.assertGreater(refused, 0)
        self.assertEqual(reasons(events), {"internal-driver-error": refused})
        self.assertEqual({(event["portreeve"]["id"], event["portreeve"]["action"]) for event in events}, {(120, "observed")})
        self.assertIn(f"verdicts refused {refused}", events[-1]["portreeve"]["note"])
        self.host.run("ip", "link", "set", "eth0", "up")
        for family, route in zip(("-4", "-6"), routes):
            self.host.run("ip", family, "route", "replace", *route)
        for address in self.addresses:
            wait_until(lambda: self.can_connect(2, address), f"{address} answers", process=agent.process)
        self.assertEqual(agent.events(), [])


class StartTests(LifeTests):
    def refusal(self, policy=POLICY, words=(), prefix=(), **options):
        """What an agent says that must not start."""
        agent = Agent(self.host, policy, name=os.path.basename(self.lab.file("refused")), **options)
        status, output = self.host.status(
            *prefix, os.path.join(binaries(), "portreeved"), "--policy", agent.policy, "--control", agent.control,
            "--queue", agent.queue_argument, *words, seconds=20)
        self.assertEqual(status, 1, output)
        self.assertEqual(self.host.queues().keys() - set(range(4)), set(), "queues left bound")
        return output

    def test_a_queue_that_another_process_holds(self):
        first = self.agent()
        output = self.refusal(queues=(0, 1))
        self.assertIn(f"queue 0 is held by process {first.process.pid} (", output)

    def test_a_queue_for_floods_that_another_process_holds(self):
        """Where nobody insists on its number the agent does without, so that an upgrade never keeps it from starting."""
        with inside(self.host):
            reader = queue_reader(2)
        self.addCleanup(reader.close)
        agent = self.agent()
        self.assertEqual([queue["number"] for queue in agent.report()["queues"]], [0])
        self.assertEqual(set(self.host.queues()), {0, 2})
        wait_until(lambda: any("queue 2 is held by process" in line for line in agent.report()["warnings"]), "status says so")
        agent.stop()
        output = self.refusal(policy=POLICY + "queue: { flood-numbers: 2 }\n")
        self.assertIn(f"queue 2 is held by process {os.getpid()} (", output)

    def test_without_the_right_to_read_queues(self):
        output = self.refusal(prefix=("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"))
        self.assertIn("CAP_NET_ADMIN", output)

    def test_without_the_kernel_part(self):
        output = self.refusal(prefix=("/usr/bin/python3", "-c", WITHOUT_NETFILTER))
        self.assertIn("this kernel has no nfnetlink_queue: load it with `modprobe nfnetlink_queue`", output)

    def test_a_log_directory_that_cannot_be_written(self):
        for path in ("/proc/portreeve/events.jsonl", f"{self.lab.file('plain', 'a file')}/events.jsonl"):
            output = self.refusal(events_file=path)
            self.assertRegex(output, rf"portreeved: .*{os.path.dirname(path)}")
            self.assertNotIn("policy.d", output)

    def test_a_control_socket_in_use(self):
        first = self.agent()
        output = self.refusal(queues=(5, 5), words=("--control", first.control))
        self.assertIn(first.control, output)
        self.assertIn("in use", output)
        self.assertEqual(first.report()["pid"], first.process.pid)

    def test_a_control_socket_left_behind(self):
        agent = self.agent()
        agent.kill()
        self.assertTrue(os.path.exists(agent.control))
        agent.start()
        self.assertEqual(agent.report()["pid"], agent.process.pid)
        agent.stop()
        self.assertFalse(os.path.exists(agent.control))

    def test_a_broken_policy(self):
        output = self.refusal(policy="version: 1\nmode: inlin\n")
        self.assertRegex(output, r"policy\.yaml:2:7: error: .*\n")

    def test_hand_written_rules(self):
        """INPUT and OUTPUT, one queue, as a person writes them."""
        agent = self.agent()
        agent.feed(incoming="INPUT")
        for address in (self.host.ip4, self.host.ip6):
            self.client.run("curl", "-sSf", "-o", "/dev/null", f"http://{f'[{address}]' if ':' in address else address}/file")
            self.client.run("ping", "-c", 1, address)
        self.assert_no_loss(agent)
        with self.assertRaises(CommandFailed):
            self.client.run("curl", "-sS", "-m", 1, f"http://{self.host.ip4}:81/")
        event = agent.wait_for_events()[0]
        self.assertEqual((event["portreeve"]["reason"], event["portreeve"]["hook"]), ("out-of-allowed-policy", "input"))
        self.assertIs(agent.report()["fragments_visible"], False)


# ptrace(2): stops one thread of a process, and waits for its end.
HALT = """
import ctypes, os, sys
libc, thread = ctypes.CDLL(None), int(sys.argv[1])
SEIZE, INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000
assert libc.ptrace(SEIZE, thread, None, None) == 0 and libc.ptrace(INTERRUPT, thread, None, None) == 0
os.waitpid(thread, WALL)
print('halted', flush=True)
os.waitpid(thread, WALL)
"""

# ptrace(2): the thread, which waits in recv(2), closes the descriptor it waits on, and goes on.
CLOSE = """
import ctypes, os, sys
libc, thread = ctypes.CDLL(None), int(sys.argv[1])
SEIZE, INTERRUPT, GETREGS, SETREGS, SINGLESTEP, DETACH, WALL = 0x4206, 0x4207, 12, 13, 9, 17, 0x40000000
ORIG_RAX, RAX, RDI, RIP = 15, 10, 14, 16
def trace(request, data=None):
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    assert libc.ptrace(request, thread, None, data) == 0
before = (ctypes.c_ulonglong * 27)()
# A worker of one queue waits in recvfrom(2), one of several in poll(2).
RECVFROM, POLL = 45, 7
while before[ORIG_RAX] not in (RECVFROM, POLL):
    if before[RIP]:
        trace(DETACH)
    trace(SEIZE)
    trace(INTERRUPT)
    os.waitpid(thread, WALL)
    trace(GETREGS, ctypes.addressof(before))
close = (ctypes.c_ulonglong * 27)(*before)
if before[ORIG_RAX] == POLL:
    with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
        memory.seek(before[RDI])
        close[RDI] = int.from_bytes(memory.read(4), "little")
close[RIP] -= 2
close[RAX], close[ORIG_RAX] = 3, 2**64 - 1
trace(SETREGS, ctypes.addressof(close))
trace(SINGLESTEP)
os.waitpid(thread, WALL)
before[RIP] -= 2
before[RAX], before[ORIG_RAX] = before[ORIG_RAX], 2**64 - 1
trace(SETREGS, ctypes.addressof(before))
trace(DETACH)
"""

# pidfd_getfd(2): borrows the socket with that netlink port, and sends NFQNL_CFG_CMD_UNBIND by it.
UNBIND = """
import ctypes, os, socket, struct, sys
process, port, queue = map(int, sys.argv[1:])
with open('/proc/net/netlink') as table:
    rows = [line.split() for line in table][1:]
inode, = (row[9] for row in rows if row[1] == '12' and int(row[2]) == port)
folder = f'/proc/{process}/fd/'
descriptor = next(fd for fd in os.listdir(folder) if os.readlink(folder + fd) == f'socket:[{inode}]')
borrowed = ctypes.CDLL(None).syscall(438, os.pidfd_open(process), int(descriptor), 0)
assert borrowed >= 0
command = struct.pack('HH', 8, 1) + struct.pack('BBH', 2, 0, 0)
body = struct.pack('>BBH', 0, 0, queue) + command
os.write(borrowed, struct.pack('IHHII', 16 + len(body), 3 << 8 | 2, 1, 0, 0) + body)
"""

# seccomp(2): a kernel without netfilter's part of netlink refuses socket(AF_NETLINK, …, NETLINK_NETFILTER) like this.
WITHOUT_NETFILTER = """
import ctypes, os, struct, sys
LOAD, EQUAL, RETURN, ALLOW, REFUSE = 0x20, 0x15, 0x06, 0x7fff0000, 0x50000 | 93
steps = [(LOAD, 0, 0, 0), (EQUAL, 0, 5, 41), (LOAD, 0, 0, 16), (EQUAL, 0, 3, 16), (LOAD, 0, 0, 32), (EQUAL, 0, 1, 12),
         (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', len(steps), ctypes.addressof(code)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""

if __name__ == "__main__":
    unittest.main(verbosity=2)
