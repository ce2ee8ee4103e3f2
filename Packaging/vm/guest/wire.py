# SPDX-License-Identifier: GPL-3.0-or-later
"""The other machine: a network namespace at the far end of this machine's interface wan0."""

import os
import subprocess
import sys

from step import equal, run, sh, status, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
NEAR4, NEAR6 = "198.18.0.2", "fd00::2"
FAR4, FAR6 = "198.18.0.1", "fd00::1"
FAR = ("ip", "netns", "exec", "far")
KEY = "/root/.ssh/id_ed25519"
SSH = (*FAR, "ssh", "-i", KEY, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
       "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-F", "none", f"root@{NEAR4}")


def connect():
    """Puts the far end of wan0 into the other machine; after each boot."""
    if os.path.exists("/run/netns/far"):
        return
    wait_until(lambda: os.path.exists("/sys/class/net/wan0-far"), "networkd makes wan0", 60)
    sh(f"""
        ip netns add far
        ip link set wan0-far netns far name eth0
        ip -n far link set lo up
        ip -n far addr add {FAR4}/24 dev eth0
        ip -n far addr add {FAR6}/64 dev eth0 nodad
        ip -n far link set eth0 up
        """)
    wait_until(reaches, "the other machine reaches this one", 60)


def reaches():
    """Whether the other machine's ping is answered, over IPv4 and IPv6."""
    return all(far_status("ping", "-c1", "-W2", address)[0] == 0 for address in (NEAR4, NEAR6))


def far(*command, **options):
    return run(*FAR, *command, **options)


def far_status(*command, **options):
    return status(*FAR, *command, **options)


def make_key():
    if not os.path.exists(KEY):
        sh(f"""
            mkdir -p -m 700 /root/.ssh
            ssh-keygen -q -t ed25519 -N '' -f {KEY}
            cp {KEY}.pub /root/.ssh/authorized_keys
            """)


def ssh(command, **options):
    """Runs a command line on this machine in an ssh session from the other one."""
    return run(*SSH, command, **options)


def opens(port, address=NEAR4, patience=3):
    """Whether the other machine gets a TCP connection to `port`."""
    return far_status(sys.executable, "-c", OPEN, address, port, patience)[0] == 0


OPEN = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])).close()"


class Peer:
    """A program of guest/ running in a network namespace, or outside if `within` is None; its output is a file."""

    started = []

    def __init__(self, program, *arguments, within="far"):
        self.log = f"/run/{program}.{len(os.listdir('/run'))}.log"
        words = [sys.executable, "-B", os.path.join(HERE, program), *map(str, arguments)]
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(
                ["ip", "netns", "exec", within, *words] if within else words, stdin=subprocess.PIPE, stdout=log, stderr=log)
        Peer.started.append(self)

    @classmethod
    def kill_all(cls):
        """After a step, whatever became of it."""
        while cls.started:
            cls.started.pop().kill()

    def output(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    @property
    def is_running(self):
        return self.popen.poll() is None

    def end(self, seconds=60):
        """Closes its input, which asks it to end; returns its output."""
        self.popen.stdin.close()
        equal(self.popen.wait(seconds), 0, f"exit status of {self.popen.args[-3:]}: {self.output()}")
        return self.output()

    def kill(self):
        self.popen.kill()
        self.popen.wait()
