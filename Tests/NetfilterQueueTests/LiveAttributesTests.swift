// SPDX-License-Identifier: GPL-3.0-or-later

import Testing

@testable import NetfilterQueue

/// What only other traffic than loopback datagrams shows.
@Suite("A live queue tells of a packet", .needsKernel, .timeLimit(.minutes(1)))
struct LiveAttributesTests {
    @Test("from a link: the interface it came by and the hardware address of its sender")
    func sourceMAC() throws {
        let (attributes, interface) = try LiveKernel.inNamespace {
            try LiveKernel.run(
                """
                ip link add near address 02:00:00:00:00:0a type veth peer name far address 02:00:00:00:00:0b &&
                ip addr add 198.18.0.1/24 dev near && ip link set near up && ip link set far up &&
                iptables -w -t mangle -A PREROUTING -i near -p udp -j NFQUEUE --queue-num 5
                """)
            var queue = try QueueSocket(QueueConfiguration(number: 5))
            try LiveKernel.run(
                """
                /usr/bin/python3 -c "
                import socket
                frame = bytes.fromhex('02000000000a 0203040506 07 0800'
                    '4500001d000000004011eea1 c6120009 c6120001' '03e903ea00090000 2a')
                s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                s.bind(('far', 0))
                s.send(frame)"
                """)
            let interface = UInt32(try LiveKernel.run("ip -o link show near").prefix { $0.isNumber })
            return (try queue.onlyPacket().attributes, interface)
        }
        #expect(attributes.sourceMAC == 0x0203_0405_0607)
        #expect(attributes.inInterface == interface)
        #expect(attributes.hook == 0)
        #expect(attributes.senderUID == .max && attributes.senderGID == .max)
        #expect(attributes.outInterface == 0)
    }

    @Test("of IPv6: its family and EtherType")
    func ipv6() throws {
        let attributes = try LiveKernel.inNamespace {
            try LiveKernel.run("ip6tables -w -t mangle -A OUTPUT -p udp -j NFQUEUE --queue-num 5")
            var queue = try QueueSocket(QueueConfiguration(number: 5))
            try LiveKernel.run(
                """
                /usr/bin/python3 -c "
                import socket
                socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('::1', 7001))"
                """)
            return try queue.onlyPacket().attributes
        }
        #expect(attributes.family == 10)
        #expect(attributes.etherType == 0x86dd)
        #expect(attributes.copiedLength == 49)
    }

    @Test("of segmentation offload: many segments in one, the checksum not ready; and none of it is lost")
    func segmentationOffload() throws {
        let (seen, received) = try LiveKernel.inNamespace {
            try LiveKernel.run("iptables -w -t mangle -A OUTPUT -p tcp --dport 7005 -j NFQUEUE --queue-num 5")
            var queue = try QueueSocket(QueueConfiguration(number: 5))
            let waker = try queue.makeWaker()
            let transfer = BackgroundThread {
                defer { waker.wake() }
                return try LiveKernel.run(Self.transfer)
            }
            var seen = Seen()
            while case let count = try queue.receive(timeoutMilliseconds: 5000), count > 0 {
                while let packet = queue.next() {
                    seen.note(packet.attributes)
                    packet.settle(.accept)
                }
                queue.flush()
            }
            return (seen, try transfer.join())
        }
        #expect(received.hasPrefix("1000000 "))
        #expect(seen.segments && seen.largest > 1_500)
        #expect(seen.checksumNotReady)
    }

    private struct Seen {
        var segments = false
        var checksumNotReady = false
        var largest: UInt32 = 0

        mutating func note(_ attributes: PacketAttributes) {
            segments = segments || attributes.isSegmentationOffload
            checksumNotReady = checksumNotReady || attributes.checksumNotReady
            largest = max(largest, attributes.copiedLength)
        }
    }

    /// A megabyte over TCP on loopback, with an interface MTU below a segment's size.
    private static let transfer = """
        ip link set lo mtu 1500; /usr/bin/python3 -c "
        import socket, threading
        listener = socket.create_server(('127.0.0.1', 7005))
        def send():
            with socket.create_connection(('127.0.0.1', 7005)) as s: s.sendall(bytes(1000000))
        threading.Thread(target=send).start()
        peer, _ = listener.accept()
        count = 0
        while data := peer.recv(65536): count += len(data)
        print(count, 'bytes')"
        """
}

extension QueueSocket {
    /// The next packet to come.
    fileprivate mutating func onlyPacket() throws -> QueuedPacket {
        _ = try receive(timeoutMilliseconds: 2000)
        guard let packet = next() else { throw QueuedLoopback.Starved(judged: 0) }
        return packet
    }
}
