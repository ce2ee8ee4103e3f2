// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// What a segment of an FTP control connection says of data connections.
public struct FTPReading: Equatable, Sendable, BitwiseCopyable {
    /// It ends a PORT or EPRT that is malformed, or names another address than the client's, or a port below 1024.
    public var isRefused = false
    /// The port at which the client awaits the server, or 0.
    public var activePort: UInt16 = 0
    /// The port at which the server awaits the client, or 0.
    public var passivePort: UInt16 = 0
    /// The ports of the same kind that it named before, or 0: they hold no more.
    public var formerActivePort: UInt16 = 0
    public var formerPassivePort: UInt16 = 0
    public init() {}
}

/// An FTP control connection as it is read (RFC 959, 2428, 2228): the commands of the client and the replies of the server.
///
/// A 227 or 229 counts only as the reply to a PASV or EPSV that was seen, and not as a line of a longer reply. After the 234
/// that answers an AUTH nothing is read any more: what follows is encrypted.
struct FTPControl: BitwiseCopyable {
    private var client: LineReader
    private var server: LineReader
    /// The reply whose lines are going on, or 0.
    private var continued: UInt16 = 0
    private var awaitsPassive = false
    private var awaitsExtendedPassive = false
    private var awaitsProtection = false
    private var isProtected = false
    /// The ports that are expected now, or 0: a later command or reply takes the place of an earlier one.
    var activePort: UInt16 = 0
    var passivePort: UInt16 = 0

    private static let leastPort: UInt16 = 1024

    /// The connection is read from here on, at the numbers of a segment that one side sends.
    init(at s: TCPFields, fromClient: Bool) {
        client = LineReader(at: fromClient ? s.sequence : s.acknowledgement)
        server = LineReader(at: fromClient ? s.acknowledgement : s.sequence)
    }

    /// Reads the data of a segment.
    ///
    /// - Parameters:
    ///   - packet: the packet, as far as it is at hand.
    ///   - s: its segment; with ACK.
    ///   - fromClient: the client sent it.
    ///   - address: the client's.
    /// - Returns: what it says of data connections.
    mutating func read(_ packet: RawSpan, _ s: TCPFields, fromClient: Bool, client address: IPAddress) -> FTPReading {
        var reading = FTPReading()
        if isProtected { return reading }
        let offset = Int(s.dataOffset)
        let count = max(0, min(Int(s.dataLength), packet.byteCount - offset))
        skipWhatWasNotSeen(s, fromClient: fromClient)
        var before: UInt32
        repeat {
            before = fromClient ? client.next : server.next
            if fromClient {
                client.absorb(packet, at: offset, count: count, sequence: s.sequence)
                while let line = client.takeLine() { readCommand(line, address, &reading) }
            } else {
                server.absorb(packet, at: offset, count: count, sequence: s.sequence)
                while let line = server.takeLine() { readReply(line, &reading) }
            }
        } while before != (fromClient ? client.next : server.next) && !isProtected
        return reading
    }

    /// The receiver has acknowledged what never came here: it passed unseen, or in fragments.
    private mutating func skipWhatWasNotSeen(_ s: TCPFields, fromClient: Bool) {
        if fromClient {
            if s.acknowledgement.isAfter(server.next) { server.resume(at: s.acknowledgement) }
        } else if s.acknowledgement.isAfter(client.next) {
            client.resume(at: s.acknowledgement)
        }
    }

    private mutating func readCommand(_ line: Range<Int>, _ address: IPAddress, _ reading: inout FTPReading) {
        switch FTPCommand(client.bytes.span.extracting(line)) {
        case .port(let endpoint):
            guard let endpoint, endpoint.address == address, endpoint.port >= Self.leastPort else {
                reading.isRefused = true
                return
            }
            reading.activePort = endpoint.port
        case .passive: awaitsPassive = true
        case .extendedPassive: awaitsExtendedPassive = true
        case .authenticate: awaitsProtection = true
        case .other: break
        }
    }

    private mutating func readReply(_ line: Range<Int>, _ reading: inout FTPReading) {
        let text = server.bytes.span.extracting(line)
        let reply = FTPReply(text)
        if continued != 0 {
            guard reply.code == continued, !reply.isContinued else { return }
            continued = 0
        } else if reply.isContinued {
            continued = reply.code
            return
        }
        switch reply.code {
        case 227 where awaitsPassive:
            awaitsPassive = false
            // Behind a router that translates addresses the server may name one that the client cannot reach: clients take
            // the one that they speak to.
            expect(FTPText.passiveEndpoint(text)?.port ?? 0, &reading)
        case 229 where awaitsExtendedPassive:
            awaitsExtendedPassive = false
            expect(FTPText.extendedPassivePort(text) ?? 0, &reading)
        case 234 where awaitsProtection: isProtected = true
        case 400...599:
            awaitsPassive = false
            awaitsExtendedPassive = false
            awaitsProtection = false
        default: break
        }
    }

    private func expect(_ port: UInt16, _ reading: inout FTPReading) {
        if port >= Self.leastPort { reading.passivePort = port }
    }
}
