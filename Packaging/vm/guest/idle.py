# SPDX-License-Identifier: GPL-3.0-or-later
"""idle.py ADDRESS PORT COUNT: opens connections to an echo server, lets them wait until its input ends, then uses each.

Prints `ready`, and at the end how many still work and why the others do not.
"""

import collections
import socket
import sys

address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def use(connection):
    """Says hello; what became of it."""
    try:
        connection.sendall(b"hello\n")
        return "alive" if connection.recv(100) == b"hello\n" else "short"
    except OSError as error:
        return type(error).__name__


connections = [socket.create_connection((address, port), 20) for _ in range(count)]
assert all(use(connection) == "alive" for connection in connections)
print("ready", flush=True)
sys.stdin.read()
print(*(f"{outcome} {number}" for outcome, number in collections.Counter(map(use, connections)).items()))
