# SPDX-License-Identifier: GPL-3.0-or-later
"""Every category and every detail that a scan knows, each by a real cause, over TCP and UDP, IPv4 and IPv6."""

import collections
import concurrent.futures
import itertools
import json
import os
import re
import sys
import unittest

import isolation

isolation.isolate()

import services
from lab import Lab, wait_until
from paths import TOOL, Reflector, scan

HERE = os.path.dirname(os.path.abspath(__file__))
# Has a port of this host, so that nothing can be sent from it.
HOLDER = """
import socket, threading
held = [socket.socket(family, kind) for family in (socket.AF_INET, socket.AF_INET6) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
for each in held:
    if each.family == socket.AF_INET6:
        each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    each.bind(("", 45000))
print("ready", flush=True)
threading.Event().wait()
"""
NO_ROUTE, UNREACHABLE, PROHIBITED, BLACKHOLE = range(1, 5)

# Ports by cause; what goes to them is the business of the rules below.
REJECTS = {
    4: {"icmp-net-unreachable": ("icmp_unreachable", 0), "icmp-host-unreachable": ("icmp_unreachable", 1),
        "icmp-proto-unreachable": ("icmp_unreachable", 2), "icmp-port-unreachable": ("icmp_port", 3),
        "icmp-net-prohibited": ("icmp_filtered", 9), "icmp-host-prohibited": ("icmp_filtered", 10),
        "icmp-admin-prohibited": ("icmp_filtered", 13)},
    6: {"icmp6-no-route": ("icmp_unreachable", 0), "icmp6-adm-prohibited": ("icmp_filtered", 1),
        "icmp6-addr-unreachable": ("icmp_unreachable", 3), "icmp6-port-unreachable": ("icmp_port", 4),
        "icmp6-policy-fail": ("icmp_filtered", 5), "icmp6-reject-route": ("icmp_filtered", 6)},
}
REJECT_PORTS = range(1001, 1008)
STREAMS = {
    1201: ("swallow", "payload_timeout", "acked", "a proxy swallows the payload"),
    1202: ("fin", "payload_error", "closed", "a proxy closes at once"),
    1203: ("fin_after_request", "payload_error", "closed", "a proxy closes after the request"),
    1204: ("reset_after_request", "payload_refused", "rst at=recv", "a proxy resets after the payload"),
    1205: ("part_fin", "payload_error", "truncated_fin", "a proxy passes 20 bytes of the answer, then closes"),
    1206: ("part_reset", "payload_error", "truncated_rst", "a proxy passes 20 bytes of the answer, then resets"),
    1207: ("part_hold", "payload_error", "truncated_timeout", "a proxy passes 20 bytes of the answer, then nothing"),
    1208: ("alter", "payload_mismatch", "offset=40", "a device changes a byte of the answer"),
    1209: ("extra", "payload_mismatch", "offset=48", "a device adds a byte to the answer"),
    1210: ("echo", "payload_mismatch", "offset=5", "something echoes the request"),
    1211: ("banner", "payload_mismatch", "offset=0", "a mail filter answers itself"),
    1212: ("replay_request", "payload_error", "closed", "a device repeats the request: answered once only"),
}
DATAGRAMS = {
    1201: ("swallow", "payload_timeout", "copies=3", "a device swallows the datagrams"),
    1208: ("alter", "payload_mismatch", "offset=40", "a device changes a byte of the answer"),
    1210: ("echo", "payload_mismatch", "offset=5", "something echoes the request"),
    1211: ("banner", "payload_mismatch", "offset=0", "something else answers"),
    1213: ("elsewhere", "payload_mismatch", "wrong_source", "the answer comes from another port"),
}
LARGE = {
    1221: ("stuck", "payload_send", "stalled", "a proxy takes no bytes: zero window"),
    1222: ("stuck_then_reset", "payload_refused", "rst at=send", "a proxy takes no bytes, then resets"),
}
NGINX = {
    1231: ("open", "answered", "nginx relays the connection"),
    1232: ("payload_mismatch", "offset=0", "nginx answers itself, in HTTP"),
    1233: ("payload_error", "closed", "nginx takes the connection, and has nobody behind it"),
}
# Causes in the rules below: (category, detail) over TCP, over UDP.
RULES = {
    1101: (("handshake_refused", "rst"), None, "a router resets"),
    1102: (("handshake_timeout", r"syn_sent=\d"), ("payload_timeout", "copies=3"), "a router drops"),
    1103: (("handshake_timeout", r"syn_sent=\d"), ("payload_timeout", "copies=3"), "a router drops what comes back"),
    1104: (("handshake_timeout", r"syn_sent=\d"), ("payload_timeout", "copies=3"), "a router's queue that nobody reads"),
    1105: (("handshake_refused", "ttl_exceeded"), ("payload_refused", "ttl_exceeded"), "a router counts the last hop"),
    1106: (("handshake_refused", "errno_EPROTO"), ("payload_refused", "errno_EPROTO"), "a router says: parameter problem"),
    1111: (("payload_timeout", "unacked"), None, "a router drops data on its way there"),
    1112: (("payload_timeout", "acked"), None, "a router drops data on its way back"),
    1113: (("payload_timeout", "unacked"), None, "a router passes SYNs only"),
    1114: (("payload_refused", "icmp_soft"), None, "a router rejects data by ICMP"),
    1115: (("payload_refused", "rst at=recv"), None, "a router resets at the payload"),
    1116: (("payload_timeout", "acked"), None, "a router resets the reflector at its answer"),
    1117: (("payload_refused", "rst at=recv"), None, "a device resets both ends at the payload"),
    1118: (("payload_refused", "rst at=recv"), None, "a device resets at the answer"),
    1119: (("payload_mismatch", "offset=0"), None, "a device rewrites the payload and answers it"),
    1120: (None, ("payload_timeout", "copies=3"), "a device rewrites the datagrams"),
    1301: (("handshake_timeout", r"syn_sent=\d"), ("payload_send", "local_policy"), "this host's filter drops"),
    1302: (("handshake_init", "local_reject"), ("payload_send", "local_policy"), "this host's filter rejects by ICMP"),
    1303: (("handshake_timeout", r"syn_sent=\d"), ("payload_timeout", "copies=3"), "this host's queue that nobody reads"),
    1304: (("handshake_refused", "rst"), None, "this host's filter resets"),
    1401: (("handshake_refused", "icmp_port_target"), ("payload_refused", "icmp_port_target"), "the target's filter rejects"),
    1402: (("handshake_refused", "rst"), None, "the target's filter resets"),
    1501: (("skipped", "reflector_EADDRINUSE"), ("skipped", "reflector_EADDRINUSE"), "another service has the port"),
    1601: (("open", "answered"), ("open", "answered"), "keyed payload"),
}
ROUTES = {
    NO_ROUTE: ("no_route", "no route"), UNREACHABLE: ("unreachable_route", "an unreachable route"),
    PROHIBITED: ("local_policy", "a prohibiting route"), BLACKHOLE: ("blackhole_route", "a black hole"),
}
# Of a script in which the reflector speaks first.
GREETED = {1121: ("payload_timeout", "acked", "a router drops a greeting on its way back")}
# What both sides together tell, over TCP and UDP: each row of the table of conclusions, and what else is said.
NOT_SENT = "this host did not send it: "
SAYS = {
    "a router resets": ("no SYN reached the reflector's host: by something before it", None),
    "a router drops": ("no SYN reached the reflector's host: the way there drops it", "no datagram arrived: dropped, or lost, on the way there"),
    "a router drops what comes back": (
        "the reflector's host answered the SYN: the way back drops", "the datagram arrived; the answer is dropped, or lost, on the way back"),
    "a router counts the last hop": ("went over too many hops: a routing loop", "went over too many hops: a routing loop"),
    "a router drops data on its way there": ("the connection arrived, and its payload did not", None),
    "a router drops data on its way back": ("the payload arrived; the answer is dropped on the way back", None),
    "a router passes SYNs only": ("the reflector accepted no connection: only the handshake's beginning passes", None),
    "a router rejects data by ICMP": ("a device on the way rejects what follows the handshake", None),
    "a router drops a greeting on its way back": ("what the reflector says first is dropped on the way back", None),
    "a device resets both ends at the payload": ("both ends were reset by something between", None),
    "a device resets at the answer": ("reset when the answer came: something between does not like it", None),
    "a device rewrites the payload and answers it": ("the payload arrived changed: something between rewrites it", None),
    "a device rewrites the datagrams": (None, "something arrived, and not the datagram as it was sent"),
    "a proxy swallows the payload": ("acknowledged by something that is not the reflector: a proxy took the connection", None),
    "a proxy resets after the payload": ("the reflector accepted no connection: by something between", None),
    "a proxy closes at once": ("closed without a byte, by the target or something on the way", None),
    "a proxy takes no bytes: zero window": ("the other end took the connection and then no more bytes", None),
    "a mail filter answers itself": ("the reflector saw nothing: something between answers by itself", None),
    "something else answers": (None, "the reflector saw nothing: something between answers by itself"),
    "a device changes a byte of the answer": (
        "though the payload arrived as it was sent: the answer is changed on the way back",
        "though the payload arrived as it was sent: the answer is changed on the way back"),
    "the answer comes from another port": (None, "answered by the reflector, and the answer comes from"),
    "nginx relays the connection": ("answered by the reflector; the address is translated on the way", None),
    "this host's filter rejects by ICMP": (f"{NOT_SENT}its own packet filter rejects it", f"{NOT_SENT}its own policy forbids it"),
    "the target's filter resets": ("refused by the reflector's host itself, though the reflector listens there: its own filter", None),
    "the target's filter rejects": ("refused in the target's name", "refused in the target's name"),
    "a service, no reflector": (
        "a handshake was completed; without a reflector it is not known by whom", "something answered; without a reflector it is not known what"),
    "a closed port, no reflector": ("refused by the target or something before it", "refused in the target's name"),
    "no route": (f"{NOT_SENT}it has no route", f"{NOT_SENT}it has no route"),
    "nobody answers for the next hop's address": (f"{NOT_SENT}nobody answers for the address of the next hop",) * 2,
    "keyed payload": ("answered by the reflector", "answered by the reflector"),
}
PAYLOADS = """
payloads:
  hex: { hex: "de ad be ef 00 01 02 03" }
  text: { text: "USER anonymous\\r\\n" }
  file: { file: payload.bin }
  mail:
    - expect: "220 mail.example ESMTP\\r\\n"
    - send: "EHLO client.example\\r\\n"
    - expect: "250-mail.example\\r\\n250 PIPELINING\\r\\n"
    - send: { hex: "515549540d0a" }
  pairs:
    - send: "first question"
    - expect: "first answer"
    - send: "second question"
    - expect: { hex: "00ff00ff" }
"""
KINDS = {1611: ("hex", "tcp+udp"), 1612: ("text", "tcp+udp"), 1613: ("file", "tcp+udp"), 1614: ("mail", "tcp"),
         1615: ("pairs", "tcp+udp"), 1616: ("{ keyed: 1400 }", "tcp+udp"), 1617: ("{ keyed: 20000 }", "tcp+udp")}

ROUTER = """
*filter
-A FORWARD -p tcp --dport 1101 -j REJECT --reject-with tcp-reset
-A FORWARD -p {p} --dport 1102 -j DROP
-A FORWARD -p {p} --sport 1103 -j DROP
-A FORWARD -p {p} --dport 1104 -j NFQUEUE --queue-num 77
-A FORWARD -p {p} --dport 1106 -j DROP
-A FORWARD -p tcp --dport 1111 --tcp-flags PSH PSH -j DROP
-A FORWARD -p tcp --sport 1112 --tcp-flags PSH PSH -j DROP
-A FORWARD -p tcp --dport 1113 ! --syn -j DROP
-A FORWARD -p tcp --dport 1114 --tcp-flags PSH PSH -j REJECT --reject-with {prohibited}
-A FORWARD -p tcp --dport 1115 --tcp-flags PSH PSH -j REJECT --reject-with tcp-reset
-A FORWARD -p tcp --sport 1116 --tcp-flags PSH PSH -j REJECT --reject-with tcp-reset
-A FORWARD -p tcp --dport 1117 --tcp-flags PSH PSH -j DROP
-A FORWARD -p tcp --sport 1118 --tcp-flags PSH PSH -j DROP
-A FORWARD -p tcp --dport 1119 --tcp-flags PSH PSH -j DROP
-A FORWARD -p udp --dport 1120 -j DROP
-A FORWARD -p tcp --sport 1121 --tcp-flags PSH PSH -j DROP
COMMIT
*mangle
-A PREROUTING -p {p} --dport 1105 -j {ttl}
COMMIT
"""
CLIENT = """
*filter
-A OUTPUT -p {p} --dport 1301 -j DROP
-A OUTPUT -p {p} --dport 1302 -j REJECT
-A OUTPUT -p {p} --dport 1303 -j NFQUEUE --queue-num 78
-A OUTPUT -p tcp --dport 1304 -j REJECT --reject-with tcp-reset
COMMIT
"""
HOST = """
*filter
-A INPUT -p {p} --dport 1401 -j REJECT --reject-with {port}
-A INPUT -p tcp --dport 1402 -j REJECT --reject-with tcp-reset
COMMIT
"""


class TableTests(unittest.TestCase):
    """One scan for each family does most of it; what needs another program or address has a scan of its own. All of them at once."""

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.router, cls.host = cls.lab.client, cls.lab.router, cls.lab.host
        for family in (4, 6):
            cls.install_rules(family)
        cls.install_routes()
        behaviours = [f"{port}:{row[0]}" for table in (STREAMS, DATAGRAMS, LARGE) for port, row in table.items()]
        cls.wait_for(cls.router.start(
            "/usr/bin/python3", f"{HERE}/middlebox.py", cls.host.ip4, cls.host.ip6, *dict.fromkeys(behaviours),
            name="middlebox"))
        cls.wait_for(cls.router.start(
            "/usr/bin/python3", f"{HERE}/problems.py", "in0", "1106", "198.18.1.1", "fd00:1::1", name="problems"))
        cls.wait_for(cls.router.start("/usr/bin/python3", f"{HERE}/tampering.py", "in0", "out0", name="tampering"))
        cls.reflector = cls.enterClassContext(Reflector(cls.host))
        cls.enterClassContext(services.echo(cls.host, 1501))
        cls.wait_for(cls.client.start("/usr/bin/python3", "-c", HOLDER, name="holder"))
        cls.start_nginx()

    @classmethod
    def start_nginx(cls):
        """It reads the request before it asks behind it: what closes with bytes unread resets, if they came in time."""
        servers = "".join(
            f"server {{ listen {at}; ssl_preread on; proxy_pass {to}; proxy_connect_timeout 1s; }}\n"
            for at, to in (("11231", f"{cls.host.ip4}:1231"), ("[::]:11231 ipv6only=on", f"[{cls.host.ip6}]:1231"),
                           ("11233", "127.0.0.1:9"), ("[::]:11233 ipv6only=on", "127.0.0.1:9")))
        root = cls.lab.file("nginx")
        os.mkdir(root)
        temporary = "".join(f"{name}_temp_path {root}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        settings = cls.lab.file("nginx.conf", f"""
            load_module /usr/lib/nginx/modules/ngx_stream_module.so;
            daemon off; user root; worker_processes 1; pid {root}/pid; error_log stderr;
            events {{ worker_connections 256; }}
            stream {{ {servers} }}
            http {{ access_log off; {temporary} server {{ listen 11232; listen [::]:11232; return 404; }} }}""")
        process = cls.router.start("nginx", "-e", "stderr", "-c", settings, name="nginx")
        wait_until(lambda: cls.router.listens(11231) and cls.router.listens(11232), "nginx listens", process=process)

    @classmethod
    def wait_for(cls, process):
        wait_until(lambda: "ready" in process.output(), "it is ready", process=process)

    @classmethod
    def install_rules(cls, family):
        words = {
            4: {"prohibited": "icmp-admin-prohibited", "port": "icmp-port-unreachable", "ttl": "TTL --ttl-set 1"},
            6: {"prohibited": "icmp6-adm-prohibited", "port": "icmp6-port-unreachable", "ttl": "HL --hl-set 1"}}[family]
        both = lambda text: "\n".join(
            line.replace("{p}", protocol) for line in text.splitlines()
            for protocol in (("tcp", "udp") if "{p}" in line else ("",))).format(**words)
        rejects = "".join(
            f"-A FORWARD -p {protocol} --dport {port} -j REJECT --reject-with {kind}\n"
            for port, kind in zip(REJECT_PORTS, REJECTS[family]) for protocol in ("tcp", "udp"))
        redirects = "".join(
            f"-A PREROUTING -i in0 -p {protocol} --dport {port} -j REDIRECT --to-ports {port + 10000}\n"
            for protocol, ports in (("tcp", [*STREAMS, *LARGE, *NGINX]), ("udp", DATAGRAMS)) for port in ports)
        cls.router.rules(f"*filter\n{rejects}COMMIT\n*nat\n{redirects}COMMIT\n{both(ROUTER)}", [family])
        cls.client.rules(both(CLIENT), [family])
        cls.host.rules(both(HOST), [family])

    @classmethod
    def install_routes(cls):
        for kind, number in (("throw", NO_ROUTE), ("unreachable", UNREACHABLE), ("prohibit", PROHIBITED),
                             ("blackhole", BLACKHOLE)):
            cls.client.run("ip", "route", "add", kind, f"198.18.9.{number}/32")
            cls.client.run("ip", "-6", "route", "add", kind, f"fd00:9::{number}/128")
        # What is told to nobody else than the first asker within a while would be silence for the next one.
        for machine in (cls.router, cls.host):
            machine.sysctl(net__ipv4__icmp_ratelimit=0, net__ipv6__icmp__ratelimit=0, net__ipv4__icmp_msgs_per_sec=100000,
                           net__ipv4__icmp_msgs_burst=10000)

    # What is probed

    def plan(self, family):
        """The plan of the scan that does most of it, and what should come of it: {(proto, dst): (category, detail, cause)}."""
        host = self.host.ip4 if family == 4 else self.host.ip6
        wanted, lines = {}, []

        def add(target, protocol, rows, payload="keyed"):
            if not rows:
                return
            lines.append(f"  - {{ target: \"{target}\", protocol: {protocol}, ports: \"{','.join(map(str, rows))}\", "
                         f"payload: {payload} }}")
            for port, row in rows.items():
                for each in protocol.split("+"):
                    wanted[each, self.endpoint(target, port)] = row

        refused = {"tcp": "handshake_refused", "udp": "payload_refused"}
        for protocol, index in (("tcp", 0), ("udp", 1)):
            rejects = {port: (refused[protocol], word, f"a router rejects with {kind}")
                       for port, (kind, (word, _)) in zip(REJECT_PORTS, REJECTS[family].items())}
            rules = {port: (*row[index], row[2]) for port, row in RULES.items() if row[index]}
            boxes = {port: row[1:] for port, row in (STREAMS if index == 0 else DATAGRAMS).items()}
            add(host, protocol, {**rejects, **rules, **boxes, **(NGINX if index == 0 else {})})
        add(host, "tcp", {port: row[1:] for port, row in LARGE.items()}, "{ keyed: 65507 }")
        add(host, "tcp", GREETED, "mail")
        for port, (payload, protocols) in KINDS.items():
            word = "answered" if "keyed" in payload else "played"
            add(host, protocols, {port: ("open", word, f"payload {payload}")}, payload)
        for number, (word, cause) in ROUTES.items():
            target = f"198.18.9.{number}" if family == 4 else f"fd00:9::{number}"
            add(target, "tcp", {1700 + number: ("handshake_init", word, cause)})
            add(target, "udp", {1700 + number: ("payload_send", word, cause)})
        text = f"version: 1\ntimeout: 2s\n{PAYLOADS}tests:\n" + "\n".join(lines) + "\n"
        self.lab.file(os.path.join(self.lab.directory, "payload.bin"), bytes(range(256)))
        return self.lab.file(os.path.join(self.lab.directory, f"plan{family}.yaml"), text), wanted

    @staticmethod
    def endpoint(address, port):
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

    def scan(self, address, *options, family=4, **more):
        """The control channel goes over the other family, so that a fault of one leaves it alone."""
        other = self.host.ip6 if family == 4 else self.host.ip4
        return scan(self.client, address, "-s", self.endpoint(other, 7411), "--retries", "0", "--udp-rate", "1000", *options,
                    key=self.reflector.key, **more)

    def main_scan(self, family):
        path, wanted = self.plan(family)
        return self.scan(None, "--plan", path, "-i", "2000", family=family), wanted

    def neighbours(self, family):
        """Nobody answers for the next hop's address: of this host's own, and of the router's."""
        ours, theirs = ("198.18.1.77", "198.18.2.77") if family == 4 else ("fd00:1::77", "fd00:2::77")
        plan = f"""
version: 1
tests:
  - {{ target: ["{ours}", "{theirs}"], protocol: tcp+udp, ports: 80 }}
"""
        path = self.lab.file(os.path.join(self.lab.directory, f"neighbours{family}.yaml"), plan)
        cause = "nobody answers for the next hop's address"
        wanted = {
            ("tcp", self.endpoint(ours, 80)): ("handshake_init", "neighbour_unresolved", cause),
            ("udp", self.endpoint(ours, 80)): ("payload_send", "neighbour_unresolved", cause),
            ("tcp", self.endpoint(theirs, 80)): ("handshake_refused", "icmp_unreachable", f"{cause} behind the router"),
            ("udp", self.endpoint(theirs, 80)): ("payload_refused", "icmp_unreachable", f"{cause} behind the router")}
        return self.scan(None, "--plan", path, "-i", "5000", family=family), wanted

    def faulty(self, family, protocol, cause, category, detail, *options, wrapper=(), others=None):
        """One probe, or two of which the second is not reached, of a scan whose system calls fail."""
        address = self.host.ip4 if family == 4 else self.host.ip6
        # Leases share no port.
        port = next(self.ports)
        found = self.scan(address, "-t" if protocol == "tcp" else "-u", f"{port}-{port + 1}" if others else port, "-i", "1000",
                          "--sequential", *options, family=family, wrapper=wrapper)
        wanted = {(protocol, self.endpoint(address, port)): (category, detail, cause)}
        if others:
            wanted[protocol, self.endpoint(address, port + 1)] = (*others, f"a scan that ended before: {cause}")
            # Lack of something on this host says nothing about the path.
            self.assertEqual(found.status, 3, found.output)
        return found, wanted

    ports = itertools.count(3000, 2)

    def without_reflector(self, family):
        address = self.host.ip4 if family == 4 else self.host.ip6
        found = scan(self.client, None, "--target", address, "-t", "1501-1502", "-u", "1501-1502", "-i", "1000", "--retries", "0")
        return found, {
            ("tcp", self.endpoint(address, 1501)): ("open", "connected", "a service, no reflector"),
            ("udp", self.endpoint(address, 1501)): ("open", "replied", "a service, no reflector"),
            ("tcp", self.endpoint(address, 1502)): ("handshake_refused", "rst", "a closed port, no reflector"),
            ("udp", self.endpoint(address, 1502)): ("payload_refused", "icmp_port_target", "a closed port, no reflector")}

    def scans(self):
        """All of them, as functions to call."""
        for family in (4, 6):
            yield lambda family=family: self.main_scan(family)
            yield lambda family=family: self.neighbours(family)
            yield lambda family=family: self.without_reflector(family)
            for row in self.faults(family):
                yield lambda family=family, row=row: self.faulty(family, *row[0], **row[1])

    def faults(self, family):
        """((protocol, cause, category, detail, options…), {wrapper, others}) of each scan in which this host is at fault."""
        number = 2 if family == 4 else 10
        inject = lambda *faults: ("/usr/bin/python3", f"{HERE}/faults.py", *faults, "--")
        foreign = "198.18.1.99" if family == 4 else "fd00:1::99"
        unreached = ("skipped", "not_reached")
        for protocol in ("tcp", "udp"):
            local = "handshake_init" if protocol == "tcp" else "payload_send"
            first = "connect" if protocol == "tcp" else "sendmsg"
            say = "sendto" if protocol == "tcp" else "sendmsg"
            hear = "recvfrom" if protocol == "tcp" else "recvmsg"
            yield (protocol, "no socket of this family", local, "family_unsupported"), {
                "wrapper": inject(f"socket:EAFNOSUPPORT:0={number}")}
            yield (protocol, "the network is down", local, "network_down"), {"wrapper": inject(f"{first}:ENETDOWN:0>5")}
            yield (protocol, "a policy module forbids it", local, "local_policy"), {"wrapper": inject(f"{first}:EPERM:0>5")}
            for error in ("EMSGSIZE", "ENOBUFS") if protocol == "tcp" else ("EMSGSIZE",):
                yield (protocol, f"sending fails: {error}", "payload_send", error), {"wrapper": inject(f"{say}:{error}")}
            if protocol == "tcp":
                yield (protocol, "a policy module forbids sending", "payload_send", "local_policy"), {
                    "wrapper": inject("sendto:EPERM")}
            yield (protocol, "receiving fails: EIO", "payload_error", "errno_EIO"), {"wrapper": inject(f"{hear}:EIO:0>5")}
            for error in ("ENFILE", "ENOMEM", "ENOBUFS"):
                yield (protocol, f"no socket: {error}", "local_resource", error), {
                    "wrapper": inject(f"socket:{error}:0={number}"), "others": unreached}
            yield (protocol, "a limit of 6 descriptors", "local_resource", "EMFILE"), {
                "wrapper": ("prlimit", "--nofile=6"), "others": unreached}
            yield (protocol, "an address that is not this host's", "local_resource", "EADDRNOTAVAIL", "--source", foreign), {
                "others": unreached}
            yield (protocol, "a taken port to send from", "local_resource", "EADDRINUSE", "--source-ports", "45000-45000"), {
                "others": unreached}

    # What came of it

    def test_every_category_and_detail_by_a_real_cause(self):
        rows, self.told = [], set()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for found, wanted in pool.map(lambda each: each(), self.scans()):
                rows += self.compare(found, wanted)
        self.show(rows)
        self.check_nothing_is_missing(rows)
        self.assertEqual(self.told, {
            (protocol, cause) for cause, said in SAYS.items() for protocol, text in zip(("tcp", "udp"), said) if text})

    def compare(self, found, wanted):
        """Rows (protocol, family, category, detail, cause) of one scan, each as it should be."""
        results = {(row["proto"], row["dst"]): row for row in found.rows}
        self.assertEqual(set(results), set(wanted), found.output)
        rows = []
        for key, (category, detail, cause) in wanted.items():
            with self.subTest(cause=cause, key=key):
                result = results[key]
                self.assertEqual(result["category"], category, result)
                self.assertRegex(result["detail"], f"^{detail}$", result)
                self.check_evidence(result, cause)
                said = SAYS.get(cause, (None, None))[key[0] == "udp"]
                self.told |= {(key[0], cause)} if said else set()
                self.assertIn(said or "", result["conclusion"])
            rows.append((key[0], 6 if "[" in key[1] else 4, category, result["detail"], cause))
        return rows

    def check_evidence(self, result, cause):
        family = 6 if "[" in result["dst"] else 4
        if "rejects with" in cause:
            word, code = REJECTS[family][cause.split()[-1]]
            near = self.router.ip4 if family == 4 else self.router.ip6
            self.assertEqual(result["icmp"], {"version": family, "type": 3 if family == 4 else 1, "code": code, "from": near})
        if result["category"] == "local_resource":
            self.assertEqual(result["errno"], result["detail"])
        if cause == "a router drops data on its way there":
            self.assertEqual((result["witness"]["arrived"], result["witness"]["bytes_in"]), (True, 0), result)
        if result["detail"] in ("acked", "unacked"):
            self.assertEqual(result["bytes_acked"], result["bytes_sent"] if result["detail"] == "acked" else 0)
        if "mail filter" in cause:
            self.assertEqual((result["guess"], bytes.fromhex(result["received"])[:4]), ("a mail or FTP server", b"220 "))
        if "no reflector" in cause:
            self.assertTrue(result["one_sided"])
        if "proxy" in cause and result["category"].startswith("payload") and "20 bytes" not in cause:
            self.assertFalse(result["witness"]["arrived"], result)
        if cause == "nginx relays the connection":
            self.assertIn("translated", result["conclusion"])

    def show(self, rows):
        table = collections.defaultdict(dict)
        for protocol, family, category, detail, cause in rows:
            table[category, re.sub(r"\d+", "N", detail) if "=" in detail and "rst" not in detail else detail, cause][
                protocol, family] = True
        print(f"\n{'category':<18}{'detail':<22}{'TCP4 TCP6 UDP4 UDP6':<21} cause", file=sys.stderr)
        for (category, detail, cause), found in sorted(table.items()):
            marks = [
                "yes" if (protocol, family) in found else "n/a" if self.not_applicable(category, protocol) else "-"
                for protocol in ("tcp", "udp") for family in (4, 6)]
            print(f"{category:<18}{detail:<22}{' '.join(f'{mark:<4}' for mark in marks):<21} {cause}", file=sys.stderr)

    @staticmethod
    def not_applicable(category, protocol):
        """A datagram shakes no hands: the vendor says the same."""
        return protocol == "udp" and category.startswith("handshake")

    def check_nothing_is_missing(self, rows):
        """Against what the tool itself says that it can find."""
        known = [json.loads(line) for line in self.client.run(TOOL, "scan", "--categories", "--json").splitlines()]
        self.assertEqual(len({row["category"] for row in known}), 11)
        missing = []
        for row, protocol, family in itertools.product(known, ("tcp", "udp"), (4, 6)):
            if protocol not in row["protocols"]:
                continue
            pattern = row["detail"].replace("=N", r"=\d+").replace("=K", r"=\d+").replace("NAME", "E[A-Z]+")
            if not any(each[:3] == (protocol, family, row["category"]) and re.fullmatch(pattern, each[3]) for each in rows):
                missing.append((protocol, family, row["category"], row["detail"]))
        self.assertEqual(missing, [])
        datagrams = {row["category"] for row in known if "udp" in row["protocols"]}
        self.assertFalse([each for each in datagrams if each.startswith("handshake")])


if __name__ == "__main__":
    unittest.main(verbosity=2)
