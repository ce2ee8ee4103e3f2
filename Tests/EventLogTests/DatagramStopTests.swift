// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import Testing

@testable import EventLog

/// A socket of loopback with a port of its own.
private final class DatagramReceiver {
    let descriptor: Int32
    let port: UInt16

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isBound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                unsafe bind(descriptor, pointer, length) == 0 && getsockname(descriptor, pointer, &length) == 0
            }
        }
        try #require(isBound)
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }

    /// What has arrived, each datagram a text.
    var received: [String] {
        var texts: [String] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            guard count >= 0 else { return texts }
            texts.append(String(decoding: buffer[..<count], as: UTF8.self))
        }
    }
}

@Suite("When the agent stops, what waits behind a first datagram")
struct DatagramStopTests {
    private static let count = 5

    private func sender(to port: UInt16) -> OutputSender {
        var settings = SyslogSettings(.udp(RemoteEndpoint(host: "127.0.0.1", port: port)))
        settings.format = .json
        var sender = OutputSender(OutputSettings(name: "a", format: .json, target: .syslog(settings)))
        sender.take(
            (0..<Self.count).map { _ in bareResolver.fields(EventRecord(EventSummary(event(.deny), count: 1))) })
        return sender
    }

    @Test("goes out once that one has found somebody, and counts as arrived")
    func somebody() throws {
        let receiver = try DatagramReceiver()
        var sender = sender(to: receiver.port)
        sender.send(at: .ms(0))
        #expect(receiver.received.count == 1, "one is enough to find out")
        sender.close(at: .ms(0))
        let (written, lost) = (sender.backlog.written.total, sender.backlog.lost.total)
        #expect(receiver.received.count == Self.count - 1)
        #expect(written == UInt64(Self.count) && lost == 0)
    }

    @Test("is given up, and counted, where nobody listens")
    func nobody() throws {
        var receiver: DatagramReceiver? = try DatagramReceiver()
        let port = try #require(receiver?.port)
        receiver = nil
        var sender = sender(to: port)
        sender.send(at: .ms(0))
        sender.close(at: .ms(0))
        let (written, lost) = (sender.backlog.written.total, sender.backlog.lost.total)
        #expect(written == 0 && lost == UInt64(Self.count))
    }
}
