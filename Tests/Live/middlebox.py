# SPDX-License-Identifier: GPL-3.0-or-later
"""middlebox.py HOST4 HOST6 PORT:BEHAVIOUR...: what answers in the place of a host, on a router that redirects to it.

What goes to PORT of the host arrives here at PORT + 10,000, over TCP and UDP, IPv4 and IPv6; where a behaviour relays, it asks
the host itself.
"""

import socket
import struct
import sys
import threading
import time

SHIFT = 10_000
BANNER = b"220 mail.example ESMTP\r\n"


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def finish(connection):
    """The end, without a reset for what was not read."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass
    connection.close()


def relayed(upstream, request):
    """The host's answer."""
    with socket.create_connection(upstream, 5) as host:
        host.sendall(request)
        answer = b""
        while part := host.recv(65536):
            answer += part
    return answer


class Streams:
    """Behaviours over TCP."""

    old = {}

    def swallow(self, connection, upstream):
        while connection.recv(65536):
            pass

    def stuck(self, connection, upstream):
        time.sleep(20)

    def stuck_then_reset(self, connection, upstream):
        time.sleep(0.5)
        reset(connection)

    def fin(self, connection, upstream):
        finish(connection)

    def fin_after_request(self, connection, upstream):
        connection.recv(65536)
        finish(connection)

    def reset_after_request(self, connection, upstream):
        connection.recv(65536)
        reset(connection)

    def part_fin(self, connection, upstream):
        connection.sendall(relayed(upstream, connection.recv(65536))[:20])
        finish(connection)

    def part_reset(self, connection, upstream):
        connection.sendall(relayed(upstream, connection.recv(65536))[:20])
        time.sleep(0.2)
        reset(connection)

    def part_hold(self, connection, upstream):
        connection.sendall(relayed(upstream, connection.recv(65536))[:20])
        self.swallow(connection, upstream)

    def alter(self, connection, upstream):
        connection.sendall(altered(relayed(upstream, connection.recv(65536))))
        finish(connection)

    def extra(self, connection, upstream):
        connection.sendall(relayed(upstream, connection.recv(65536)) + b"!")
        finish(connection)

    def echo(self, connection, upstream):
        connection.sendall(connection.recv(65536))
        finish(connection)

    def banner(self, connection, upstream):
        connection.sendall(BANNER)
        self.swallow(connection, upstream)

    def replay(self, connection, upstream):
        """The first answer that it saw, for ever."""
        request = connection.recv(65536)
        if upstream not in self.old:
            self.old[upstream] = relayed(upstream, request)
        connection.sendall(self.old[upstream])
        finish(connection)

    def replay_request(self, connection, upstream):
        """Asks the host twice, and gives its second answer."""
        request = connection.recv(65536)
        relayed(upstream, request)
        connection.sendall(relayed(upstream, request))
        finish(connection)


def altered(answer):
    return answer[:40] + bytes([answer[40] ^ 1]) + answer[41:]


class Datagrams:
    """Behaviours over UDP: what goes back to where a datagram came from."""

    def __init__(self, server, upstream):
        self.server, self.upstream = server, upstream

    def relayed(self, request):
        with socket.socket(self.server.family, socket.SOCK_DGRAM) as host:
            host.settimeout(2)
            host.sendto(request, self.upstream)
            return host.recv(65536)

    def swallow(self, request, peer):
        pass

    def alter(self, request, peer):
        self.server.sendto(altered(self.relayed(request)), peer)

    def echo(self, request, peer):
        self.server.sendto(request, peer)

    def banner(self, request, peer):
        self.server.sendto(BANNER, peer)

    def elsewhere(self, request, peer):
        """The right answer, from another port."""
        with socket.socket(self.server.family, socket.SOCK_DGRAM) as other:
            other.sendto(self.relayed(request), peer)


def quietly(work, *arguments):
    try:
        work(*arguments)
    except OSError:
        pass


def serve_stream(server, work, upstream):
    held = []
    while True:
        connection = server.accept()[0]
        held.append(connection)
        threading.Thread(target=quietly, args=(work, connection, upstream), daemon=True).start()


def serve_datagrams(server, work):
    while True:
        request, peer = server.recvfrom(65536)
        threading.Thread(target=quietly, args=(work, request, peer), daemon=True).start()


def main():
    hosts = {socket.AF_INET: sys.argv[1], socket.AF_INET6: sys.argv[2]}
    for word in sys.argv[3:]:
        port, behaviour = word.split(":")
        for family, host in hosts.items():
            address, upstream = ("::" if family == socket.AF_INET6 else "", int(port) + SHIFT), (host, int(port))
            if hasattr(Streams, behaviour):
                server = socket.socket(family)
                if family == socket.AF_INET6:
                    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                if behaviour.startswith("stuck"):
                    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                server.bind(address)
                server.listen(64)
                threading.Thread(
                    target=serve_stream, args=(server, getattr(Streams(), behaviour), upstream), daemon=True).start()
            if hasattr(Datagrams, behaviour):
                server = socket.socket(family, socket.SOCK_DGRAM)
                if family == socket.AF_INET6:
                    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                server.bind(address)
                work = getattr(Datagrams(server, upstream), behaviour)
                threading.Thread(target=serve_datagrams, args=(server, work), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


main()
