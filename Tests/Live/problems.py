# SPDX-License-Identifier: GPL-3.0-or-later
"""problems.py INTERFACE PORT: a router that answers whatever goes to PORT with ICMP "parameter problem" (RFC 792, RFC 4443)."""

import logging
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.all import ICMP, IP, TCP, UDP, Ether, IPv6, Raw, conf, sendp, sniff
from scapy.layers.inet6 import ICMPv6ParamProblem

conf.verb = 0
interface, port = sys.argv[1], int(sys.argv[2])


def answer(frame):
    transport = frame.getlayer(TCP) or frame.getlayer(UDP)
    if transport is None or transport.dport != port:
        return
    back = Ether(src=frame.dst, dst=frame.src)
    if IPv6 in frame:
        quoted = bytes(frame[IPv6])
        reply = back / IPv6(src=sys.argv[4], dst=frame[IPv6].src) / ICMPv6ParamProblem(code=0, ptr=0) / Raw(quoted)
    else:
        quoted = bytes(frame[IP])[:64]
        reply = back / IP(src=sys.argv[3], dst=frame[IP].src) / ICMP(type=12, code=0, ptr=0) / Raw(quoted)
    sendp(reply, iface=interface)


sniff(iface=interface, prn=answer, store=False, started_callback=lambda: print("ready", flush=True),
      lfilter=lambda frame: frame.haslayer(TCP) or frame.haslayer(UDP))
