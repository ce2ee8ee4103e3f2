# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of connections: what opens, and how each ends, with what it was, by real programs."""

import os
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, reasons
from lab import Lab, wait_until
from test_fast_path import POLICY as FAST, FastPathLab

HERE = os.path.dirname(os.path.abspath(__file__))
ECHO, REFUSED, RESETTING = 7, 81, 8
RULES = """
rules:
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: [80, 81] } }
  - { name: Echo, action: allow, direction: incoming, protocol: tcp, destination: { ports: %s } }
  - { name: Questions, action: force-allow, direction: incoming, protocol: udp, destination: { ports: [7, 9000-9100] } }
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp }
"""
SETTINGS = """
version: 1
events: { new-connections: [tcp, udp, icmp], closed-connections: [tcp, udp, icmp] }
engine:
  fast-path: off
  timeouts: { cold-start: 0s, boot-start: 0s, udp: 1s, udp-stream: 1s, icmp: 1s, established: 4s }
  limits: { udp: 8 }
"""
POLICY = SETTINGS + RULES % "[7, 8]"
# Accepts one connection and resets it, once something has come.
RESETTER = """
import socket, struct
listener = socket.create_server(("0.0.0.0", 8))
line, _ = listener.accept()
line.recv(100)
line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
line.close()
"""
# Sends a line, waits for its echo, and does as it is told by its standard input's replacement: a file.
CLIENT = """
import os, socket, struct, sys, time
host, port, how, go = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
line = socket.create_connection((host, port), timeout=20)
line.sendall(b"hello")
if how != "reset-me":
    assert line.recv(100) == b"hello"
print("open", flush=True)
while go != "-" and not os.path.exists(go):
    time.sleep(0.05)
if how == "reset":
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
elif how == "reset-me":
    try:
        line.recv(100)
    except ConnectionResetError:
        pass
elif how == "exchange":
    line.sendall(b"again")
    assert line.recv(100) == b"again"
elif how == "send":
    line.sendall(b"again")
elif how == "wait":
    time.sleep(60)
line.close()
"""


class ConnectionLogLab(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.host, self.client = self.lab.host, self.lab.client
        self.server = self.host.start("python3", os.path.join(HERE, "echo.py"), ECHO, name="echo")
        wait_until(lambda: self.host.listens(ECHO), "the echo listens", process=self.server)

    def agent(self, policy=POLICY, **options):
        return self.enterContext(Agent(self.host, policy, **options)).feed()

    def talk(self, how, port=ECHO, go="-"):
        return self.client.start("python3", "-c", CLIENT, self.host.ip4, port, how, go, name=f"talk-{how}-{port}-{os.path.basename(go)}")

    def ends(self, agent, count, of=None):
        """Events of connections that ended, once there are so many; the others are kept."""
        found = []

        def enough():
            found.extend(agent.events())
            return sum(event["event_type"] == "flow" and (of is None or event.get("dest_port") == of) for event in found) >= count

        wait_until(enough, f"{count} connections have ended", 20, agent.process)
        self.openings = [event for event in found if event["portreeve"]["reason"] == "new-connection"]
        self.others = [event for event in found if event["portreeve"]["id"] not in (142, 916)]
        return [event for event in found if event["event_type"] == "flow" and (of is None or event.get("dest_port") == of)]


class EndTests(ConnectionLogLab):
    def test_each_end_by_its_name(self):
        """curl (fin), a client that resets, a server that resets, a refused port, silence over UDP, ping, tables that are full, and
        a reload that refuses; each with its opening, its rule and its counts, and no packet dropped but by that reload."""
        self.enterContext(services.nginx(self.host, {"file": b"x" * 20_000}))
        agent = self.agent()
        self.client.run("curl", "-s", "-o", "/dev/null", f"http://{self.host.ip4}/file")
        fin, = self.ends(agent, 1)
        self.check(fin, "fin", "Web", 80)
        self.assertGreater(fin["flow"]["bytes_toclient"], 20_000)
        self.assertGreater(fin["flow"]["pkts_toserver"], 4)
        self.assertEqual(fin["flow"]["state"], "closed")
        self.assertEqual(len(self.openings), 1, self.openings)
        opening = self.openings[0]
        self.assertEqual((opening["tcp"]["flags"], opening["portreeve"]["rule"], opening["portreeve"]["action"]),
                         ("S", "Web", "notice"))
        self.assertEqual([opening[key] for key in ("flow_id", "community_id", "src_ip", "src_port")],
                         [fin[key] for key in ("flow_id", "community_id", "src_ip", "src_port")])

        self.talk("reset").wait()
        self.check(self.ends(agent, 1)[0], "reset-by-originator", "Echo", ECHO)

        resetter = self.host.start("python3", "-c", RESETTER, name="resetter")
        wait_until(lambda: self.host.listens(RESETTING), "the resetter listens", process=resetter)
        self.talk("reset-me", RESETTING).wait()
        self.check(self.ends(agent, 1)[0], "reset-by-responder", "Echo", RESETTING)

        self.assertNotEqual(self.client.status("nc", "-z", "-w", "5", self.host.ip4, REFUSED)[0], 0)
        refused = self.ends(agent, 1)[0]
        self.check(refused, "reset-by-responder", "Web", REFUSED)
        self.assertEqual((refused["flow"]["pkts_toserver"], refused["flow"]["pkts_toclient"]), (1, 1))

        self.client.run("sh", "-c", f"echo -n hello | nc -u -w 1 {self.host.ip4} {ECHO}")
        idle = self.ends(agent, 1)[0]
        self.check(idle, "idle", "Questions", ECHO)
        self.assertEqual((idle["portreeve"]["timeout"], idle["flow"]["reason"]), ("engine.timeouts.udp", "timeout"))
        self.assertEqual((idle["flow"]["bytes_toserver"], idle["flow"]["pkts_toclient"]), (33, 1))

        self.client.run("ping", "-c", "1", self.host.ip4)
        ping = self.ends(agent, 1)[0]
        self.assertEqual((ping["proto"], ping["portreeve"]["ended"], ping["portreeve"]["timeout"], ping["portreeve"]["rule"]),
                         ("ICMP", "idle", "engine.timeouts.icmp", "Ping"))
        self.assertEqual((ping["icmp_type"], ping["flow"]["pkts_toserver"], ping["flow"]["pkts_toclient"]), (8, 1, 1))

        quiet = self.talk("wait")
        wait_until(lambda: "open" in quiet.output(), "a connection is open", process=quiet)
        idle = self.ends(agent, 1, of=ECHO)[0]
        self.check(idle, "idle", "Echo", ECHO)
        self.assertEqual(idle["portreeve"]["timeout"], "engine.timeouts.established")
        quiet.kill()

        self.client.run("python3", "-c", f"""
import socket
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(9000, 9012):
    line.sendto(b"x", ("{self.host.ip4}", port))
""")
        kinds = [event["portreeve"]["ended"] for event in self.ends(agent, 12)]
        self.assertEqual((kinds.count("evicted"), kinds.count("idle")), (4, 8))

        go = self.lab.file("go")
        sender = self.talk("send", go=go)
        wait_until(lambda: "open" in sender.output(), "a connection is open", process=sender)
        agent.write_policy(SETTINGS + RULES % "[8]")
        agent.tool("reload")
        self.lab.file(go, "")
        ended = self.ends(agent, 1, of=ECHO)[0]
        self.check(ended, "policy", "Echo", ECHO)
        self.assertEqual((ended["portreeve"]["policy_epoch"], ended["flow"]["reason"]), (1, "forced"))
        # What this host would say to those that it does not know any more.
        self.assertLessEqual(set(reasons(self.others)), {"out-of-allowed-policy", "out-of-allowed-policy-open-port",
                                                         "out-of-connection"})

    def check(self, event, ended, rule, port):
        facts, flow = event["portreeve"], event["flow"]
        self.assertEqual((facts["ended"], facts["rule"], event["dest_port"], facts["action"], facts["direction"], facts["id"]),
                         (ended, rule, port, "notice", "incoming", 916), event)
        self.assertEqual(event["src_ip"], self.client.ip4)
        self.assertRegex(facts["rule_file"], "policy.yaml$")
        self.assertLessEqual(flow["start"], flow["end"])
        self.assertEqual(flow["age"], facts["duration_ns"] // 10**9)
        self.assertRegex(facts["note"], "^" + ended.replace("-", " "))

    def test_a_restart_ends_nothing_that_the_next_run_goes_on_with(self):
        """And what can be handed over to nobody ends with the agent."""
        agent = self.agent()
        go = self.lab.file("go")
        keeper = self.talk("exchange", go=go)
        wait_until(lambda: "open" in keeper.output(), "a connection is open", process=keeper)
        agent.stop()
        agent.start()
        self.lab.file(go, "")
        end = self.ends(agent, 1)[0]
        self.assertEqual((end["portreeve"]["ended"], end["portreeve"]["rule"]), ("fin", "Echo"))
        self.assertGreaterEqual(end["flow"]["pkts_toserver"], 6, "those before the restart too")
        last = self.talk("wait")
        wait_until(lambda: "open" in last.output(), "a connection is open", process=last)
        # Nothing can be renamed over a directory that is not empty.
        state = os.path.join(agent.directory, "state")
        if os.path.exists(state):
            os.remove(state)
        os.makedirs(os.path.join(state, "full"))
        agent.stop()
        end = self.ends_after_stop(agent)
        self.assertEqual([(event["portreeve"]["ended"], event["portreeve"]["rule"]) for event in end], [("agent", "Echo")])

    def ends_after_stop(self, agent):
        return [event for event in agent.events() if event["event_type"] == "flow"]

    def test_a_rule_that_says_log_true(self):
        agent = self.agent(SETTINGS.replace("[tcp, udp, icmp]", "off") + (RULES % "7").replace(
            "name: Echo,", "name: Echo, log: true,"))
        self.client.start("python3", "-c", CLIENT, self.host.ip4, ECHO, "close", "-", name="v4").wait()
        self.client.run("ping", "-c", "1", self.host.ip4)
        self.client.status("nc", "-z", "-w", "5", self.host.ip4, REFUSED)
        found = agent.wait_for_events(2)
        self.assertEqual([event["portreeve"]["reason"] for event in found], ["new-connection", "connection-closed"])
        self.assertEqual({event["portreeve"]["rule"] for event in found}, {"Echo"})
        self.assertEqual(agent.events(), [])


class FastPathEndTests(FastPathLab):
    def test_what_passed_in_the_kernel_is_counted(self):
        agent = self.agent(FAST.replace("engine:", "events: { closed-connections: [tcp] }\nengine:"))
        sink = self.lab.host.start("socat", "-u", "TCP-LISTEN:5300", "OPEN:/dev/null", name="sink")
        wait_until(lambda: self.lab.host.listens(5300), "socat listens", process=sink)
        self.lab.client.run("sh", "-c", f"head -c 50000000 /dev/zero | socat -u - TCP:{self.lab.host.ip4}:5300")
        ends = []
        wait_until(lambda: ends.extend(e for e in agent.events() if e["event_type"] == "flow") or ends, "it has ended")
        self.assertGreater(self.passed(agent), 100, "the bulk passed in the kernel")
        self.assertEqual((ends[0]["portreeve"]["ended"], ends[0]["portreeve"]["rule"]), ("fin", "Services"))
        self.assertGreater(ends[0]["flow"]["bytes_toserver"], 50_000_000)


if __name__ == "__main__":
    unittest.main()
