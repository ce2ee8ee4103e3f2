// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// A TCP connection between the host under test and a remote computer, segment by segment, with the numbers that real
/// stacks would send. Nothing is lost: a test that wants loss builds a segment and never delivers it.
final class TCPTalk {
    enum Party { case host, peer }

    struct End {
        var address: IPAddress
        var port: UInt16
        /// The next sequence number to send, and the next one expected.
        var next: UInt32
        var expected: UInt32 = 0
        /// As in the header.
        var window: UInt16 = 8_000
        var timestamp: UInt32?
    }

    let engine: EngineUnderTest
    var host: End
    var peer: End
    var interface: UInt32 = 2
    var scale: UInt8 = 7

    init(
        _ engine: EngineUnderTest, hostPort: UInt16 = 80, peerPort: UInt16 = 40_000, peer address: IPAddress = .peer
    ) {
        self.engine = engine
        let own: IPAddress = address.isMappedV4 ? .host : .host6
        host = End(address: own, port: hostPort, next: 0xffff_ff00)
        peer = End(address: address, port: peerPort, next: 5_000)
    }

    subscript(party: Party) -> End {
        get { party == .host ? host : peer }
        set { if party == .host { host = newValue } else { peer = newValue } }
    }

    /// What this party would send now; `by` and `acknowledging` shift its two numbers.
    func segment(
        _ party: Party, _ flags: TCPFlags = .ack, data: Int = 0, by shift: Int = 0, acknowledging: Int = 0
    ) -> PacketBuilder {
        let (from, to) = party == .host ? (host, peer) : (peer, host)
        let sequence = from.next &+ UInt32(truncatingIfNeeded: shift)
        let acknowledgement = flags.contains(.ack) ? from.expected &+ UInt32(truncatingIfNeeded: acknowledging) : 0
        var options: [TCPOption] = flags.contains(.syn) ? [.mss(1460), .sackPermitted, .windowScale(scale)] : []
        if let value = from.timestamp { options.append(.timestamps(value, echo: 0)) }
        return PacketBuilder.ip(from: from.address, to: to.address)
            .tcp(
                from.port, to.port, flags, seq: sequence, ack: acknowledgement, window: from.window, options: options
            )
            .payload(count: data)
    }

    @discardableResult
    func deliver(
        _ packet: PacketBuilder, from party: Party, at location: SourceLocation = #_sourceLocation
    ) -> Fate {
        party == .host
            ? engine.sends(packet, on: interface, at: location)
            : engine.receives(packet, on: interface, at: location)
    }

    /// Sends what this party would send next; its peer gets it if it passes.
    @discardableResult
    func send(
        _ party: Party, _ flags: TCPFlags = .ack, data: Int = 0, at location: SourceLocation = #_sourceLocation
    ) -> Fate {
        let fate = deliver(segment(party, flags, data: data), from: party, at: location)
        let sent = UInt32(data) + (flags.contains(.syn) ? 1 : 0) + (flags.contains(.fin) ? 1 : 0)
        self[party].next &+= sent
        let receiver: Party = party == .host ? .peer : .host
        switch fate {
        case .pass, .passReporting: self[receiver].expected = self[party].next
        case .drop, .hold, .ask: break
        }
        return fate
    }

    /// The handshake, every segment of which has to pass in silence.
    func open(by party: Party = .peer, at location: SourceLocation = #_sourceLocation) {
        let other: Party = party == .host ? .peer : .host
        let events = engine.events.count
        #expect(send(party, .syn, at: location) == .pass, sourceLocation: location)
        #expect(send(other, [.syn, .ack], at: location) == .pass, sourceLocation: location)
        #expect(send(party, at: location) == .pass, sourceLocation: location)
        #expect(engine.events.count == events, sourceLocation: location)
    }

    /// Data in both directions.
    func exchange(_ bytes: Int = 500, at location: SourceLocation = #_sourceLocation) {
        for (speaker, listener) in [(Party.peer, Party.host), (.host, .peer)] {
            #expect(send(speaker, [.psh, .ack], data: bytes, at: location) == .pass, sourceLocation: location)
            #expect(send(listener, at: location) == .pass, sourceLocation: location)
        }
    }

    /// Both close, one after the other.
    func close(first: Party = .peer, at location: SourceLocation = #_sourceLocation) {
        let second: Party = first == .host ? .peer : .host
        #expect(send(first, [.fin, .ack], at: location) == .pass, sourceLocation: location)
        #expect(send(second, at: location) == .pass, sourceLocation: location)
        #expect(send(second, [.fin, .ack], at: location) == .pass, sourceLocation: location)
        #expect(send(first, at: location) == .pass, sourceLocation: location)
    }
}
