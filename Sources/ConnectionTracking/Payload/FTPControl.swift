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
///
/// A connection whose client began with something else than a command of FTP announces nothing: a browser that is made to send
/// `PORT` in a form, or a TLS client in a ticket, begins with a request of HTTP, or with a record of TLS.
struct FTPControl: BitwiseCopyable {
    private var client: LineReader
    private var server: LineReader
    /// The reply whose lines are going on, or 0.
    private var continued: UInt16 = 0
    /// Commands that have no last reply yet: clients may send some ahead.
    private var unanswered: UInt8 = 0
    private var passive = Question()
    private var extendedPassive = Question()
    private var protection = Question()
    private var isProtected = false
    /// The first line of the client is still to come.
    private var isBeginning: Bool
    private var isOfAnotherKind = false
    /// The ports that are expected now, or 0: a later command or reply takes the place of an earlier one.
    var activePort: UInt16 = 0
    var passivePort: UInt16 = 0

    private static let leastPort: UInt16 = 1024

    /// A command whose answer says something here, and how many replies to earlier ones come before that.
    private struct Question: BitwiseCopyable {
        var isOpen = false
        var repliesBefore: UInt8 = 0

        mutating func ask(after unanswered: UInt8) { self = Question(isOpen: true, repliesBefore: unanswered) }

        /// Another reply than the one that answers it in the affirmative.
        mutating func hear(_ code: UInt16) {
            if repliesBefore > 0 { repliesBefore -= 1 } else if code >= 400 { isOpen = false }
        }
    }

    /// The connection is read from here on, at the numbers of a segment that one side sends. `isBeginning`: its client has said
    /// nothing before.
    init(at s: TCPFields, fromClient: Bool, isBeginning: Bool) {
        self.isBeginning = isBeginning
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
                if isBeginning, client.hasSkipped { (isBeginning, isOfAnotherKind) = (false, true) }
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
            isBeginning = false
        }
    }

    private mutating func readCommand(_ line: Range<Int>, _ address: IPAddress, _ reading: inout FTPReading) {
        let text = client.bytes.span.extracting(line)
        if isBeginning { (isBeginning, isOfAnotherKind) = (false, !FTPCommand.mayBegin(text)) }
        defer { unanswered += unanswered < .max ? 1 : 0 }
        switch FTPCommand(text) {
        case .port(let endpoint):
            guard let endpoint, endpoint.address == address, endpoint.port >= Self.leastPort else {
                reading.isRefused = true
                return
            }
            if !isOfAnotherKind { reading.activePort = endpoint.port }
        case .passive: passive.ask(after: unanswered)
        case .extendedPassive: extendedPassive.ask(after: unanswered)
        case .authenticate: protection.ask(after: unanswered)
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
        // Those that begin with a 1 are not the last.
        guard reply.code >= 200 else { return }
        if unanswered > 0 { unanswered -= 1 }
        switch reply.code {
        case 227 where passive.isOpen:
            passive.isOpen = false
            // Behind a router that translates addresses the server may name one that the client cannot reach: clients take
            // the one that they speak to.
            expect(FTPText.passiveEndpoint(text)?.port ?? 0, &reading)
        case 229 where extendedPassive.isOpen:
            extendedPassive.isOpen = false
            expect(FTPText.extendedPassivePort(text) ?? 0, &reading)
        case 234 where protection.isOpen: isProtected = true
        default: break
        }
        passive.hear(reply.code)
        extendedPassive.hear(reply.code)
        protection.hear(reply.code)
    }

    private func expect(_ port: UInt16, _ reading: inout FTPReading) {
        if port >= Self.leastPort, !isOfAnotherKind { reading.passivePort = port }
    }
}
