# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve connections`: which rule admitted a connection, whatever policy is in force since."""

import json
import signal
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent
from lab import Lab, wait_until
from load import IdleConnections

HEAD = "version: 1\ninterfaces: { ignore: [lo] }\nrules:\n"
SERVICES = "  - { name: Services, action: allow, direction: incoming, protocol: tcp, destination: { ports: [7, 80] } }\n"
NO_FINGER = "  - { name: No finger, action: deny, direction: incoming, protocol: tcp, destination: { ports: 79 } }\n"
PING = "  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }\n"


class AdmittingRuleTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.enterClassContext(services.echo(cls.lab.host))

    def setUp(self):
        self.agent = self.enterContext(Agent(self.lab.host, HEAD + SERVICES + PING))
        self.addCleanup(self.lab.host.flush_rules)
        self.agent.feed()
        self.idle = IdleConnections(self.lab.client, self.lab.host.ip4, count=1)
        self.addCleanup(self.idle.stop)

    def row(self):
        rows = [json.loads(line) for line in self.agent.tool("connections", "--json", "--protocol", "tcp").splitlines()]
        self.assertEqual(len(rows), 1, rows)
        return {key: value for key, value in rows[0].items() if key.startswith("rule")}

    def reload(self, rules):
        self.agent.write_policy(HEAD + rules)
        self.agent.tool("reload")

    def expect(self, name, line, epoch, standing):
        place = f"{self.agent.policy}:{line}"
        self.assertEqual(
            self.row(), {"rule": name, "rule_place": place, "rule_epoch": epoch, "rule_standing": standing})
        text = {"in-force": name, "earlier": f"{name} ({place}, epoch {epoch})",
                "gone": f"{name} ({place}, epoch {epoch}; gone since)"}[standing]
        self.assertTrue(self.agent.tool("connections").splitlines()[1].endswith(text))

    def test_a_rule_before_it(self):
        self.expect("Services", 4, 1, "in-force")
        self.reload(NO_FINGER + SERVICES)
        self.expect("Services", 4, 1, "earlier")
        self.assertEqual(self.idle.answering(), 1)
        self.expect("Services", 5, 2, "in-force")

    def test_the_rule_is_renamed(self):
        self.reload(SERVICES.replace("Services", "Echo and web"))
        self.expect("Services", 4, 1, "gone")
        self.reload(PING + SERVICES.replace("Services", "Echo and web"))
        self.expect("Services", 4, 1, "gone")
        self.assertEqual(self.idle.answering(), 1)
        self.expect("Echo and web", 5, 3, "in-force")

    def test_the_rule_is_removed(self):
        self.reload(PING)
        self.expect("Services", 4, 1, "gone")
        self.assertEqual(self.idle.answering(), 1)
        # Nothing restricts the direction any more: no rule admits it.
        self.assertEqual(self.row(), {})

    def test_a_connection_that_a_policy_of_then_refused(self):
        refusal = SERVICES.replace("Services, action: allow", "No services, action: deny")
        self.reload(PING + refusal)
        # It says something, which is sent again and again.
        self.idle.process.signal(signal.SIGUSR1)
        wait_until(lambda: self.row().get("rule_epoch") == 2, "it is refused")
        self.expect("No services", 5, 2, "in-force")
        self.reload(NO_FINGER + PING + refusal.replace("No services", "None"))
        self.assertIn(self.row()["rule"], ("No services", "None"))
        wait_until(lambda: self.row().get("rule") == "None", "it is judged by the policy in force")


if __name__ == "__main__":
    unittest.main()
