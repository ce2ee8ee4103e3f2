# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab of the live tests and the demo: three machines made of network namespaces.

    client ── router ── host

    client  198.18.1.10–25   fd00:1::10–25        router  198.18.1.1 / 198.18.2.1   fd00:1::1 / fd00:2::1
    host    198.18.2.2       fd00:2::2

The agent runs on `host` or `router`. Every command is bounded in time, every process is ended by its id, and all of it
goes when the program ends (isolation.py). Standard library only; Debian's tools do the work.

    import isolation; isolation.isolate()
    with Lab() as lab:
        lab.client.run("ping", "-c", "3", lab.host.ip4)
"""

import ipaddress
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

CLIENT_ADDRESSES = 16


class CommandFailed(Exception):
    def __init__(self, command, status, output):
        super().__init__(f"{' '.join(map(str, command))}: status {status}\n{output}")
        self.command, self.status, self.output = command, status, output


def wait_until(condition, what, seconds=30.0, process=None):
    """Asks every 20 ms; returns the first answer that is true. Gives up early if `process` has ended. What comes at once on
    a machine with nothing else to do may take seconds on another."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if process is not None and not process.is_running:
            raise CommandFailed(process.command, process.status, process.output())
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds} s: {what}")
        time.sleep(0.02)


class Process:
    """A program running in a namespace, its output in a file."""

    def __init__(self, namespace, command, log, environment=None, descriptors=()):
        self.namespace, self.command, self.log = namespace, [str(word) for word in command], log
        with open(log, "wb") as output:
            self.popen = subprocess.Popen(
                ["ip", "netns", "exec", namespace.name, *self.command], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True, pass_fds=descriptors,
                env={**os.environ, **(environment or {})})

    @property
    def pid(self):
        return self.popen.pid

    @property
    def is_running(self):
        return self.popen.poll() is None

    @property
    def status(self):
        return self.popen.poll()

    def output(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def wait(self, seconds=30):
        """Waits for its own end; returns its exit status."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"{' '.join(self.command)} did not end in {seconds} s\n{self.output()}") from None

    def signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        """SIGKILL to it and what it started."""
        if self.is_running:
            os.killpg(self.pid, signal.SIGKILL)
        return self.popen.wait()

    def stop(self, seconds=30):
        """SIGTERM, and SIGKILL if that is not heard; returns the exit status."""
        if self.is_running:
            self.signal(signal.SIGTERM)
            try:
                return self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                return self.kill()
        return self.status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Namespace:
    """One machine of the lab."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.ip4 = self.ip6 = None
        self.interfaces = []

    def run(self, *command, seconds=30, check=True, input=None):
        """Runs a command to its end; returns what it printed on both outputs. With check=False any status will do."""
        return self.status(*command, seconds=seconds, input=input, fail=check)[1]

    def status(self, *command, seconds=30, input=None, fail=False):
        """The same; returns (exit status, output)."""
        words = ["ip", "netns", "exec", self.name, *map(str, command)]
        try:
            done = subprocess.run(
                words, input=input, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, text=True,
                errors="replace", stdin=subprocess.DEVNULL if input is None else None)
        except subprocess.TimeoutExpired as timeout:
            raise CommandFailed(command, "timed out", (timeout.stdout or b"").decode(errors="replace")) from None
        if fail and done.returncode:
            raise CommandFailed(command, done.returncode, done.stdout)
        return done.returncode, done.stdout

    def start(self, *command, name=None, **options):
        """Starts a program; the lab ends it. `name` is that of its log in the lab's directory; `environment` (more of it)
        and `descriptors` (that it inherits) go to the process."""
        process = Process(self, command, self.lab.file(f"{name or os.path.basename(str(command[0]))}.log"), **options)
        self.lab.processes.append(process)
        return process

    def python(self, program, *arguments, seconds=30, **options):
        return self.run("/usr/bin/python3", "-c", program, *arguments, seconds=seconds, **options)

    def scapy(self, program, seconds=30):
        """Runs lines of Python with all of scapy's names; the interface cache is scapy's own, so routes are right."""
        quiet = "import logging; logging.getLogger('scapy').setLevel(logging.ERROR)\n"
        return self.python(f"{quiet}from scapy.all import *\nconf.verb = 0\n{program}", seconds=seconds)

    def sysctl(self, **settings):
        """`net__ipv4__ip_forward=1`: double underscores are dots."""
        for key, value in settings.items():
            self.run("sysctl", "-qw", f"{key.replace('__', '.')}={value}")

    def mac(self, interface):
        return json.loads(self.run("ip", "-j", "link", "show", interface))[0]["address"]

    # Rules

    def rules(self, text, families=(4, 6)):
        """Adds rules in the form of iptables-save; `COMMIT` may be left out. Existing rules stay."""
        if "COMMIT" not in text:
            text += "\nCOMMIT\n"
        for family in families:
            self.run("iptables-restore" if family == 4 else "ip6tables-restore", "-w", "-n", input=text)

    def flush_rules(self):
        for tool in ("iptables", "ip6tables"):
            for table in ("raw", "mangle", "nat", "filter", "security"):
                self.status(tool, "-w", "-t", table, "-F")
                self.status(tool, "-w", "-t", table, "-X")

    def rule_packets(self, chain, table="filter", family=4):
        """Packet counters of a chain's rules, in order."""
        tool = "iptables" if family == 4 else "ip6tables"
        listing = self.run(tool, "-w", "-t", table, "-nvxL", chain).splitlines()[2:]
        return [int(line.split()[0]) for line in listing]

    def queues(self):
        """The kernel's queues here: {number: {"port", "waiting", "full", "socket", "last"}}."""
        table = self.status("cat", "/proc/net/netfilter/nfnetlink_queue")[1]
        rows = [[int(field) for field in line.split()] for line in table.splitlines() if line.strip()[:1].isdigit()]
        return {r[0]: {"port": r[1], "waiting": r[2], "full": r[5], "socket": r[6], "last": r[7]} for r in rows}

    def listens(self, port, protocol="t"):
        """Whether a socket is bound to `port`: t for TCP, u for UDP."""
        return bool(re.search(rf":{port}\s", self.run("ss", f"-Hnl{protocol}")))


class Link:
    """Two ends of a cable."""

    def __init__(self, near, near_interface, far, far_interface):
        self.ends = ((near, near_interface), (far, far_interface))
        subprocess.run(
            ["ip", "link", "add", near_interface, "netns", near.name, "type", "veth", "peer", "name", far_interface,
             "netns", far.name], check=True)
        for namespace, interface in self.ends:
            namespace.run("ip", "link", "set", interface, "up")
            namespace.interfaces.append(interface)

    def set_mtu(self, mtu):
        """Below 1,280 the kernel takes IPv6 away from the interface, addresses and all (RFC 8200 section 5)."""
        for namespace, interface in self.ends:
            namespace.run("ip", "link", "set", interface, "mtu", mtu)

    def set_offload(self, on):
        """Segmentation, receive and checksum offloads of both ends."""
        state = "on" if on else "off"
        for namespace, interface in self.ends:
            words = [word for feature in ("tx", "rx", "sg", "tso", "gso", "gro") for word in (feature, state)]
            namespace.status("ethtool", "-K", interface, *words)

    def introduce(self):
        """Each end knows the other's addresses for good. Otherwise the kernel asks again after some seconds whether its neighbour is
        still there (RFC 4861 section 7.3.3), with packets that a test which counts every packet would count as its own."""
        for (namespace, interface), (peer, peer_interface) in (self.ends, self.ends[::-1]):
            shown = json.loads(peer.run("ip", "-j", "addr", "show", "dev", peer_interface))[0]
            for address in shown["addr_info"]:
                namespace.run("ip", "neigh", "replace", address["local"], "lladdr", shown["address"], "dev", interface,
                              "nud", "permanent")


class Lab:
    """See the module's text. `offload` and `mtu` are those of both links at the start."""

    #: The attributes that are its namespaces.
    machines = ("client", "router", "host")

    def __init__(self, offload=True, mtu=1500):
        self.offload, self.mtu = offload, mtu
        self.processes = []
        self.directory = None

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="lab.", dir="/run")
        os.chmod(self.directory, 0o755)
        # Namespaces of the same program must not meet: a name of its own for each lab.
        prefix = f"lab{os.getpid()}-{os.path.basename(self.directory)[-4:]}-"
        for name in self.machines:
            setattr(self, name, self._machine(prefix, name))
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _build(self):
        for namespace in self.namespaces:
            subprocess.run(["ip", "netns", "add", namespace.name], check=True)
            namespace.run("ip", "link", "set", "lo", "up")
            namespace.sysctl(
                net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__default__rp_filter=0,
                net__ipv6__conf__all__accept_dad=0, net__ipv6__conf__default__accept_dad=0,
                net__ipv6__conf__default__accept_ra=0)
        self.client_link = Link(self.client, "eth0", self.router, "in0")
        self.host_link = Link(self.router, "out0", self.host, "eth0")
        self._address(self.client, "eth0", 1, range(10, 10 + CLIENT_ADDRESSES))
        self._address(self.router, "in0", 1, [1])
        self._address(self.router, "out0", 2, [1])
        self._address(self.host, "eth0", 2, [2])
        self.router.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        self.router.ip4, self.router.ip6 = "198.18.1.1", "fd00:1::1"
        for namespace, net in ((self.client, 1), (self.host, 2)):
            namespace.run("ip", "route", "add", "default", "via", f"198.18.{net}.1")
            namespace.run("ip", "-6", "route", "add", "default", "via", f"fd00:{net}::1")
        for link in self.links:
            link.set_mtu(self.mtu)
            link.set_offload(self.offload)
        wait_until(self._is_up, "the client reaches the host over IPv4 and IPv6")

    def _address(self, namespace, interface, net, numbers):
        for number in numbers:
            namespace.run("ip", "addr", "add", f"198.18.{net}.{number}/24", "dev", interface)
            namespace.run("ip", "addr", "add", f"fd00:{net}::{number}/64", "dev", interface, "nodad")
        namespace.ip4, namespace.ip6 = f"198.18.{net}.{numbers[0]}", f"fd00:{net}::{numbers[0]}"

    def _is_up(self):
        return all(
            self.client.status("ping", "-c", "1", "-W", "1", "-i", "0.2", address)[0] == 0
            for address in (self.host.ip4, self.host.ip6))

    def _machine(self, prefix, name):
        return Namespace(self, prefix + name)

    @property
    def namespaces(self):
        return tuple(getattr(self, name) for name in self.machines)

    @property
    def links(self):
        return (self.client_link, self.host_link)

    @property
    def client_addresses(self):
        first = ipaddress.ip_address(self.client.ip4)
        return [str(first + i) for i in range(CLIENT_ADDRESSES)]

    def file(self, name, content=None):
        """A path in the lab's directory, unused until now if `content` is None; otherwise a file with that content."""
        path = os.path.join(self.directory, name)
        if content is None:
            base, extension = os.path.splitext(path)
            number = 1
            while os.path.exists(path):
                number += 1
                path = f"{base}-{number}{extension}"
        else:
            with open(path, "wb" if isinstance(content, bytes) else "w") as file:
                file.write(content)
        return path

    def lose(self, percent):
        """Loses that share of the packets that the router forwards, at random, both ways; 0 loses none."""
        for tool in ("iptables", "ip6tables"):
            self.router.status(tool, "-w", "-t", "raw", "-F", "PREROUTING")
            if percent:
                self.router.run(
                    tool, "-w", "-t", "raw", "-A", "PREROUTING", "-m", "statistic", "--mode", "random",
                    "--probability", percent / 100, "-j", "DROP")

    def close(self):
        for process in reversed(self.processes):
            process.stop()
        for namespace in self.namespaces:
            subprocess.run(["ip", "netns", "del", namespace.name], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.directory, ignore_errors=True)
