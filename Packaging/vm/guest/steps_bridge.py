# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine as a transparent firewall between two others."""

import contextlib
import json
import sys

import peers
from step import check, contains, equal, run, sh, status, step, wait_until
from system import UNIT, Since, policy, protect, write_policy
from wire import OPEN, Peer

LEFT, RIGHT = "198.18.9.1", "198.18.9.2"
POLICY = f"""
version: 1
queue: {{ family: bridge }}
interfaces: {{ inside: [left] }}
rules:
  - {{ name: ARP, action: force-allow, direction: incoming, frame: arp }}
  - {{ name: Echo, action: allow, direction: incoming, protocol: tcp, destination: {{ ports: {peers.ECHO_PORT} }} }}
"""
NO_ARP = POLICY.replace("force-allow, direction: incoming, frame: arp", "deny, direction: incoming, frame: arp")
BUILD = f"""
ip link add bridge0 type bridge; ip link set bridge0 up
for side in left right; do
    ip netns add $side
    ip link add $side type veth peer name eth0 netns $side
    ip link set $side master bridge0; ip link set $side up
    ip -n $side link set eth0 up
    ip -n $side link add link eth0 name eth0.5 type vlan id 5
    ip -n $side link set eth0.5 up
done
ip -n left addr add {LEFT}/24 dev eth0; ip -n right addr add {RIGHT}/24 dev eth0
ip -n left addr add 198.18.10.1/24 dev eth0.5; ip -n right addr add 198.18.10.2/24 dev eth0.5
"""
REMOVE = "ip netns del left; ip netns del right; ip link del bridge0"


@contextlib.contextmanager
def bridge():
    """The bridge between two machines, and the agent for it."""
    sh("portreeve iptables --remove; modprobe 8021q")
    sh(BUILD)
    try:
        run("systemctl", "restart", UNIT)
        run("portreeve", "iptables", "--apply")
        yield
    finally:
        status("portreeve", "iptables", "--remove")
        sh(REMOVE)
        write_policy(peers.POLICY)
        run("systemctl", "restart", UNIT)
        protect()


def table():
    """As nft lists it; empty where there is none."""
    code, listing = status("nft", "list", "table", "bridge", "portreeve")
    return "" if code else listing


def on(side, *command):
    return status("ip", "netns", "exec", side, *command)


def opens(address, port, patience=3):
    return on("right", sys.executable, "-c", OPEN, address, port, patience)[0] == 0


def mac(side):
    return json.loads(run("ip", "-n", side, "-j", "link", "show", "eth0"))[0]["address"]


@step("bridge: frames between two machines are judged, with ARP, VLAN and both MAC addresses", seconds=240)
def frames():
    write_policy(POLICY)
    run("portreeve", "check")
    with bridge():
        events = Since()
        contains(run("nft", "list", "ruleset"), "queue", "nftables")
        wait_until(lambda: on("left", "ping", "-c1", "-W2", RIGHT)[0] == 0, "a ping to the outside is answered", 30)
        server = Peer("echo.py", peers.ECHO_PORT, within="left")
        wait_until(lambda: "ready" in server.output(), "the server on the inside listens")
        check(opens(LEFT, peers.ECHO_PORT), "the admitted port, from the outside")
        equal(events.reasons(), {}, "events of admitted frames")
        check(not opens(LEFT, 9999, 1), "port 9999 answered from the inside")
        refusal = json.dumps(events.wait_for("out-of-allowed-policy", dest_port=9999)).lower()
        for side in ("left", "right"):
            contains(refusal, mac(side), "the event")
        check(not opens("198.18.10.1", 9998, 1), "port 9998 answered in VLAN 5")
        equal(events.wait_for("out-of-allowed-policy", dest_port=9998).get("vlan"), [5], "the VLAN of the event")
        policy(NO_ARP)
        sh("ip -n right neigh flush all")
        check(on("right", "ping", "-c1", "-W2", LEFT)[0] != 0, "a ping was answered without ARP")
        arp = [event for event in events.events() if event["frame"]["type"] == "ARP"]
        check(arp, f"no event of a frame with ARP: {events.reasons()}")
        return ", ".join(f"{reason} {count}" for reason, count in sorted(events.reasons().items()))


@step("bridge: unconfirmed the table goes by itself; kept and saved it comes back", seconds=240)
def lasting():
    write_policy(POLICY)
    with bridge():
        listing = table()
        contains(listing, "queue", "the table")
        run("portreeve", "iptables", "--remove")
        equal(table(), "", "the table after --remove")
        run("portreeve", "iptables", "--apply", "--confirm", 5)
        wait_until(lambda: not table(), "the table goes by itself", 60)
        run("portreeve", "iptables", "--apply", "--confirm", 120)
        run("portreeve", "iptables", "--keep")
        run("portreeve", "iptables", "--save")
        run("nft", "delete", "table", "bridge", "portreeve")
        run("systemctl", "restart", "portreeve-rules")
        equal(table(), listing, "the table as at boot")
