# SPDX-License-Identifier: GPL-3.0-or-later
"""echo.py PORT: gives back what it gets over TCP and UDP, until its input ends."""

import selectors
import socket
import sys

SO_RCVBUFFORCE = 33
port = int(sys.argv[1])
selector = selectors.DefaultSelector()
server, datagrams = socket.create_server(("", port), backlog=256), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
# All that waited during a pause comes at once.
datagrams.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
datagrams.bind(("", port))
for one in (server, datagrams, sys.stdin):
    selector.register(one, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in selector.select():
        if key.fileobj is sys.stdin:
            sys.exit()
        elif key.fileobj is server:
            selector.register(server.accept()[0], selectors.EVENT_READ)
        elif key.fileobj is datagrams:
            datagrams.sendto(*datagrams.recvfrom(2048))
        else:
            data = key.fileobj.recv(65536)
            if data:
                key.fileobj.sendall(data)
            else:
                selector.unregister(key.fileobj)
                key.fileobj.close()
