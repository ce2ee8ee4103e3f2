# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine whose packet filter the tool changes, beside rules of other programs."""

import ctypes
import os
import re
import socket
import struct
import subprocess

from agent import binaries
from lab import Namespace

TOOL = os.path.join(binaries(), "portreeve")

POLICY = """
version: 1
failure: { engine: open }
interfaces: { ignore: [lo, "wg*"] }
queue: { numbers: 0-3 }
"""


def foreign(name):
    """Rules of another program: NAME.save as iptables-save prints them, NAME.nft as nft lists them."""
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(os.path.join(tests, "Fixtures", "rules", name)) as file:
        return file.read()


NETLINK_NETFILTER = 12


def queue_reader(number):
    """A socket that has bound a queue, as an agent does; it gives no verdicts."""
    reader = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    reader.bind((0, 0))
    command = struct.pack("=HHBBH", 8, 1, 1, 0, socket.htons(socket.AF_INET))  # NFQA_CFG_CMD: bind
    body = struct.pack("=BBH", 0, 0, socket.htons(number)) + command
    header = struct.pack("=IHHII", 16 + len(body), 3 << 8 | 2, 1 | 4, 1, 0)  # NFQNL_MSG_CONFIG, request and answer
    reader.send(header + body)
    error = struct.unpack_from("=i", reader.recv(1024), 16)[0]
    if error:
        raise OSError(-error, os.strerror(-error))
    return reader


def enter(namespace):
    """setns(2), for sockets made from now on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace.fileno(), 0x40000000):  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")


class Machine(Namespace):
    """A namespace with two interfaces, and the tool's files."""

    number = 0

    def __init__(self):
        Machine.number += 1
        super().__init__(None, f"machine{Machine.number}")
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.directory = f"/run/{self.name}"
        self.programs = f"{self.directory}/programs"
        os.makedirs(self.programs)
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        for interface, number in (("eth0", 1), ("eth1", 2)):
            self.run("ip", "addr", "add", f"198.18.{number}.1/24", "dev", interface)
            self.run("ip", "addr", "add", f"fd00:{number}::1/64", "dev", interface, "nodad")
            self.run("ip", "link", "set", interface, "up")
        self.policy(POLICY)

    def status(self, *command, **options):
        """Programs of this machine's own come first."""
        return super().status("env", f"PATH={self.programs}:{os.environ['PATH']}", *command, **options)

    def script(self, name, text):
        """A program in the place of the one of that name."""
        path = f"{self.programs}/{name}"
        with open(path, "w") as file:
            file.write(f"#!/bin/sh\n{text}")
        os.chmod(path, 0o755)

    def use_legacy_iptables(self):
        """Has iptables be the kind that does not work through nftables."""
        for name in ("iptables", "ip6tables"):
            for suffix in ("", "-save", "-restore"):
                os.symlink("/usr/sbin/xtables-legacy-multi", f"{self.programs}/{name}{suffix}")

    def use_bridge_queue(self):
        """Where this kernel has no `queue` statement for nftables, a rule that passes everything stands for it in the
        kernel, and nft shows it as what it stands for."""
        probe = "add table bridge probe; add chain bridge probe c; add rule bridge probe c queue num 0; delete table bridge probe"
        if self.status("nft", probe)[0]:
            self.script("nft", """
case "$1" in
-f) sed 's/^\\([[:space:]]*\\)\\(queue .*\\)$/\\1accept comment "\\2"/' | /usr/sbin/nft "$@" ;;
*) text=$(/usr/sbin/nft "$@") || exit
   test -z "$text" || printf '%s\\n' "$text" | sed 's/accept comment "\\(queue [^"]*\\)"/\\1/' ;;
esac
""")

    def read_queue(self, number=0):
        """The queue belongs to the namespace in which its socket was made."""
        with open(f"/run/netns/{self.name}") as theirs, open("/proc/self/ns/net") as ours:
            enter(theirs)
            try:
                return queue_reader(number)
            finally:
                enter(ours)

    def policy(self, text):
        with open(f"{self.directory}/policy.yaml", "w") as file:
            file.write(text)

    def words(self, *arguments):
        return [
            TOOL, "iptables", "--policy", f"{self.directory}/policy.yaml", "--control", f"{self.directory}/control.sock",
            "--state", f"{self.directory}/rules", "--saved", self.directory, *map(str, arguments)]

    def foreign(self, text):
        """Rules of other programs; Docker's have IPv4 addresses."""
        self.rules(text, families=(4,))
        if "198.18." not in text:
            self.rules(text, families=(6,))

    def iptables(self, *arguments):
        """`portreeve iptables`; (exit status, output)."""
        return self.status(*self.words(*arguments), seconds=60)

    def saved(self):
        """Both rule sets, without what changes by itself: the time of printing and the built-in chains' counters."""
        text = self.run("iptables-save") + self.run("ip6tables-save")
        return re.sub(r"\[\d+:\d+\]", "[0:0]", re.sub(r" on \w{3} \w{3} .*", "", text))

    def close(self):
        subprocess.run(["ip", "netns", "del", self.name], check=False)
