# SPDX-License-Identifier: GPL-3.0-or-later
"""tampering.py IN OUT: a device in the path that forges, by port, what neither end has sent. The router's own rules drop what it is about.

1117 resets both ends at the payload; 1118 resets the client at the answer; 1119 gives the host another payload, and the client an answer
of its own; 1120 gives the host another datagram.
"""

import logging
import sys
import threading

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.all import IP, TCP, UDP, IPv6, Raw, conf, send, sniff

conf.verb = 0


def network(packet, back=False):
    kind = IPv6 if IPv6 in packet else IP
    source, destination = packet[kind].src, packet[kind].dst
    return kind(src=destination, dst=source) if back else kind(src=source, dst=destination)


def changed(payload):
    return payload[:20] + bytes([payload[20] ^ 1]) + payload[21:]


def there(frame):
    """What the client sends."""
    transport = frame.getlayer(TCP) or frame.getlayer(UDP)
    payload = bytes(transport.payload) if transport else b""
    # Ethernet fills short frames up.
    if len(payload) < 40:
        return
    ends = {"sport": transport.sport, "dport": transport.dport}
    back = {"sport": transport.dport, "dport": transport.sport}
    if transport.dport == 1120:
        send(network(frame) / UDP(**ends) / Raw(changed(payload)))
    elif transport.dport == 1117:
        send(network(frame, True) / TCP(**back, flags="R", seq=transport.ack))
        send(network(frame) / TCP(**ends, flags="R", seq=transport.seq))
    elif transport.dport == 1119:
        send(network(frame, True) / TCP(**back, flags="PA", seq=transport.ack, ack=transport.seq) / Raw(b"554 not here\r\n"))
        send(network(frame) / TCP(**ends, flags="PA", seq=transport.seq, ack=transport.ack) / Raw(changed(payload)))


def here(frame):
    """What the host sends."""
    segment = frame[TCP]
    if len(bytes(segment.payload)) >= 40:
        send(network(frame) / TCP(sport=segment.sport, dport=segment.dport, flags="R", seq=segment.seq))


listening = threading.Semaphore(0)
for interface, work, words in (
        (sys.argv[1], there, "tcp dst portrange 1117-1119 or udp dst port 1120"), (sys.argv[2], here, "tcp src port 1118")):
    threading.Thread(target=sniff, kwargs={
        "iface": interface, "prn": work, "store": False, "filter": words, "started_callback": listening.release}).start()
for _ in range(2):
    listening.acquire()
print("ready", flush=True)
