# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the checklist of evasions about how connections open, close and open again. Both ends are real stacks, whose SYNs and
answers are held back while something else comes in their place."""

import socket

from checklist import row
from lab import wait_until
from scapy.layers.inet import IP, TCP
from weaving import PORT, SYN, SYN_ACK, Ends, end

OLDER, NEWER = -(1 << 20), 1 << 20
LARGE = 8 << 20


@row("E01", scene=Ends)
def an_answer_to_an_older_syn(s):
    with s.held(s.client, "OUTPUT", *SYN_ACK):
        s.opens(s.host)
        syn = s.seen("S")
        s.judge(s.segment("SA", 1_000, syn.seq + OLDER), "invalid-ack")
    s.completes()


@row("E02", scene=Ends)
def a_challenge_of_an_older_connection(s):
    with s.held(s.client, "PREROUTING", *SYN):
        s.opens(s.host)
        syn = s.seen("S")
        s.judge(s.segment("A", 1_000, syn.seq + OLDER))
        s.test.assertEqual(s.seen("R").seq, (syn.seq + OLDER) % (1 << 32))
    s.completes()


@row("E04", scene=Ends, ends=True)
def a_reset_that_is_not_exact_and_one_of_nobody(s):
    """The first changes nothing, as at the host; the exact one ends it; what the other side still says then is quiet."""
    s.opens(s.client)
    s.completes()
    s.ends["client"].shutdown(1)
    s.becomes("CLOSE-WAIT")
    fin = s.seen("FA", of="client")
    s.judge(s.segment("RA", fin.seq + 2, fin.ack))
    s.compare()
    s.judge(s.segment("RA", fin.seq + 1, fin.ack))
    s.compare()
    s.test.assertEqual(s.agents(), "CLOSED")
    s.test.originator.send(IP(src=s.host.ip4, dst=s.address) / TCP(sport=PORT, dport=s.ports[0], flags="R", seq=fin.ack))
    s.judge(s.segment("RA", fin.seq + 1, fin.ack))


@row("E07", scene=Ends)
def a_syn_again_without_options_that_the_host_takes(s):
    """It answers without a scale of windows, so neither end has one."""
    with s.held(s.host, "INPUT", *SYN):
        s.opens(s.client)
        syn = s.seen("S", of="client")
        s.client.run("iptables", "-w", "-t", "raw", "-I", "OUTPUT", *SYN, "-j", "DROP")
    s.judge(s.segment("S", syn.seq, window=syn.window))
    s.client.run("iptables", "-w", "-t", "raw", "-D", "OUTPUT", *SYN, "-j", "DROP")
    s.completes()
    s.test.assertNotIn("wscale", s.host.run("ss", "-Htin", f"sport = :{PORT}"))
    s.goes_on(LARGE)


@row("E07", scene=Ends)
def a_syn_again_without_options_that_the_host_has_had_before(s):
    """It has answered the first, and answers as before: both ends have a scale."""
    with s.held(s.client, "PREROUTING", *SYN_ACK):
        s.opens(s.client)
        syn = s.seen("S", of="client")
        s.seen("SA")
        s.judge(s.segment("S", syn.seq, window=syn.window))
    s.completes()
    s.test.assertIn("wscale", s.host.run("ss", "-Htin", f"sport = :{PORT}"))
    s.goes_on(LARGE)


def close_first(s, first):
    """Both ends close; this one waits then."""
    other = "client" if first == "host" else "host"
    s.ends[first].close()
    s.test.assertEqual(s.ends[other].recv(1), b"")
    s.ends[other].close()


@row("E11", scene=Ends)
def a_syn_to_who_waits_after_the_close(s):
    s.opens(s.client)
    s.completes()
    port = s.ports[0]
    close_first(s, "host")
    s.becomes("TIME-WAIT")
    fin = s.seen("FA", of="client")
    s.judge(s.segment("S", fin.seq + OLDER))
    s.opens(s.client, port)
    s.completes()


@row("E11", scene=Ends)
def a_syn_of_the_other_side_to_who_waits_after_the_close(s):
    s.opens(s.client)
    s.completes()
    port = s.ports[0]
    close_first(s, "client")
    wait_until(lambda: s.hosts() is None, "the host has forgotten it")
    s.listener = s.listen(s.client, port)
    s.caller = s.connect(s.host, PORT, to=port)
    s.completes()


@row("E12", scene=Ends, ends=True)
def a_syn_before_the_last_acknowledgement(s):
    s.opens(s.client)
    s.completes()
    with s.held(s.host, "INPUT", "-p", "tcp", "--tcp-flags", "FIN", "FIN"):
        s.ends["host"].close()
        s.test.assertEqual(s.ends["client"].recv(1), b"")
        s.ends["client"].close()
        fin = s.seen("FA", of="client")
        s.judge(s.segment("S", fin.seq + NEWER))
        s.seen("A")
        # The FIN that is held may carry the acknowledgement of the host's.
        s.test.assertIn(s.hosts(), ("FIN-WAIT-1", "FIN-WAIT-2"))
        s.test.assertEqual(s.agents(), "LAST-ACK")
    s.becomes("TIME-WAIT")
    s.compare()
    s.finds()


@row("E13", scene=Ends)
def both_open_at_once(s):
    with s.held(s.client, "PREROUTING", *SYN), s.held(s.host, "INPUT", *SYN):
        ends = s.connect(s.client, 7070), s.connect(s.host, PORT, to=7070)
        s.seen("S", of="client")
        s.seen("S")
    s.ends = dict(zip(("client", "host"), ends))
    for one in ends:
        one.settimeout(30)
    wait_until(lambda: s.hosts() == "ESTAB", "it is open")
    s.goes_on()


def split(s, order, reasons=((), (), ())):
    """What comes in the place of the client's SYN+ACK, which is not sent: its stack hears nothing."""
    with s.held(s.client, "PREROUTING", "-p", "tcp", "--sport", PORT + 1):
        one = s.connect(s.host, PORT + 1)
        syn = s.seen("S")
        for flags, reason in zip(order, reasons):
            s.judge(s.segment(flags, 1_000 + ("S" not in flags), syn.seq + 1), *reason)
        s.compare()
        s.test.assertEqual(s.hosts(), "SYN-SENT" if any(reasons) else "ESTAB")
        end(one)


FOUR, FIVE = ("S", "A"), ("A", "S", "A")


@row("E13", scene=Ends, ends=True)
def an_answer_in_two_parts(s):
    """In four packets it is what both ends say that open at once, when the opener's SYN is lost behind the agent."""
    split(s, FOUR)
    split(s, FIVE[:2], ((), ("invalid-flags",)))


@row("E13", scene=Ends, ends=True)
def an_answer_in_two_parts_where_that_is_allowed(s):
    with s.test.under("engine: { anti-evasion: { split-handshake: allow }, timeouts: { cold-start: 0s, boot-start: 0s } }\n"):
        split(s, FIVE)


@row("E20", scene=Ends)
def data_on_a_syn_of_fast_open(s):
    """The first SYN asks for a cookie, the second brings it, and data."""
    for machine in (s.client, s.host):
        machine.sysctl(net__ipv4__tcp_fastopen=3)
    listener = s.listen(s.host)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
    for text, carried in ((b"first", b""), (b"again", b"again")):
        one = s.socket(s.client)
        s.ports = one.getsockname()[1], PORT
        one.sendto(text, socket.MSG_FASTOPEN, (s.host.ip4, PORT))
        s.test.assertEqual(bytes(s.seen("S", of="client").payload), carried)
        other = listener.accept()[0]
        s.sockets.append(other)
        s.test.assertEqual(other.recv(100), text)
    s.ends = {"client": one, "host": other}
    for side in s.ends.values():
        side.settimeout(30)


@row("E21", scene=Ends)
def a_syn_ack_before_any_syn(s):
    s.ports = 7171, PORT
    s.judge(s.segment("SA", 1_000, 2_000), "out-of-connection")
    s.test.assertEqual(s.agents(), None)
    s.opens(s.client, 7171)
    s.completes()


@row("E34", scene=Ends)
def a_forged_acknowledgement_while_older_connections_are_admitted(s):
    rules = f"""
rules:
  - {{ name: Open, action: allow, direction: incoming, protocol: tcp, destination: {{ ports: {PORT} }} }}
  - {{ name: Out, action: allow, direction: outgoing, protocol: tcp, destination: {{ ports: {PORT} }} }}
engine: {{ anti-evasion: strict, timeouts: {{ cold-start: 1h, boot-start: 0s }} }}
"""
    with s.test.under(rules):
        s.ports = 7272, 6000
        s.judge(s.segment("A", 1_000, 2_000), "out-of-allowed-policy")
        s.ports = 7272, PORT
        s.inject(s.segment("A", 1_000, 2_000))
        s.opens(s.client, 7272)
        s.completes()


@row("E35", scene=Ends)
def no_room_for_one_more(s):
    s.opens(s.client)
    s.completes()
    with s.test.under("engine: { anti-evasion: strict, limits: { tcp: 1 }, timeouts: { cold-start: 0s, boot-start: 0s } }\n"):
        ports, s.ports = s.ports, (7373, PORT)
        s.judge(s.segment("S", 1_000), "max-tcp-connections")
        s.ports = ports
        s.goes_on()
        s.compare()


@row("E36", scene=Ends)
def the_same_port_at_both_ends(s):
    s.opens(s.client, PORT)
    s.completes()
    last = s.segments.next(lambda p: TCP in p and p.src == s.address)[TCP]
    s.judge(s.segment("R", last.seq + (1 << 30)), "invalid-sequence")
    s.compare()
