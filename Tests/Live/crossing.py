# SPDX-License-Identifier: GPL-3.0-or-later
"""crossing.py ONE MAC OTHER MAC [SEED]: a bad path between two interfaces of this machine, which forwards nothing itself. Of what comes in at one
for the machine itself, some is lost, some doubled, some overtaken; it leaves by the other to the neighbour with that MAC address.

Only frames of real size come through: the neighbours must do without segmentation and checksum offload.
"""

import heapq
import random
import select
import socket
import sys
import time

PACKET_IGNORE_OUTGOING, SOL_PACKET, ETH_P_ALL = 23, 263, 3
KINDS = (b"\x08\x00", b"\x86\xdd")
LOST, DOUBLED, OVERTAKEN = 0.02, 0.01, 0.03
# Seconds.
DETOUR = 0.015


def opened(interface):
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    one.bind((interface, ETH_P_ALL))
    one.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    one.setblocking(False)
    return one


def own_address(interface):
    with open(f"/sys/class/net/{interface}/address") as file:
        return bytes.fromhex(file.read().strip().replace(":", ""))


def is_through(frame, own):
    """Whether it goes further: to this machine's link address, and no neighbour discovery."""
    if frame[:6] != own or frame[12:14] not in KINDS:
        return False
    return not (frame[12:14] == KINDS[1] and frame[20] == 58 and 133 <= frame[54] <= 137)


def main():
    one, one_mac, other, other_mac = sys.argv[1:5]
    chance = random.Random(sys.argv[5] if len(sys.argv) > 5 else 1)
    sockets = {name: opened(name) for name in (one, other)}
    own = {name: own_address(name) for name in sockets}
    ways = {
        sockets[one]: (own[one], sockets[other], bytes.fromhex(other_mac.replace(":", "")) + own[other]),
        sockets[other]: (own[other], sockets[one], bytes.fromhex(one_mac.replace(":", "")) + own[one])}
    waiting, order = [], 0
    print("crossing", flush=True)
    while True:
        left = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        for source in select.select(list(ways), [], [], left)[0]:
            try:
                frame = source.recv(2048)
            except BlockingIOError:
                continue
            mine, target, header = ways[source]
            if not is_through(frame, mine) or chance.random() < LOST:
                continue
            for _ in range(2 if chance.random() < DOUBLED else 1):
                detour = chance.random() * DETOUR if chance.random() < OVERTAKEN else 0
                order += 1
                heapq.heappush(waiting, (time.monotonic() + detour, order, target, header + frame[12:]))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, target, frame = heapq.heappop(waiting)
            try:
                target.send(frame)
            except OSError:
                pass


if __name__ == "__main__":
    main()
