// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport

/// A table with its clock, limits and the connections that tests open in it.
struct TableBench: ~Copyable {
    var table: ConnectionTable
    var clock: ManualClock
    let shared: SharedLimits

    init(tables: TableLimits = TableLimits(), computers: ComputerLimits = ComputerLimits(), capacity: Int = 10_000) {
        self.init(shared: SharedLimits(tables: tables, computers: computers, seed: (3, 4)), capacity: capacity)
    }

    init(shared: SharedLimits, capacity: Int = 10_000, clock: ManualClock = ManualClock()) {
        self.shared = shared
        self.clock = clock
        table = ConnectionTable(capacity: capacity, timeouts: Timeouts(), seed: (1, 2), shared: shared)
    }

    /// Opens a connection; nil: refused, for the reason in `refusal`.
    @discardableResult
    mutating func open(_ connection: Connection) -> ConnectionIndex? {
        try? table.insert(connection, at: clock.now)
    }

    mutating func opened(_ connection: Connection) throws(OpeningRefusal) -> ConnectionIndex {
        try table.insert(connection, at: clock.now)
    }

    mutating func refusal(_ connection: Connection) -> OpeningRefusal? {
        do throws(OpeningRefusal) {
            _ = try table.insert(connection, at: clock.now)
            return nil
        } catch {
            return error
        }
    }

    mutating func finds(_ connection: Connection) -> Bool { table.find(connection.key, at: clock.now) != nil }

    /// Puts a connection into a phase, as the engine does after a packet.
    mutating func enter(_ phase: TCPPhase, _ index: ConnectionIndex?) {
        guard let index else { return }
        table[index].tcp.phase = phase
        table[index].lastSeen = clock.now
        table.recordChange(of: index)
    }

    mutating func advance(by span: Instant.Span) {
        clock.advance(by: span)
        table.expire(at: clock.now, atMost: 1_000_000)
    }

    /// An incoming SYN of a computer from a port.
    func syn(_ computer: IPAddress = "203.0.113.1", port: UInt16) -> Connection {
        connection(.tcp(port), from: computer, .incoming)
    }

    func syn(to computer: IPAddress, port: UInt16) -> Connection { connection(.tcp(port), from: computer, .outgoing) }

    func udp(_ port: UInt16) -> Connection { connection(.udp(port), from: "203.0.113.1", .outgoing) }
    func ping(_ identifier: UInt16) -> Connection { connection(.ping(identifier), from: "203.0.113.1", .outgoing) }

    enum Kind { case tcp(UInt16), udp(UInt16), ping(UInt16) }

    func connection(_ kind: Kind, from computer: IPAddress, _ direction: Direction) -> Connection {
        let host: IPAddress = computer.isMappedV4 ? "198.18.0.2" : "fd00::2"
        let (source, destination) = direction == .incoming ? (computer, host) : (host, computer)
        let ip = PacketBuilder.ip(from: source, to: destination)
        let packet =
            switch kind {
            case .tcp(let port): ip.tcp(port, 80, [.syn])
            case .udp(let port): ip.udp(port, 53)
            case .ping(let identifier): ip.echoRequest(id: identifier, seq: 1)
            }
        guard let keyed = ConnectionKey.make(packet.headers) else { preconditionFailure("no key") }
        return Connection(key: keyed.key, opener: keyed.sender, openingDirection: direction, at: clock.now)
    }
}

extension TableLimits {
    init(tcp: UInt32 = 1_000, udp: UInt32 = 1_000, icmp: UInt32 = 1_000) {
        self.init()
        (self.tcp, self.udp, self.icmp) = (tcp, udp, icmp)
    }
}

extension ComputerLimits {
    init(incoming: UInt32? = nil, outgoing: UInt32? = nil, halfOpen: UInt32? = nil) {
        self.init()
        (self.incoming, self.outgoing, self.halfOpen) = (incoming, outgoing, halfOpen)
    }
}
