# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody is locked out, and what is called protected is."""

import contextlib
import subprocess
import time

import baseline
import wire
from peers import POLICY, Conversation
from step import check, contains, equal, refused, run, sh, status, step, wait_until
from system import UNIT, Since, apt, own_rules, policy, protect, start_again, write_policy
from wire import FAR4, NEAR4, Peer, opens

BAD = POLICY + "rulez: []\n"
SHUT = POLICY.replace("ports: 22 ", "ports: 2222 ")
FALLBACK = "the last policy that was in force"
BOX, INNER, PUBLISHED = "198.18.9.2", 7, 8080


def reachable(what):
    """By the policy before, though another one is on the disk; and it is said."""
    check(opens(22) and not opens(9999, patience=1), f"{what}: the policy of before is not in force")
    contains(status("portreeve", "status")[1], FALLBACK, f"{what}: status")


@step("a bad policy, then restart and upgrade: reachable, and status and event say so", seconds=300)
def bad_policy():
    protect()
    policy(POLICY)
    write_policy(BAD)
    try:
        events = Since()
        run("systemctl", "restart", UNIT)
        reachable("restart")
        contains(events.wait_for("fallback-policy")["portreeve"]["note"], FALLBACK, "the event")
        events = Since()
        said = apt("-o", "Dpkg::Options::=--force-confold", "--reinstall", "install", "/opt/tests/portreeve-next.deb")
        contains(said, "rulez", "what the upgrade says")
        reachable("upgrade")
        events.wait_for("fallback-policy")
    finally:
        policy(POLICY)


@step("a reload that would shut out SSH: refused, and with --confirm taken back", seconds=240)
def shutting_reload():
    protect()
    policy(POLICY)
    talk = Conversation()
    write_policy(SHUT)
    try:
        contains(refused(*wire.SSH, "portreeve reload"), "shut out", "what reload says")
        refused("systemctl", "reload", UNIT)
        check(opens(22), "a refused policy is in force")
        # It may hang as long as nobody gets in.
        trial = subprocess.Popen([*wire.SSH, "portreeve reload --confirm 15"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        wait_until(lambda: not opens(22, patience=1), "the policy on trial is in force", 40)
        wait_until(lambda: opens(22, patience=1), "the policy is taken back", 60)
        trial.kill()
        talk.wait_for_progress()
        return f"{talk.end()['lines']} lines of an ssh session went on meanwhile"
    finally:
        policy(POLICY)


@step("flushed rules: noticed within 10 s")
def flushed():
    protect()
    start_again()
    # The agent has to have seen them.
    wait_until(lambda: "portreeve_rules_complete 1" in metrics(), "the rules are seen", 30)
    events, kept = Since(), {tool: run(f"{tool}-save") for tool in ("iptables", "ip6tables")}
    try:
        for tool in kept:
            # Beside conntrack outgoing packets are taken in the second.
            for table in ("mangle", "security"):
                run(tool, "-t", table, "-F")
        began = time.monotonic()
        note = events.wait_for("invalid-adapter-configuration")["portreeve"]["note"]
        took = time.monotonic() - began
        check(took <= 10, f"noticed after {took:.1f} s")
        contains(note, "no rule gives packets to a queue", "the event")
        contains(run("journalctl", "-b", "--no-pager", "-n", "20", "-u", UNIT), note, "the journal")
        contains(metrics(), "portreeve_rules_complete 0", "the metrics")
        code, said = status("portreeve", "status")
        equal(code, 3, "the status of status")
        contains(said, note, "status")
        return f"after {took:.1f} s"
    finally:
        for tool, text in kept.items():
            run(f"{tool}-restore", input=text)
        protect()


def metrics():
    return status("curl", "-s", "--unix-socket", "/run/portreeve/metrics.sock", "http://localhost/metrics")[1]


@contextlib.contextmanager
def container():
    """A network namespace behind docker0, with a server."""
    sh(f"""
        ip netns add box
        ip link add docker0 type veth peer name eth0 netns box
        ip addr add 198.18.9.1/24 dev docker0
        ip link set docker0 up
        ip -n box addr add {BOX}/24 dev eth0
        ip -n box link set eth0 up
        ip -n box link set lo up
        ip -n box route add default via 198.18.9.1
        sysctl -q net.ipv4.ip_forward=1""")
    server = Peer("echo.py", INNER, within="box")
    try:
        wait_until(lambda: "ready" in server.output(), "the server is ready", 60)
        yield
    finally:
        server.kill()
        sh("""
            sysctl -q net.ipv4.ip_forward=0
            iptables -t nat -F; iptables -t nat -X; nft delete table ip nat || true
            ip netns del box; ip link del docker0 2>/dev/null || true""")


# As dockerd has them for `-p 8080:7`, and of a cluster the address of a service.
TRANSLATION = f"""
    iptables -t nat -N DOCKER
    iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
    iptables -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
    iptables -t nat -A POSTROUTING -s 198.18.9.0/24 ! -o docker0 -j MASQUERADE
    iptables -t nat -A DOCKER ! -i docker0 -p tcp --dport {PUBLISHED} -j DNAT --to-destination {BOX}:{INNER}
    iptables -t nat -A OUTPUT -d 198.18.0.96 -p tcp --dport 80 -j DNAT --to-destination {BOX}:{INNER}
"""
CONTAINERS = POLICY + f"""
  - {{ name: Published, action: allow, direction: incoming, protocol: tcp, destination: {{ addresses: {BOX}, ports: {INNER} }} }}
interfaces: {{ ignore: [lo], inside: ["docker*"] }}
engine: {{ timeouts: {{ cold-start: 0s, boot-start: 0s }} }}
"""


@step("Docker's rules after ours, and nat OUTPUT, with the cold start off", seconds=240)
def translation():
    policy(CONTAINERS)
    sh("portreeve iptables --remove; conntrack -F 2>/dev/null || true; portreeve iptables --apply --hook prerouting")
    try:
        with container():
            sh(TRANSLATION)
            events = Since()
            check(opens(22), "ssh")
            code, said = status("portreeve", "iptables", "--check")
            equal(code, 1, "the status of --check")
            contains(said, "they take packets at PREROUTING", "--check")
            equal(status("portreeve", "status")[0], 3, "the status of status")
            events.wait_for("invalid-adapter-configuration")
            contains(run("portreeve", "iptables", "--apply"), "taken at input", "--apply")
            run("portreeve", "iptables", "--check")
            events = Since()
            check(echoes("far", NEAR4, PUBLISHED), "a published port, from another machine")
            check(echoes(None, NEAR4, PUBLISHED), "a published port, from the host itself")
            check(echoes(None, "198.18.0.96", 80), "the address of a service, from the host itself")
            outside = Peer("echo.py", INNER)
            wait_until(lambda: "ready" in outside.output(), "the other machine's server is ready", 60)
            check(echoes("box", FAR4, INNER), "a container's own connection")
            check(echoes(None, FAR4, INNER), "the host's own connection")
            events.none(besides=("invalid-adapter-configuration",))
    finally:
        policy(POLICY)
        sh("portreeve iptables --remove; conntrack -F 2>/dev/null || true; portreeve iptables --apply")
        check(own_rules(), "no rules")


TALK = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as peer:
    for turn in range(3):
        peer.sendall(b"%d" % turn)
        assert peer.recv(10) == b"%d" % turn
        time.sleep(0.2)
"""


def echoes(namespace, address, port):
    """Whether some exchanges over one connection get through."""
    within = ["ip", "netns", "exec", namespace] if namespace else []
    return status(*within, "python3", "-c", TALK, address, port)[0] == 0


@step("a bad policy, then reboot", reboots=True)
def before_reboot():
    policy(POLICY)
    protect()
    sh("portreeve iptables --save")
    write_policy(BAD)


@step("after that reboot: reachable, and status says so", seconds=240)
def after_reboot():
    wire.connect()
    sh(baseline.OTHERS)
    check(own_rules(), "no rules after the reboot")
    reachable("reboot")
    policy(POLICY)
    check(FALLBACK not in status("portreeve", "status")[1], "a good policy is in force and status does not say so")
    run("rm", "-f", "/etc/portreeve/rules.v4", "/etc/portreeve/rules.v6")
