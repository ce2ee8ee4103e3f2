# SPDX-License-Identifier: GPL-3.0-or-later
"""FTP: the data connections of a real server and real clients are admitted by what their control connection says."""

import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, reasons
from lab import Lab, wait_until

FILE = bytes(range(256)) * 2_000
LARGE = bytes(60 << 20)
SETTINGS = ("incoming-active", "outgoing-active", "incoming-passive", "outgoing-passive")
# Of FTP only control connections are admitted; a rule of each direction makes the rest need one.
POLICY = """
version: 1
stateful: { ftp: { %s } }
engine: { anti-evasion: strict, timeouts: { cold-start: 0s, boot-start: 0s } }
rules:
  - { name: Control in, action: allow, direction: incoming, protocol: tcp, destination: { ports: 21 } }
  - { name: Control out, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 21 } }
"""
CURL = ("curl", "-sSf", "-o", "/dev/null", "-w", "%{size_download}", "-m")
# How curl asks for the data connection, and by which protocol.
ACTIVE = {"PORT": (4, "-P", "-", "--disable-eprt"), "EPRT": (4, "-P", "-"), "EPRT of IPv6": (6, "-P", "-")}
PASSIVE = {"PASV": (4, "--disable-epsv"), "EPSV": (4,), "EPSV of IPv6": (6,)}
# Sends lines as a client; prints what comes back, or "silence".
LINES = """
import socket, struct, sys
control = socket.create_connection((sys.argv[1], 21), 10)
# Nothing that was refused is sent again once this has ended.
control.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
def answer():
    try: return control.recv(4096).decode(errors="replace").strip() or "closed"
    except socket.timeout: return "silence"
print(answer())
for line in sys.argv[2:]:
    control.settimeout(1.5 if line.startswith("!") else 10)
    control.sendall(line.lstrip("!").encode().decode("unicode_escape").encode("latin-1") + b"\\r\\n")
    print(answer())
"""


def ftp(*on):
    return ", ".join(f"{name}: true" for name in on) or "incoming-active: false"


class FTPLab(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.router, cls.host = cls.lab.client, cls.lab.router, cls.lab.host
        cls.enterClassContext(services.vsftpd(cls.host, {"file": FILE, "large": LARGE}, tls=True))

    def agent(self, machine, settings, **feed):
        agent = Agent(machine, POLICY % settings, name=self.lab.file("agent")).start()
        self.addCleanup(agent.stop)
        self.addCleanup(lambda: [machine.run(tool, "-t", table, "-F") for tool in ("iptables", "ip6tables")
                                 for table in ("mangle", "raw")])
        return agent.feed(**feed)

    def fetch(self, way, host4=None, seconds=20):
        """Whether curl gets the file that way."""
        version, *options = way
        address = f"[{self.host.ip6}]" if version == 6 else host4 or self.host.ip4
        status, output = self.client.status(*CURL, seconds, *options, f"ftp://{address}/file")
        return status == 0 and output == str(len(FILE))

    def events(self, agent):
        """What the agent says of data connections, and of control connections but those of an agent before it."""
        return [e for e in agent.events() if 21 not in (e.get("src_port"), e.get("dest_port"))
                or e["portreeve"]["reason"] != "out-of-connection"]

    def await_directions(self, agent, directions):
        """Refusals of both are written, or of the one."""
        found = set()

        def are_written():
            found.update(e["portreeve"]["direction"] for e in self.events(agent))
            return found >= directions

        wait_until(are_written, f"refusals of {directions} are written")

    def lftp(self, passive, address):
        words = f"set ftp:ssl-allow no; set ftp:passive-mode {passive}; set net:max-retries 1; set net:timeout 10; cat file > /dev/null; bye"
        return self.client.status("lftp", "-e", words, f"ftp://{address}")[0] == 0


class ServerTests(FTPLab):
    def test_active_and_passive_transfers_of_curl_and_lftp(self):
        agent = self.agent(self.host, ftp("incoming-active", "incoming-passive"))
        for name, way in {**ACTIVE, **PASSIVE}.items():
            self.assertTrue(self.fetch(way), name)
        for passive in ("on", "off"):
            for address in (self.host.ip4, f"[{self.host.ip6}]"):
                self.assertTrue(self.lftp(passive, address), f"lftp, passive {passive}, {address}")
        self.assertEqual(self.events(agent), [])

    def test_without_their_setting_they_are_refused(self):
        agent = self.agent(self.host, ftp("incoming-passive", "outgoing-active", "outgoing-passive"))
        self.assertFalse(self.fetch(ACTIVE["EPRT"], seconds=2))
        self.assertTrue(self.fetch(PASSIVE["EPSV"]))
        found = wait_until(lambda: self.events(agent), "the refusal is written")
        self.assertEqual({(e["portreeve"]["reason"], e["portreeve"]["direction"], e["src_port"]) for e in found},
                         {("out-of-allowed-policy", "outgoing", 20)})
        agent.reload(POLICY % ftp("incoming-active", "outgoing-active", "outgoing-passive"))
        agent.await_epoch(2)
        self.assertFalse(self.fetch(PASSIVE["PASV"], seconds=2))
        self.assertTrue(self.fetch(ACTIVE["PORT"]))
        self.await_directions(agent, {"incoming"})

    def test_commands_that_name_what_they_must_not_are_refused(self):
        agent = self.agent(self.host, ftp("incoming-active"))
        other = self.lab.client_addresses[1].replace(".", ",")
        bad = [f"PORT {other},200,13", "PORT 198,18,1,10,0,25", "EPRT |1|198.18.1.11|51213|", "PORT 198,18,1,10",
               f"PO\\xff\\xf4RT {other},200,13", f"PO\\0RT {other},200,13"]
        for line in bad:
            answers = self.client.python(LINES, self.host.ip4, "USER ftp", f"!{line}").splitlines()
            self.assertEqual(answers[-1], "silence", line)
        found = reasons(agent.wait_for_events(len(bad)))
        self.assertEqual(set(found), {"invalid-port-command"})
        answers = self.client.python(LINES, self.host.ip4, "USER ftp", "PORT 198,18,1,10,200,13").splitlines()
        self.assertTrue(answers[-1].startswith("200"), answers)

    def test_nothing_is_read_after_AUTH_TLS(self):
        agent = self.agent(self.host, ftp("incoming-passive", "incoming-active"))
        # The list of commands comes over the control connection, encrypted as all that follows.
        self.client.run("curl", "-sSf", "-m", 20, "--ssl-reqd", "-k", "-I", f"ftp://{self.host.ip4}/file")
        self.assertEqual(self.events(agent), [])

    def test_the_data_connection_outlives_a_restart(self):
        agent = self.agent(self.host, ftp("incoming-passive"))
        download = self.client.start(
            *CURL, 60, "--limit-rate", "20M", f"ftp://{self.host.ip4}/large", name="curl")
        wait_until(lambda: self.host.run("ss", "-Htn", "state", "established", "sport >= :40000"), "data flow")
        agent.stop()
        agent.start()
        self.assertEqual(download.wait(60), 0, download.output())
        self.assertEqual(self.events(agent), [])


class ClientTests(FTPLab):
    def test_this_host_as_the_client(self):
        agent = self.agent(self.client, ftp("outgoing-active", "outgoing-passive"))
        for name, way in {**ACTIVE, **PASSIVE}.items():
            self.assertTrue(self.fetch(way), name)
        self.assertTrue(self.lftp("on", self.host.ip4) and self.lftp("off", f"[{self.host.ip6}]"))
        self.assertEqual(self.events(agent), [])
        agent.reload(POLICY % ftp("incoming-active", "incoming-passive"))
        agent.await_epoch(2)
        self.assertFalse(self.fetch(PASSIVE["PASV"], seconds=2))
        self.assertFalse(self.fetch(ACTIVE["EPRT"], seconds=2))
        self.await_directions(agent, {"outgoing", "incoming"})


class RouterTests(FTPLab):
    """The client is behind a router that translates its address; the server is published under the router's."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.router.rules(
            "*nat\n-A POSTROUTING -o out0 -s 198.18.1.0/24 -j MASQUERADE\n"
            "-A PREROUTING -i in0 -d 198.18.1.1 -p tcp --dport 21 -j DNAT --to-destination 198.18.2.2\n"
            "-A PREROUTING -i in0 -d 198.18.1.1 -p tcp --dport 40000:40099 -j DNAT --to-destination 198.18.2.2\n", (4,))

    def ways(self, *hosts):
        for host in hosts:
            for name in ("PASV", "EPSV"):
                self.assertTrue(self.fetch(PASSIVE[name], host), f"{name} to {host}")
            self.assertTrue(self.lftp("on", host), host)

    def test_the_server_sees_the_address_of_the_router(self):
        agent = self.agent(self.host, ftp("incoming-passive"))
        self.ways(self.host.ip4, "198.18.1.1")
        self.assertEqual(self.events(agent), [])

    def test_the_client_is_told_an_address_behind_the_router(self):
        agent = self.agent(self.client, ftp("outgoing-passive"))
        for name in ("PASV", "EPSV"):
            self.assertTrue(self.fetch(PASSIVE[name], "198.18.1.1"), name)
        self.assertEqual(self.events(agent), [])

    def test_an_active_transfer_whose_command_the_router_rewrites(self):
        self.router.rules("*raw\n-A PREROUTING -i in0 -p tcp --dport 21 -j CT --helper ftp", (4,))
        self.addCleanup(self.router.run, "iptables", "-t", "raw", "-F")
        agent = self.agent(self.host, ftp("incoming-active"))
        self.assertTrue(self.fetch(ACTIVE["PORT"]))
        self.assertTrue(self.fetch(ACTIVE["EPRT"]))
        self.assertEqual(self.events(agent), [])


if __name__ == "__main__":
    unittest.main()
