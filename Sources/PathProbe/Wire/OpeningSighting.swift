// SPDX-License-Identifier: GPL-3.0-or-later

internal import AgentControl

/// A connection's opening as it reached the network interface of the reflector's host, before any filter there, and what left
/// that interface in answer, after its filter.
package struct OpeningSighting: Hashable, Sendable {
    /// The port that was knocked at.
    package var port: UInt16
    /// The sender, after any translation.
    package var peer: Endpoint
    /// How many SYNs came.
    package var count = 1
    /// A SYN-ACK left for the sender.
    package var isAnswered = false
    /// A reset left for the sender.
    package var isRefused = false
    /// Of the first SYN.
    package var header: OpeningHeader

    package init(port: UInt16, peer: Endpoint, header: OpeningHeader) {
        self.port = port
        self.peer = peer
        self.header = header
    }
}

/// What a device on the way may have changed in a SYN.
package struct OpeningHeader: Hashable, Sendable {
    /// Time to live, or hop limit.
    package var hops: UInt8 = 0
    /// DSCP and ECN bits as they stand in the header.
    package var trafficClass: UInt8 = 0
    /// 0 where the option is missing.
    package var maximumSegmentSize: UInt16 = 0
    package var hasWindowScale = false
    package var hasSACK = false
    package var hasTimestamps = false
    /// ECE and CWR: the sender would use ECN (RFC 3168 section 6.1.1).
    package var offersECN = false

    package init() {}

    package var dscp: UInt8 { trafficClass >> 2 }
}

/// What the reflector's host saw of one probe's opening.
package enum OpeningView: Hashable, Sendable {
    /// It may not look, there is no reflector, or the probe has no SYN.
    case unknown
    case notSeen
    case seen(OpeningSighting)
}

extension OpeningSighting {
    private var bits: UInt8 {
        [isAnswered, isRefused, header.hasWindowScale, header.hasSACK, header.hasTimestamps, header.offersECN]
            .enumerated().reduce(0) { $1.element ? $0 | 1 << UInt8($1.offset) : $0 }
    }

    /// `[port, peer, count, bits, hops, traffic class, MSS]`: a scan has thousands.
    var json: JSONValue {
        .list([
            .count(port), .text("\(peer)"), .count(count), .count(bits), .count(header.hops),
            .count(header.trafficClass), .count(header.maximumSegmentSize),
        ])
    }

    init(_ json: JSONValue) throws(MessageFault) {
        guard let list = json.asList, list.count == 7, let port = list[0].asInteger.flatMap({ UInt16(exactly: $0) }),
            let peer = list[1].asText.flatMap(Endpoint.init(parsing:)), let count = list[2].asInteger, count > 0,
            let bits = list[3].asInteger.flatMap({ UInt8(exactly: $0) }),
            let hops = list[4].asInteger.flatMap({ UInt8(exactly: $0) }),
            let trafficClass = list[5].asInteger.flatMap({ UInt8(exactly: $0) }),
            let segment = list[6].asInteger.flatMap({ UInt16(exactly: $0) })
        else { throw MessageFault("a sighting of another form") }
        var header = OpeningHeader()
        header.hops = hops
        header.trafficClass = trafficClass
        header.maximumSegmentSize = segment
        header.hasWindowScale = bits & 4 != 0
        header.hasSACK = bits & 8 != 0
        header.hasTimestamps = bits & 16 != 0
        header.offersECN = bits & 32 != 0
        self.init(port: port, peer: peer, header: header)
        self.count = Int(min(count, Int64(Int32.max)))
        isAnswered = bits & 1 != 0
        isRefused = bits & 2 != 0
    }
}
