# SPDX-License-Identifier: GPL-3.0-or-later
"""README.md's page of a dropped packet, command by command: from its event to the rule that admits it. The virtual machine goes through
the whole README (Packaging/vm); here the commands find an agent in the lab."""

import os
import re
import shlex
import unittest

import isolation

isolation.isolate()

from agent import Agent, binaries
from lab import Lab, wait_until

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "README.md")
BLOCK = re.compile(r"<!-- vm: (\S+) -->\n```\w*\n(.*?)\n```", re.DOTALL)
POLICY = """version: 1
interfaces: { ignore: [lo] }
rules:
  - { name: SSH, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }
"""


class PageTests(unittest.TestCase):
    def follow(self, agent, name):
        """Runs the commands of a block; each other line of it is one that the command before it prints."""
        with open(README) as file:
            block = dict(BLOCK.findall(file.read()))[name]
        pages, page = [], ""
        for line in block.splitlines():
            if line.startswith("# "):
                command = line[2:].replace("/etc/portreeve", agent.directory)
                status, page = agent.namespace.status("env", f"PATH={self.path}", "sh", "-c", command)
                self.assertIn(status, (0, 2), page)
                pages.append(page)
            elif line != "...":
                self.assertIn(line, page)
        return "".join(pages)

    def test_from_a_dropped_packet_to_the_rule_that_admits_it(self):
        with Lab() as lab, Agent(lab.host, POLICY).feed() as agent:
            self.addCleanup(lab.host.flush_rules)
            # The host's own tool, with this agent's socket and files.
            folder = lab.file("bin")
            os.mkdir(folder)
            control = f"--control {shlex.quote(agent.control)}"
            lab.file(os.path.join(folder, "portreeve"), "#!/bin/sh\ncase $1 in\n"
                     f"events) exec {os.path.join(binaries(), 'portreeve')} \"$@\" {control} --policy {agent.policy} ;;\n"
                     f"*) exec {os.path.join(binaries(), 'portreeve')} \"$@\" {control} ;;\nesac\n")
            os.chmod(os.path.join(folder, "portreeve"), 0o755)
            self.path = f"{folder}:{os.environ['PATH']}"

            server = lab.host.start("nc", "-l", "-k", "-p", "8081", name="server")
            wait_until(lambda: lab.host.listens(8081), "a server", process=server)

            def refused():
                self.assertNotEqual(lab.client.status("nc", "-z", "-w", "1", lab.host.ip4, "8081")[0], 0)
                return "out-of-allowed-policy-open-port" in [event["portreeve"]["reason"] for event in agent.wait_for_events()]

            wait_until(refused, "the agent knows that somebody listens there")
            self.assertIn("8081", self.follow(agent, "dropped"))
            self.assertIn("ports: 8081", self.follow(agent, "change"))
            self.assertEqual(lab.client.status("nc", "-z", "-w", "3", lab.host.ip4, "8081")[0], 0)
            wait_until(lambda: agent.events() or agent.changes, "the event of the reload")
            note = agent.changes[0]["portreeve"]["note"]
            self.assertIn("more permissive", note)
            self.assertIn("50-let.yaml:3:5", note)


if __name__ == "__main__":
    unittest.main(verbosity=2)
