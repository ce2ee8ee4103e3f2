# SPDX-License-Identifier: GPL-3.0-or-later
"""Long lists of addresses: what they cost the whole agent, and that each address in them counts."""

import os
import random
import re
import signal
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, reasons
from lab import Lab, wait_until

POLICY = """
version: 1
interfaces: {{ ignore: [lo] }}
lists: {{ bad: {{ addresses-file: {} }} }}
rules:
  - {{ name: Listed, action: deny, direction: incoming, priority: 4, source: {{ addresses: bad }} }}
  - {{ name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: {{ type: echo-request }} }}
  - {{ name: Echo, action: force-allow, direction: incoming, protocol: udp, destination: {{ ports: 7 }} }}
"""
# As fast as they come back, sixteen on their way at any time, until SIGINT. Prints how many were sent, and how many came back.
LOAD = """
import signal, socket, sys
over = []
signal.signal(signal.SIGINT, lambda *_: over.append(True))
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.connect((sys.argv[1], 7))
s.settimeout(10)
sent = answered = 0
while not over or answered < sent:
    if not over and sent - answered < 16:
        s.send(bytes(512))
        sent += 1
        continue
    try:
        s.recv(1024)
    except TimeoutError:
        break
    answered += 1
print(sent, answered)
"""
MILLION = 1_000_000


class ListTests(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.client, self.host = self.lab.client, self.lab.host
        self.path = os.path.join(self.lab.directory, "bad.txt")

    def judged(self, addresses, listed, others):
        """Starts an agent with the list, pings from addresses that are in it and that are not; returns the agent."""
        text = "".join(f"{address}\n" for address in [*addresses, *listed])
        agent = self.enterContext(Agent(self.host, POLICY.format(self.lab.file("bad.txt", text))))
        agent.feed()
        for address in others:
            self.assertIn(" 0% packet loss", self.ping(address))
        self.assertEqual(agent.events(), [])
        for address in listed:
            self.assertIn(" 100% packet loss", self.ping(address))
        events = agent.wait_for_events(len(listed))
        self.assertEqual(reasons(events), {"deny": len(listed)})
        self.assertEqual([event["src_ip"] for event in events], listed)
        return agent

    def ping(self, source):
        target = self.host.ip6 if ":" in source else self.host.ip4
        return self.client.run("ping", "-c", 1, "-W", 1, "-I", source, target, check=False)

    def test_a_million_ipv6_addresses_in_any_order(self):
        """Written out in full, 39 bytes each, which is as large as such a file gets; with some of IPv4 among them."""
        numbers = list(range(MILLION))
        random.Random(1).shuffle(numbers)
        agent = self.judged(
            (f"2001:0db8:1234:5678:9abc:{n >> 12:04x}:{n >> 4 & 0xff:04x}:{n & 15:02x}{n * 37 & 0xff:02x}" for n in numbers),
            [self.client.ip6, self.client.ip4], ["fd00:1::11", self.lab.client_addresses[1]])
        self.assertLess(agent.peak_bytes(), 100 << 20)

    def test_a_million_ipv4_addresses_and_a_reload_with_others(self):
        numbers = [f"{60 + (n >> 18)}.{n >> 10 & 255}.{n >> 2 & 255}.{n << 6 & 255 | 1}" for n in range(MILLION)]
        mine, other = self.client.ip4, self.lab.client_addresses[1]
        self.enterContext(services.echo(self.host))
        agent = self.judged(numbers, [mine], [other])
        self.assertLess(agent.peak_bytes(), 100 << 20)

        # While traffic flows another list takes the place of the first.
        second = self.lab.file("second.txt", "".join(f"{address}\n" for address in [*numbers, other]))
        agent.write_policy(POLICY.format(second))
        pings = self.client.start("ping", "-i", "0.05", self.host.ip6, name="pings")
        agent.tool("reload", seconds=120)
        self.assertAnswered(pings)
        self.assertIn(" 0% packet loss", self.ping(mine))
        self.assertIn(" 100% packet loss", self.ping(other))

        # What they change is not compared beside the packets, and that is said.
        def told():
            agent.events()
            return agent.changes

        wait_until(told, "the event of the change", 30, agent.process)
        self.assertRegex(
            agent.changes[0]["portreeve"]["note"],
            r"^epoch 2 after 1, asked for by root \(.+\): what it changes was not decided within the budget: both policies have 200000\d entries of "
            r'address lists, of which at most 200000 are compared beside the packets; "portreeve diff" takes its time$')

        # Another million takes its place in the file, which nobody has to say.
        self.path, third = second, self.lab.client_addresses[2]
        load = self.client.start("/usr/bin/python3", "-c", LOAD, self.host.ip6, name="load")
        pings = self.client.start("ping", "-i", "0.05", self.host.ip6, name="pings")
        self.replace("".join(f"{address}\n" for address in [*numbers[1:], third, mine]))
        self.await_epoch(agent, 3)
        self.assertAnswered(pings)
        load.signal(signal.SIGINT)
        self.assertEqual(load.wait(), 0)
        sent, answered = map(int, load.output().split())
        self.assertEqual(sent, answered, "each datagram of the load comes back")
        self.assertGreater(sent, 1000)
        self.assertEqual({(row["kernel_queue_drops"], row["kernel_socket_drops"], row["overflows"]) for row in agent.report()["queues"]},
                         {(0, 0, 0)})
        self.assertIn(" 0% packet loss", self.ping(other))
        self.assertIn(" 100% packet loss", self.ping(mine))

    def assertAnswered(self, pings):
        """Ends it; each of its echoes was answered."""
        self.assertTrue(pings.is_running)
        pings.signal(signal.SIGINT)
        pings.wait()
        answered = [int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", pings.output())]
        sent = int(re.search(r"(\d+) packets transmitted", pings.output())[1])
        # The last one may still be on its way.
        self.assertEqual(answered, list(range(1, len(answered) + 1)))
        self.assertLessEqual(sent - len(answered), 1)

    def replace(self, text):
        """As whoever fetches a list does it."""
        with open(self.path + ".new", "w", newline="") as file:
            file.write(text)
        os.replace(self.path + ".new", self.path)

    def await_epoch(self, agent, epoch):
        wait_until(lambda: agent.report()["policy"]["epoch"] >= epoch, f"epoch {epoch} is in force", 60, agent.process)

    def test_a_list_is_in_force_when_its_file_is_replaced_and_nothing_else_is(self):
        listed, other = self.client.ip4, self.lab.client_addresses[1]
        agent = self.enterContext(Agent(self.host, POLICY.format(self.lab.file("bad.txt", "198.51.100.1\n"))))
        agent.feed()
        self.assertIn(" 0% packet loss", self.ping(listed))
        # What waits on the disk for somebody to reload it goes on waiting.
        agent.write_policy(POLICY.format(self.path).replace("force-allow", "deny"))
        in_force = f"\ufeff; a feed\r\n# of the usual form\r\n{listed} ; why\r\n203.0.113.0/24 # more\r\n192.0.2.1-192.0.2.9\r\n"
        self.replace(in_force)
        self.await_epoch(agent, 2)
        self.assertIn(" 100% packet loss", self.ping(listed))
        self.assertIn(" 0% packet loss", self.ping(other))
        wait_until(lambda: agent.events() is not None and agent.changes, "the event of the change", 30, agent.process)
        self.assertIn(f"epoch 2 after 1, asked for by a change of {self.path}: ", agent.changes[0]["portreeve"]["note"])
        # The old one stays where the new one is broken, or is gone, and it is said.
        self.replace(f"{other}\nno address\n")
        wait_until(lambda: "bad.txt changed, and the list of before stays in force" in str(agent.report()["warnings"]), "it is said")
        self.assertIn("found \"no address\"", str(agent.report()["warnings"]))
        os.unlink(self.path)
        wait_until(lambda: "No such file" in str(agent.report()["warnings"]), "it is said")
        self.assertIn(" 100% packet loss", self.ping(listed))
        self.assertIn(" 0% packet loss", self.ping(other))
        # The same once more is no other list, and ends the complaint.
        self.replace(in_force)
        wait_until(lambda: "bad.txt" not in str(agent.report()["warnings"]), "nothing is wrong any more")
        self.replace("198.51.100.1\n")
        self.await_epoch(agent, 3)
        self.assertNotIn("bad.txt", str(agent.report()["warnings"]))
        self.assertIn(" 0% packet loss", self.ping(listed))

    def test_a_list_that_changes_puts_no_policy_in_force_that_was_not_confirmed(self):
        agent = self.enterContext(Agent(self.host, POLICY.format(self.lab.file("bad.txt", "198.51.100.1\n"))))
        agent.feed()
        agent.write_policy(POLICY.format(self.path).replace("force-allow", "deny"))
        agent.tool("reload", "--confirm", "2", "--force")
        standing = lambda: agent.report()["policy"]
        wait_until(lambda: standing().get("last_reload_error"), "it is taken back", 30, agent.process)
        refused = standing()["last_reload_error"]
        self.replace("198.51.100.2\n")
        self.await_epoch(agent, 3)
        self.assertEqual(standing()["last_reload_error"], refused)
        self.assertEqual(agent.stop(), 0)
        agent.start()
        self.assertIn("not confirmed", standing()["fallback"])
        self.assertIn(" 0% packet loss", self.ping(self.client.ip4))


class ManyRulesTests(unittest.TestCase):
    COUNT = 50_000

    def setUp(self):
        self.lab = self.enterContext(Lab())

    def test_fifty_thousand_rules_in_one_file_and_the_memory_of_them_when_they_are_gone(self):
        few = POLICY.format(self.lab.file("bad.txt", "198.51.100.1\n"))
        agent = self.enterContext(Agent(self.lab.host, few))
        agent.feed()
        before, fewest = agent.resident_bytes(), agent.report()["policy"]["rules"]
        agent.write_policy(few + "".join(
            f"  - {{ name: Customer {n:05d} over HTTP and its own port, action: allow, direction: incoming, frame: ipv4, "
            f"protocol: tcp, source: {{ addresses: 10.{n >> 16}.{n >> 8 & 255}.{n & 255} }}, "
            f"destination: {{ ports: [80, 443, {1000 + n}] }} }}\n" for n in range(self.COUNT)))
        agent.tool("reload", seconds=300)
        self.assertEqual(agent.report()["policy"]["rules"], self.COUNT + fewest)
        agent.write_policy(few)
        agent.tool("reload", seconds=60)
        self.assertEqual(agent.report()["policy"]["rules"], fewest)
        # It had 382 MiB for good.
        wait_until(lambda: agent.resident_bytes() < before + (24 << 20), "the memory is given back", 30, agent.process)


if __name__ == "__main__":
    unittest.main()
