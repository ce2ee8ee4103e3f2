# SPDX-License-Identifier: GPL-3.0-or-later
"""Three hosts and the machine that watches and governs them, on one link.

    web1 ─┐
    web2 ─┼─ control           control 198.18.5.1; the hosts 198.18.5.11 to .13, each with a name of its own
    web3 ─┘
"""

import shlex
import subprocess

from lab import Lab, Link, Namespace, wait_until


class NamedMachine(Namespace):
    """One whose programs find `host_name` as the name of their machine."""

    def __init__(self, lab, name, host_name):
        super().__init__(lab, name)
        self.host_name = host_name

    def _named(self, command):
        return ["unshare", "--uts", "sh", "-c", f"hostname {shlex.quote(self.host_name)} && exec \"$@\"", "sh", *map(str, command)]

    def start(self, *command, name=None, **options):
        return super().start(*self._named(command), name=f"{self.host_name}-{name or 'program'}", **options)

    def status(self, *command, **options):
        return super().status(*self._named(command), **options)


class FleetLab(Lab):
    machines = ("control", "web1", "web2", "web3")

    def _machine(self, prefix, name):
        return NamedMachine(self, prefix + name, name.replace("web", "web-0"))

    @property
    def hosts(self):
        return self.namespaces[1:]

    @property
    def links(self):
        return self._links

    def _build(self):
        self._links = []
        for namespace in self.namespaces:
            subprocess.run(["ip", "netns", "add", namespace.name], check=True)
            namespace.run("ip", "link", "set", "lo", "up")
            namespace.sysctl(net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__default__rp_filter=0)
        self.control.run("ip", "link", "add", "lan", "type", "bridge")
        for number, host in enumerate(self.hosts):
            self._links.append(Link(self.control, f"port{number}", host, "eth0"))
            self.control.run("ip", "link", "set", f"port{number}", "master", "lan")
            host.ip4 = f"198.18.5.{11 + number}"
            host.run("ip", "addr", "add", f"{host.ip4}/24", "dev", "eth0")
        self.control.ip4 = "198.18.5.1"
        self.control.run("ip", "addr", "add", "198.18.5.1/24", "dev", "lan")
        self.control.run("ip", "link", "set", "lan", "up")
        for host in self.hosts:
            wait_until(lambda host=host: self.control.status("ping", "-c", "1", "-W", "1", host.ip4)[0] == 0, f"{host.host_name} is there")
