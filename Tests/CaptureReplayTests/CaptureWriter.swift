// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import TestSupport
import Testing

/// Writes classic pcap files (magic 0xa1b2c3d4, microseconds), one link type each.
struct CaptureWriter {
    enum Link: UInt32, CaseIterable {
        case null = 0
        case ethernet = 1
        case raw = 101
        case loop = 108
        case cooked1 = 113
        case cooked2 = 276
    }

    let link: Link
    var bytes: [UInt8] = []
    private var time: UInt32 = 1_700_000_000

    init(_ link: Link, datalink: UInt32? = nil) {
        self.link = link
        for word: UInt32 in [0xa1b2_c3d4, 0x0002_0004, 0, 0, 262_144, datalink ?? link.rawValue] { put(word) }
    }

    /// Adds an IPv4 packet behind the link's header, a second after the one before.
    mutating func add(_ packet: [UInt8], at seconds: UInt32? = nil, wireLength: Int? = nil) {
        let header = linkHeader(of: 0x0800)
        addRaw(header + packet, at: seconds, wireLength: wireLength.map { $0 + header.count })
    }

    mutating func addRaw(_ frame: [UInt8], at seconds: UInt32? = nil, wireLength: Int? = nil) {
        time = seconds ?? time + 1
        for word in [time, 0, UInt32(frame.count), UInt32(wireLength ?? frame.count)] { put(word) }
        bytes += frame
    }

    /// What stands before an IPv4 or IPv6 packet.
    func linkHeader(of etherType: UInt16) -> [UInt8] {
        let type = [UInt8(etherType >> 8), UInt8(etherType & 0xff)]
        // AF_INET, and AF_INET6 as macOS numbers it.
        let family: UInt8 = etherType == 0x86dd ? 30 : 2
        return switch link {
        case .raw: []
        case .null: [family, 0, 0, 0]
        case .loop: [0, 0, 0, family]
        case .ethernet: [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2] + type
        case .cooked1: [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0] + type
        case .cooked2: type + [0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0]
        }
    }

    private mutating func put(_ word: UInt32) {
        // The magic number says big-endian to every reader.
        bytes.append(be: word)
    }

    /// The file, in a directory of its own.
    func path() throws -> String {
        var template = Array("/tmp/portreeve-capture.XXXXXX".utf8CString)
        let descriptor = unsafe mkstemp(&template)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        _ = unsafe write(descriptor, bytes, bytes.count)
        return String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
