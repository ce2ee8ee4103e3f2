// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

/// Every packet of the corpus, cut at every length: by a snap length, and for real.
@Suite("Cut packets")
struct CutPacketTests {
    @Test("what a copy range or snap length cut away is no malformation", arguments: PacketCorpus.all)
    func cutByCopy(entry: PacketCorpus) throws {
        let bytes = entry.packet.bytes
        let whole = fields(of: try decode(entry, bytes, fullLength: bytes.count))
        for length in 0..<bytes.count {
            let headers = try decode(entry, Array(bytes.prefix(length)), fullLength: bytes.count)
            #expect(headers.inconsistency(count: length, fullLength: bytes.count) == nil, "\(length) bytes")
            expectFields(of: headers, from: whole, "\(length) bytes")
        }
    }

    /// What is known only at the end of the tags or of the chain, and before that says how far decoding came.
    private static let progress: Set<String> = [
        "etherType", "protocolNumber", "transportOffset", "quoted.protocolNumber",
    ]

    /// What a SYN is taken to offer whose options are not all there.
    private static let assumed = ["tcp.windowScale": "14", "tcp.fastOpen": "true"]

    /// Every field has the value that the whole packet gives it; where `isCut` is set it may have its initial value.
    private func expectFields(of headers: PacketHeaders, from whole: [String: String], _ comment: Comment) {
        let initial = fields(of: PacketHeaders())
        let assumed = headers.transport == .tcp && headers.tcp.flags.contains(.syn) ? Self.assumed : [:]
        for (name, value) in fields(of: headers) where name != "isCut" && value != whole[name] {
            let isOpen = value == initial[name] || value == assumed[name] || Self.progress.contains(name)
            #expect(headers.isCut && isOpen, "\(name) = \(value), \(comment)")
        }
    }

    @Test(
        "a packet that ends before its own length is refused by the layer that misses bytes",
        arguments: PacketCorpus.all)
    func cutForReal(entry: PacketCorpus) throws {
        let headers = try decode(entry, entry.packet.bytes, fullLength: entry.packet.bytes.count)
        guard headers.isIP else { return }
        let start = Int(headers.networkOffset)
        for length in 0..<start + Int(headers.length) {
            #expect(throws: missing(length, of: entry, headers), "\(length) bytes") {
                try decode(entry, Array(entry.packet.bytes.prefix(length)), fullLength: length)
            }
        }
    }

    private func missing(_ length: Int, of entry: PacketCorpus, _ headers: PacketHeaders) -> DecodeError {
        let present = length - Int(headers.networkOffset)
        if present < 0 { return .ethernetHeaderCut }
        if present == 0 { return .noIPHeader }
        if headers.network == .ipv6 { return .ipv6HeaderUnreadable }
        return present < entry.ipv4HeaderLength ? .ipv4HeaderUnreadable : .datagramLengthBeyondPacket
    }

    @Test(
        "a packet whose IP length says where it ends is refused for what is then missing", arguments: PacketCorpus.all)
    func shortenedByItsSender(entry: PacketCorpus) throws {
        let packet = entry.packet.networkPacket
        guard entry.packet.headers.isIP else { return }
        let isIPv6 = entry.packet.headers.network == .ipv6
        let allowed: Set<DecodeError> = [
            .transportHeaderCut, .extensionChainInvalid, .tcpDataOffsetBeyondPacket, .udpLengthInvalid,
        ]
        for length in (isIPv6 ? 40 : entry.ipv4HeaderLength)...packet.count {
            var bytes = Array(packet.prefix(length))
            bytes.set(be: UInt16(isIPv6 ? length - 40 : length), at: isIPv6 ? 4 : 2)
            do throws(DecodeError) {
                let headers = try PacketHeaders(decoding: bytes)
                #expect(!headers.isCut)
                #expect(headers.inconsistency(count: length, fullLength: length) == nil, "\(length) bytes")
            } catch {
                // Length 0 says that it stands elsewhere, in hop-by-hop options.
                let isZero = isIPv6 && length == 40 && error == .ipv6HeaderUnreadable
                #expect(isZero || allowed.contains(error), "\(length) bytes")
            }
        }
    }

    private func decode(
        _ entry: PacketCorpus, _ bytes: [UInt8], fullLength: Int
    ) throws(DecodeError) -> PacketHeaders {
        entry.packet.isFrame
            ? try PacketHeaders(decodingFrame: bytes, fullLength: fullLength)
            : try PacketHeaders(decoding: bytes, etherType: entry.packet.etherType, fullLength: fullLength)
    }
}

extension PacketCorpus: CustomTestStringConvertible {
    package var testDescription: String { name }

    fileprivate var ipv4HeaderLength: Int { Int(packet.networkPacket[0] & 0xf) * 4 }
}

/// Every stored field of the headers by its path, for comparisons that no field escapes.
func fields(of headers: PacketHeaders) -> [String: String] {
    var found: [String: String] = [:]
    func walk(_ value: Any, _ path: String) {
        let children = Mirror(reflecting: value).children
        if children.isEmpty { found[path] = "\(value)" }
        for child in children { walk(child.value, path.isEmpty ? child.label ?? "" : path + "." + (child.label ?? "")) }
    }
    walk(headers, "")
    return found
}
