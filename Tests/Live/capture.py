# SPDX-License-Identifier: GPL-3.0-or-later
"""capture.py INTERFACE FILE: writes what passes an interface into a pcap file until SIGTERM.

tcpdump insists on changing to another user, which a user namespace with one user does not let it.
"""

import signal
import socket
import struct
import sys
import time

ETH_P_ALL = 3
SNAP_LENGTH = 262144
MAGIC, ETHERNET = 0xA1B2C3D4, 1


def main(interface, path):
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
    link.bind((interface, ETH_P_ALL))
    link.settimeout(0.1)
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", MAGIC, 2, 4, 0, 0, SNAP_LENGTH, ETHERNET))
        print("capturing", flush=True)
        while True:
            try:
                frame = link.recv(SNAP_LENGTH)
            except TimeoutError:
                # Silence after the signal: everything that had come is written.
                if ended:
                    return
                continue
            now = time.time()
            file.write(struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(frame), len(frame)) + frame)


main(sys.argv[1], sys.argv[2])
