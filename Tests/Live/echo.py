# SPDX-License-Identifier: GPL-3.0-or-later
"""echo.py PORT: gives back what it gets, over TCP and UDP, from the address that it came to."""

import asyncio
import socket
import struct
import sys

# IP_PKTINFO and IPV6_RECVPKTINFO, ip(7) and ipv6(7).
PACKET_INFO = {socket.AF_INET: (socket.IPPROTO_IP, 8), socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO)}


async def serve(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except ConnectionError:
        pass
    finally:
        writer.close()


def datagrams(family, address, port):
    endpoint = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    endpoint.setsockopt(*PACKET_INFO[family], 1)
    endpoint.setblocking(False)
    endpoint.bind((address, port))
    return endpoint


def reply(endpoint):
    try:
        data, ancillary, _, peer = endpoint.recvmsg(65536, 256)
        endpoint.sendmsg([data], [from_the_same(*item) for item in ancillary], 0, peer)
    except OSError:
        pass


def from_the_same(level, kind, value):
    """Whatever the interface: an answer goes by the routes."""
    if level == socket.IPPROTO_IP:
        return level, kind, struct.pack("=i", 0) + value[4:]
    return level, socket.IPV6_PKTINFO, value[:16] + struct.pack("=i", 0)


async def main(port):
    loop = asyncio.get_running_loop()
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        endpoint = datagrams(family, address, port)
        loop.add_reader(endpoint, reply, endpoint)
    server = await asyncio.start_server(serve, ["0.0.0.0", "::"], port, backlog=1024)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1])))
