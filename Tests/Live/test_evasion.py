# SPDX-License-Identifier: GPL-3.0-or-later
"""The checklist of evasions, played on connections of real stacks wherever the agent may stand. For each packet: one reason or none,
and the agent's picture of the connection stays that of the host's socket. Afterwards the connection goes on.

PORTREEVE_EVASION=all plays every row everywhere; without it each row is played in one of the places. `evasion_run.py` does the
former, and keeps what came of it."""

import contextlib
import os
import unittest

import isolation

isolation.isolate()

import checklist
import services
from agent import Agent
from forge import Injector, Originator
from lab import Lab

checklist.load()

POLICY = """
version: 1
interfaces: { inside: [%s] }
"""
RULES = "rules: [{ name: Echo, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 7 } }]\n"
STRICT = "engine: { anti-evasion: strict, timeouts: { cold-start: 0s, boot-start: 0s, closed: 10m } }\n"
MOST_GROWTH = 64 << 20


class EvasionPlace:
    """Where the agent stands."""

    offload = True
    number = 0
    hook = "prerouting"
    is_whole = os.environ.get("PORTREEVE_EVASION") == "all"

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab(offload=cls.offload))
        cls.enterClassContext(services.echo(cls.lab.host))
        machine, interface, target = cls.place()
        cls.injector = Injector(machine, interface, target)
        cls.addClassCleanup(cls.injector.close)
        cls.originator = Originator(cls.lab.host)
        cls.addClassCleanup(cls.originator.close)
        cls.agent = cls.enterClassContext(Agent(cls.machine(), cls.policy(STRICT), queues=(0, 1)))
        cls.feed()

    @classmethod
    def policy(cls, rest):
        return POLICY % cls.inside() + ("" if "rules:" in rest else RULES) + rest

    @classmethod
    def machine(cls):
        return cls.lab.host

    @classmethod
    def inside(cls):
        return ""

    @classmethod
    def place(cls):
        return cls.lab.router, "out0", cls.lab.host.mac("eth0")

    @classmethod
    def feed(cls):
        cls.agent.feed()

    def judged(self):
        return sum(queue["packets"] for queue in self.agent.report()["queues"])

    def found(self, port, count, seconds=30):
        """The reasons of new events of the connection, when so many have come."""
        events = self.agent.wait_for_events(count, seconds) if count else self.agent.events()
        # Port 0 is one of the rows.
        return [e["portreeve"]["reason"] for e in events if {port, 0} & {e.get("src_port"), e.get("dest_port")}]

    @contextlib.contextmanager
    def under(self, rest):
        """Another policy in this block."""
        for text in (rest, STRICT):
            self.agent.write_policy(self.policy(text))
            self.agent.tool("reload")
            if text is rest:
                yield

    def test_every_row(self):
        before = self.agent.resident_bytes()
        for place, row in enumerate(checklist.ROWS):
            if not self.is_whole and place % 3 != self.number:
                continue
            with self.subTest(f"{row.number} {row.play.__name__}"):
                scene = row.scene(self)
                try:
                    row.play(scene)
                    if not row.ends:
                        scene.goes_on()
                        scene.compare()
                        scene.finds()
                finally:
                    scene.close()
                    self.agent.settled_report()
                    self.agent.events()
        self.assertLess(self.agent.resident_bytes() - before, MOST_GROWTH)


class PreroutingTests(EvasionPlace, unittest.TestCase):
    def test_the_checklist_is_whole(self):
        self.assertEqual(checklist.faults(), [])


class InputBesideConntrackTests(EvasionPlace, unittest.TestCase):
    number = 1
    hook = "input"

    @classmethod
    def feed(cls):
        cls.lab.host.rules("*filter\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT")
        cls.agent.feed(incoming="INPUT")


class ForwardTests(EvasionPlace, unittest.TestCase):
    number = 2
    hook = "forward"

    @classmethod
    def machine(cls):
        return cls.lab.router

    @classmethod
    def inside(cls):
        return "out0"

    @classmethod
    def place(cls):
        return cls.lab.client, "eth0", cls.lab.router.mac("in0")

    @classmethod
    def feed(cls):
        cls.agent.feed(forward=True)


if EvasionPlace.is_whole:
    class PreroutingWithoutOffloadTests(PreroutingTests):
        offload = False

    class InputWithoutOffloadTests(InputBesideConntrackTests):
        offload = False

    class ForwardWithoutOffloadTests(ForwardTests):
        offload = False


if __name__ == "__main__":
    unittest.main()
