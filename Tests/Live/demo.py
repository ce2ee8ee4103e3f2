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
        self.surprises = []

    def run(self):
        """Returns whether all was as expected, as an exit status."""
        self.introduce()
        self.expose()
        self.guard()
        self.drive()
        self.show()
        return self.conclude()

    def expect(self, what, outcome, expected):
        """`expected` is a pattern that all of the outcome must match."""
        if not re.fullmatch(expected, outcome.strip()):
            self.surprises.append(f"{what}: {outcome.strip()}")

    def conclude(self):
        if not self.surprises:
            self.story.heading("All was as expected: what the policy admits got through before and after, and everything else was "
                               "dropped with its reason.")
            return 0
        self.story.heading(f"NOT AS EXPECTED, {len(self.surprises)} of the above:")
        self.story.text("\n".join(self.surprises))
        return 1

    def expose(self):
        """The host as it is without the firewall."""
        self.story.heading("The host without the agent: what listens can be reached, and what does not says so")
        self.curl(f"http://{self.host.ip4}/")
        self.curl(f"http://{self.host.ip4}:8080/", "a port that no rule will allow", "answered: a forgotten console")
        self.command("telnet, where nobody listens, is refused", ["nc", "-z", "-v", "-w", 1, self.host.ip4, 23], "refused",
                     "refused")
        self.command("a scan of ten ports", ["nmap", "-n", "-Pn", "-sS", "--max-retries", 0, "-p", "20-29", self.host.ip4],
                     "closed", r"(\d+ × )?closed")
        self.command("a null scan", ["nmap", "-n", "-Pn", "-sN", "--max-retries", 0, "-p", "80", self.host.ip4],
                     r"80/tcp .*", r"80/tcp .*")

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
        self.command("it may be pinged", ["ping", "-c", 3, "-i", 0.2, self.host.ip4], r"\d+ received", "3 received")
        self.command("with 3,000 bytes, in fragments", ["ping", "-c", 1, "-s", 3000, self.host.ip4], r"\d+ received",
                     "1 received")
        self.curl(f"http://{self.host.ip4}:8080/", "a port that no rule allows", "curl: .28. .*")
        self.command("telnet is denied by a rule", ["nc", "-z", "-v", "-w", 1, self.host.ip4, 23], "refused", "no answer")
        self.command("a scan of ten ports", ["nmap", "-n", "-Pn", "-sS", "--max-retries", 0, "-p", "20-29", self.host.ip4],
                     "filtered", "10 × filtered")
        self.command("a null scan", ["nmap", "-n", "-Pn", "-sN", "--max-retries", 0, "-p", "80", self.host.ip4],
                     r"80/tcp .*", r"80/tcp open\|filtered.*")
        self.command("a scan in tiny fragments", ["nmap", "-n", "-Pn", "-sS", "-f", "--max-retries", 0, "-p", "80", self.host.ip4],
                     r"80/tcp .*", r"80/tcp filtered.*")
        self.command("a datagram nobody asked for", ["hping3", "-2", "-c", 1, "-p", 53, self.host.ip4], "Unreachable",
                     "no answer")
        self.land()
        self.curl(f"http://{self.host.ip4}/", "and the web server still serves")

    def curl(self, url, what="the web server is open to all", answers="answered: hello from the host"):
        status, output = self.client.status("curl", "-sS", "-g", "-m", 1, url)
        outcome = output.strip().split("\n")[0] if status else f"answered: {output.strip()}"
        self.story.tell(what, f"curl {url}", outcome)
        self.expect(what, outcome, answers)

    def command(self, what, words, pattern, expected):
        """Runs a command on the client; `pattern` finds the outcome in what it prints."""
        output = self.client.status(*words, seconds=30)[1]
        found = re.findall(pattern, output)
        outcome = f"{len(found)} × {found[0]}" if len(found) > 1 else found[0] if found else "no answer"
        self.story.tell(what, " ".join(map(str, words)), outcome)
        self.expect(what, outcome, expected)

    def land(self):
        """Nothing comes back of it in any case: what became of it is among the events."""
        program = f"sendp(Ether(dst='{self.host.mac('eth0')}')/IP(src='{self.host.ip4}',dst='{self.host.ip4}')" \
                  f"/TCP(sport=80,dport=80,flags='S'),iface='out0')"
        self.lab.router.scapy(program)
        self.story.tell("a LAND packet, from the host to itself", f"scapy: IP(src={self.host.ip4}, dst={self.host.ip4})",
                        "no answer")

    def compare_events(self, found):
        """Each kind of drop must be there; how often a scanner or a retry sends a SYN is its own affair."""
        expected = {"deny", "out-of-allowed-policy", "out-of-allowed-policy-open-port", "invalid-flags",
                    "first-fragment-too-small", "fragment-offset-too-small", "same-source-and-destination-ip"}
        reasons = {event["portreeve"]["reason"] for event in found}
        for reason in sorted(expected - reasons):
            self.surprises.append(f"events: none of {reason}")
        for reason in sorted(reasons - expected):
            self.surprises.append(f"events: {reason} was not expected")

    def show(self):
        found = self.agent.wait_for_events(20, 3)
        # What is folded is written a second after its first packet.
        time.sleep(1.2)
        self.compare_events(found + self.agent.events())
        self.story.heading("portreeve events: every drop and its reason")
        print(compact(self.agent.tool("events"), {"ACTION", "DIRECTION", "NOTE"}))
        self.story.heading("portreeve status")
        status, text = self.agent.tool_status("status")
        self.expect("portreeve status: this host is not protected, exit status", str(status), "0")
        for line in text.splitlines():
            print(textwrap.fill(line, WIDTH, subsequent_indent=" " * 13) if len(line) > WIDTH else line)
        self.scan()
        self.agent.tool("iptables", "--remove")
        status = self.agent.stop()
        self.expect("portreeved ended with status", str(status), "0")
        self.story.heading(f"portreeved ended with status {status}; the lab is taken down")

    def scan(self):
        """The same host as a path test sees it, from an address that may use ssh. The reflector is reached through a program's
        standard input and output, as ssh would be one."""
        self.story.heading("portreeve scan: which ports pass, and how the others fail")
        tool = os.path.join(os.environ.get("PORTREEVE_BIN") or ".build/release", "portreeve")
        reflector = f"ip netns exec {self.host.name} {tool} reflect --stdio --listen any --agent --control {self.agent.control}"
        output = self.client.run(
            tool, "scan", self.host.ip4, "--control-via", f"exec:{reflector}", "-t", "22-25,80", "-u", "53", "--source",
            "198.18.1.20", "-i", "700", "--retries", "0", "--sequential", check=False)
        line = POLICY[:POLICY.index("No telnet")].count("\n") + 1
        for result in (r"tcp +open .* 22", r"tcp +handshake_timeout .* 23\n", r"tcp +handshake_timeout .* 24-25",
                       r"udp +payload_timeout .* 53", rf'rule "No telnet" \(\S+policy.yaml:{line}\)'):
            if not re.search(result, output):
                self.surprises.append(f"scan: no line like {result}")
        for text in output.splitlines():
            if "standard input" not in text:
                shown = textwrap.wrap(text, WIDTH - 2, subsequent_indent=" " * 8) if len(text) > WIDTH - 2 else [text]
                self.story.text("\n".join(shown))


def compact(table, without):
    """The table of events without some of its columns, and without the dates and the offset, which are all of today."""
    lines = table.splitlines()
    titles = [(title.start(), title[0]) for title in re.finditer(r"\S+", lines[0])]
    ends = [start for start, _ in titles[1:]] + [None]
    kept = [(start, end) for (start, title), end in zip(titles, ends) if title not in without]
    rows = ["".join(line[start:end] for start, end in kept).rstrip() for line in lines]
    return "\n".join(row[11:23] + row[29:] if row[:4].isdigit() else row.replace(" " * 17, "", 1) for row in rows)


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

    with (Lab() as lab, services.nginx(lab.host, {"index.html": b"hello from the host\n"}),
          services.nginx(lab.host, {"index.html": b"a forgotten console\n"}, port=8080)):
        return Demo(lab, Agent(lab.host, POLICY, fold="1s")).run()


if __name__ == "__main__":
    sys.exit(main())
