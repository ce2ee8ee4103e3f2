# SPDX-License-Identifier: GPL-3.0-or-later
"""demo.py [--bin DIRECTORY]: the firewall at work, in a lab of network namespaces that is gone afterwards.

client ── router ── host: portreeved guards the host. Nothing outside the lab is touched, and no root is needed.
"""

import argparse
import os
import re
import sys
import textwrap
import time

import isolation

POLICY = """\
version: 1
interfaces: { ignore: [lo] }
rules:
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
  - { name: SSH from the office, action: allow, direction: incoming, protocol: tcp,
      source: { addresses: 198.18.1.20 }, destination: { ports: 22 } }
  - { name: No telnet, action: deny, direction: incoming, priority: 1, protocol: tcp,
      destination: { ports: 23 } }
  - { name: Answer ping, action: force-allow, direction: incoming, protocol: icmp,
      icmp: { type: echo-request } }
"""
WIDTH = 100


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", help="where portreeved and portreeve are; default .build/release")
    return parser.parse_args()


class Story:
    """Says what happens, in numbered steps."""

    def __init__(self):
        self.bold, self.faint, self.plain = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")
        self.step = 0

    def heading(self, text):
        print(f"\n{self.bold}{text}{self.plain}", flush=True)

    def text(self, text):
        for line in text.splitlines():
            print(f"  {line}"[:WIDTH], flush=True)

    def tell(self, what, command, outcome):
        self.step += 1
        print(f"  {self.bold}{self.step:2}  {what:<42}{self.plain}{outcome}"[:WIDTH + 8])
        print(f"      {self.faint}{command}{self.plain}"[:WIDTH + 8], flush=True)


class Demo:
    def __init__(self, lab, agent):
        self.lab, self.agent, self.story = lab, agent, Story()
        self.client, self.host = lab.client, lab.host

    def run(self):
        self.introduce()
        self.guard()
        self.drive()
        self.show()

    def introduce(self):
        self.story.heading("A lab of three machines")
        self.story.text(f"client {self.client.ip4} ── router ── host {self.host.ip4}\n"
                        f"client {self.client.ip6}     ── router ── host {self.host.ip6}")
        self.story.heading("The host's policy")
        self.story.text(POLICY)

    def guard(self):
        """Starts the agent, and gives its queue the packets."""
        self.agent.start()
        self.story.heading("portreeved starts; portreeve iptables --apply gives it the packets")
        self.story.text(self.agent.log().strip())
        self.agent.tool("iptables", "--apply")
        rules = [line for tool in ("iptables", "ip6tables")
                 for line in self.host.run(tool, "-t", "mangle", "-S").splitlines() if "NFQUEUE" in line]
        self.story.text("\n".join(rules))

    def drive(self):
        self.story.heading("Traffic")
        for address in (self.host.ip4, f"[{self.host.ip6}]"):
            self.curl(f"http://{address}/")
        self.command("it may be pinged", ["ping", "-c", 3, "-i", 0.2, self.host.ip4], r"\d+ received")
        self.command("with 3,000 bytes, in fragments", ["ping", "-c", 1, "-s", 3000, self.host.ip4], r"\d+ received")
        self.curl(f"http://{self.host.ip4}:8080/", "a port that no rule allows")
        self.command("telnet is denied by a rule", ["nc", "-z", "-w", 1, self.host.ip4, 23], None)
        self.command("a scan of ten ports", ["nmap", "-n", "-Pn", "-sS", "--max-retries", 0, "-p", "20-29", self.host.ip4],
                     "filtered")
        self.command("a null scan", ["nmap", "-n", "-Pn", "-sN", "--max-retries", 0, "-p", "80", self.host.ip4],
                     r"80/tcp .*")
        self.command("a scan in tiny fragments", ["nmap", "-n", "-Pn", "-sS", "-f", "--max-retries", 0, "-p", "80", self.host.ip4],
                     r"80/tcp .*")
        self.command("a datagram nobody asked for", ["hping3", "-2", "-c", 1, "-p", 53, self.host.ip4], None)
        self.land()
        self.curl(f"http://{self.host.ip4}/", "and the web server still serves")

    def curl(self, url, what="the web server is open to all"):
        status, output = self.client.status("curl", "-sS", "-g", "-m", 1, url)
        self.story.tell(what, f"curl {url}", output.strip().split("\n")[0] if status else f"answered: {output.strip()}")

    def command(self, what, words, pattern):
        """Runs a command on the client; `pattern` finds the outcome in what it prints, without one there is none."""
        output = self.client.status(*words, seconds=30)[1]
        found = re.findall(pattern, output) if pattern else []
        outcome = f"{len(found)} × {found[0]}" if len(found) > 1 else found[0] if found else "no answer"
        self.story.tell(what, " ".join(map(str, words)), outcome)

    def land(self):
        program = f"sendp(Ether(dst='{self.host.mac('eth0')}')/IP(src='{self.host.ip4}',dst='{self.host.ip4}')" \
                  f"/TCP(sport=80,dport=80,flags='S'),iface='out0')"
        self.lab.router.scapy(program)
        self.story.tell("a LAND packet, from the host to itself", f"scapy: IP(src={self.host.ip4}, dst={self.host.ip4})",
                        "no answer")

    def show(self):
        self.agent.wait_for_events(20, 3)
        # What is folded is written a second after its first packet.
        time.sleep(1.2)
        self.story.heading("portreeve events: every drop and its reason")
        print(compact(self.agent.tool("events"), {"ACTION", "DIRECTION", "NOTE"}))
        self.story.heading("portreeve status")
        for line in self.agent.tool("status", check=False).splitlines():
            print(textwrap.fill(line, WIDTH, subsequent_indent=" " * 13) if len(line) > WIDTH else line)
        self.scan()
        self.agent.tool("iptables", "--remove")
        status = self.agent.stop()
        self.story.heading(f"portreeved ended with status {status}; the lab is taken down")


    def scan(self):
        """The same host as a path test sees it, from an address that may use ssh. The reflector is reached through a program's
        standard input and output, as ssh would be one."""
        self.story.heading("portreeve scan: which ports pass, and how the others fail")
        tool = os.path.join(os.environ.get("PORTREEVE_BIN") or ".build/release", "portreeve")
        reflector = f"ip netns exec {self.host.name} {tool} reflect --stdio --listen any"
        output = self.client.run(
            tool, "scan", self.host.ip4, "--control-via", f"exec:{reflector}", "-t", "22-25,80", "-u", "53", "--source",
            "198.18.1.20", "-i", "700", "--retries", "0", "--sequential", check=False)
        self.story.text("\n".join(line for line in output.splitlines() if "standard input" not in line))


def compact(table, without):
    """The table of events without some of its columns, and without the dates, which are all today."""
    lines = table.splitlines()
    titles = [(title.start(), title[0]) for title in re.finditer(r"\S+", lines[0])]
    ends = [start for start, _ in titles[1:]] + [None]
    kept = [(start, end) for (start, title), end in zip(titles, ends) if title not in without]
    rows = ["".join(line[start:end] for start, end in kept).rstrip() for line in lines]
    return "\n".join(row[11:] if row[:4].isdigit() else row.replace(" " * 11, "", 1) for row in rows)


def main():
    options = arguments()
    try:
        isolation.isolate()
    except isolation.Unavailable as why:
        sys.exit(f"demo: {why}")
    if options.bin:
        os.environ["PORTREEVE_BIN"] = os.path.abspath(options.bin)
    import services
    from agent import Agent
    from lab import Lab

    with Lab() as lab, services.nginx(lab.host, {"index.html": b"hello from the host\n"}):
        Demo(lab, Agent(lab.host, POLICY, fold="1s")).run()


main()
