# SPDX-License-Identifier: GPL-3.0-or-later
"""Drops with their reasons, and policies that change."""

import json
import os
import socket
import subprocess

import readme
from step import check, contains, equal, refused, run, sh, status, step, wait_until
from system import POLICY, UNIT, Since, policy, protect, write_policy
from wire import FAR, FAR4, NEAR4, NEAR6, far, opens

# Raw segments, as scanners send them.
SEGMENT = """
import socket, struct, sys
source, target, port, flags = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def total(data): return sum(struct.unpack(f'!{len(data) // 2}H', data))
tcp = struct.pack('!HHIIBBHHH', 40000, port, 1, 0, 5 << 4, flags, 1024, 0, 0)
pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack('!BBH', 0, 6, len(tcp))
check = total(pseudo + tcp)
while check >> 16: check = (check & 0xffff) + (check >> 16)
tcp = tcp[:16] + struct.pack('!H', ~check & 0xffff) + tcp[18:]
socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP).sendto(tcp, (target, 0))
"""


def send(flags, port=22):
    far("/usr/bin/python3", "-c", SEGMENT, FAR4, NEAR4, port, flags)


def dropped():
    """Packets that the agent has dropped."""
    return sum(queue["dropped"] for queue in json.loads(run("portreeve", "status", "--json"))["queues"])


@step("README: protected; what the policy admits passes, the rest is dropped with its reason")
def drops():
    protect()
    events, before = Since(), dropped()
    check(opens(22) and opens(22, NEAR6), "ssh over IPv4 and IPv6")
    for address in (NEAR4, NEAR6):
        far("ping", "-c2", "-i0.2", "-W5", address)
    equal(events.events(), [], "events of admitted traffic")
    for address in (NEAR4, NEAR6):
        check(not opens(9999, address, 1), f"port 9999 of {address} answered")
    send(0)
    send(0x08)
    far("/usr/bin/python3", "-c", f"import socket; socket.socket(2, 2).sendto(b'x', ('{NEAR4}', 53))")
    # No flag, and a flag without ACK: each is nonsense by itself. An ACK alone would be taken over in the cold start.
    for reason, port in (("invalid-flags", 22), ("out-of-allowed-policy", 53)):
        events.wait_for(reason, src_ip=FAR4, dest_port=port)
    refusal = events.wait_for("out-of-allowed-policy", dest_port=9999, src_ip=FAR4)
    equal((refusal["portreeve"]["id"], refusal["proto"], refusal["in_iface"]), (123, "TCP", "wan0"), "the event")
    events.wait_for("out-of-allowed-policy", dest_port=9999, dest_ip=NEAR6)
    page = readme.follow("protect")
    contains(page, "9999", "what README's commands print")
    contains(page, "out-of-allowed-policy", "what README's commands print")
    equal(dropped() - before, events.drops(), "packets dropped by the queues, and in the events")
    equal(events.reasons()["null-scan"], 1, "notices of a segment without a flag")
    equal(events.reasons()["invalid-flags"], 2, "segments that are nonsense by themselves")
    return ", ".join(f"{reason} {count}" for reason, count in sorted(events.reasons().items()))


@step("README: from a dropped packet to the rule that admits it, diff and reload")
def lets_in():
    protect()
    drop_ins = os.path.join(os.path.dirname(POLICY), "policy.d")
    change, suggested = os.path.join(drop_ins, "50-let.yaml"), os.path.join(drop_ins, "60-suggested.yaml")
    server = socket.create_server(("", 8081))
    try:
        events = Since()
        # Until the agent knows that somebody listens there, which takes it a second.
        wait_until(lambda: not opens(8081, patience=1) and "out-of-allowed-policy-open-port" in events.reasons(), "8081 is refused", 30)
        contains(readme.follow("dropped", (2,)), "8081", "what explain says of the last drop")
        page = readme.follow("change", (0, 2))
        contains(page, "ports: 8081", "the rule that explain proposes")
        check(opens(8081), "the rule that explain proposes does not let in")
        told = events.wait_for("policy-changed")["portreeve"]["note"]
        contains(told, "more permissive", "the event of the reload")
        contains(told, "root (user 0", "the event of the reload")
        journal = run("journalctl", "-b", "--no-pager", "-n", "30", "-u", UNIT)
        contains(journal, told, "the journal")
        os.remove(change)
        run("systemctl", "reload", UNIT)
        contains(readme.follow("suggest"), "8081", "the rules that are suggested")
        run("portreeve", "reload")
        check(opens(8081), "the rule that is suggested does not let in")
    finally:
        server.close()
        for path in (change, suggested):
            if os.path.exists(path):
                os.remove(path)
        run("systemctl", "reload", UNIT)


# What the page leaves to whoever has an authority: two certificates of one, and the name of the receiver.
CERTIFICATES = f"""
mkdir -p /etc/ssl/portreeve
cd /etc/ssl/portreeve
new() {{ openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3 "$@" 2> /dev/null; }}
new -keyout ca.key -out ca.pem -subj /CN=authority
new -CA ca.pem -CAkey ca.key -keyout receiver.key -out receiver.pem -subj /CN=receiver -addext subjectAltName=DNS:logs.example.org
new -CA ca.pem -CAkey ca.key -keyout host.key -out host.pem -subj /CN=host
chown portreeve host.key
grep -q logs.example.org /etc/hosts || echo {FAR4} logs.example.org >> /etc/hosts
"""
RECEIVED = "/var/log/portreeve-events.jsonl"


@step("README: events to rsyslog on the other machine, over TLS with certificates of both")
def syslog():
    protect()
    sender = os.path.join(os.path.dirname(POLICY), "policy.d", "syslog.yaml")
    sh(CERTIFICATES)
    configuration = readme.put("rsyslog", "/etc/rsyslog.d/portreeve.conf")
    receiver = subprocess.Popen([*FAR, "rsyslogd", "-n", "-i", "/run/rsyslogd-far.pid", "-f", configuration])
    try:
        wait_until(lambda: ":6514" in far("ss", "-Hltn"), "rsyslogd listens", 60)
        readme.put("rsyslog-sender", sender)
        run("portreeve", "check")
        run("portreeve", "reload")
        check(not opens(9998, patience=1), "port 9998 answered")
        wait_until(lambda: 9998 in received_ports(), "the event arrives", 60)
        check("no events reach" not in status("portreeve", "status")[1], "portreeve status says that no events arrive")
    finally:
        receiver.terminate()
        receiver.wait(30)
        sh(f"rm -rf {sender} {configuration} /etc/ssl/portreeve; sed -i /logs.example.org/d /etc/hosts")
        run("systemctl", "reload", UNIT)


def received_ports():
    if not os.path.exists(RECEIVED):
        return set()
    with open(RECEIVED) as file:
        return {json.loads(line).get("dest_port") for line in file if line.endswith("\n")}


BAD = "version: 1\nrules:\n  - { name: Broken, action: permit, direction: incoming }\n"


@step("reload: a good policy is in force at once, a bad one fails visibly and changes nothing")
def reloads():
    protect()
    good = open(POLICY).read()
    web = "\n  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 8080 } }\n"
    server = socket.create_server(("", 8080))
    check(not opens(8080, patience=1), "port 8080 was open before")
    policy(good.replace("\nrules:", "\nrules:" + web, 1))
    check(opens(8080), "the new policy is not in force")
    write_policy(BAD)
    refused("systemctl", "reload", UNIT)
    journal = run("journalctl", "-b", "--no-pager", "-n", "30", "-u", UNIT)
    contains(journal, "policy.yaml:3:", "the journal")
    contains(run("portreeve", "status"), "refused", "portreeve status")
    check(opens(8080), "the old policy is not in force any more")
    equal(shown_result(), ("active", "running"), "state of the service")
    policy(good)
    check(not opens(8080, patience=1), "the policy without the rule is not in force")
    server.close()


def shown_result():
    text = run("systemctl", "show", UNIT, "-p", "ActiveState", "-p", "SubState")
    facts = dict(line.split("=", 1) for line in text.split())
    return facts["ActiveState"], facts["SubState"]
