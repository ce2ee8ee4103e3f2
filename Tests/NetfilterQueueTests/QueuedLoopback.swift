// SPDX-License-Identifier: GPL-3.0-or-later

@testable import NetfilterQueue

/// A queue on the way of loopback datagrams to port 7001, and a socket at each end.
struct QueuedLoopback: ~Copyable {
    static let port: UInt16 = 7001
    var queue: QueueSocket
    let receiver = UDPSocket(port: QueuedLoopback.port)
    let sender = UDPSocket(port: 7002)

    init(_ configure: (inout QueueConfiguration) -> Void = { _ in }) throws {
        var configuration = QueueConfiguration(number: 5)
        configure(&configuration)
        try LiveKernel.queueUDP(port: Self.port, to: 5)
        queue = try QueueSocket(configuration)
    }

    /// One datagram for each value: that byte, then `length` - 1 more.
    func send(_ values: some Sequence<UInt8>, length: Int = 1) {
        for value in values { sender.send([UInt8](repeating: value, count: length), to: Self.port) }
    }

    /// Takes `count` packets from the queue, as many batches as it needs, and asks for each one's verdict.
    mutating func judge(_ count: Int, _ verdict: (_ value: UInt8) -> QueueVerdict?) throws {
        var judged = 0
        while judged < count {
            let came = try queue.receive(timeoutMilliseconds: 2000)
            if came == 0 { throw Starved(judged: judged) }
            judged += came
            while let packet = queue.next() {
                if let verdict = verdict(Self.value(packet)) { packet.settle(verdict) }
            }
        }
        queue.flush()
    }

    /// The first byte behind the IPv4 and UDP headers.
    static func value(_ packet: borrowing QueuedPacket) -> UInt8 {
        packet.withBytes { $0.byteCount > 28 ? unsafe $0.unsafeLoad(fromByteOffset: 28, as: UInt8.self) : 0 }
    }

    struct Starved: Error { let judged: Int }
}

extension QueueSocket {
    /// The kernel's row of this queue.
    var kernelRow: QueueRow? { try? QueueTable.read().row(of: configuration.number) }
}
