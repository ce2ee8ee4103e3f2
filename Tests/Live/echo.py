# SPDX-License-Identifier: GPL-3.0-or-later
"""echo.py PORT: gives back what it gets, over TCP and UDP."""

import asyncio
import socket
import sys


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


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


async def main(port):
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Datagrams, local_addr=("0.0.0.0", port))
    v6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    v6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    v6.bind(("::", port))
    await loop.create_datagram_endpoint(Datagrams, sock=v6)
    server = await asyncio.start_server(serve, ["0.0.0.0", "::"], port, backlog=1024)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1])))
