// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// What is remembered of one source that has tried something: the evidence for and against its being a scanner.
///
/// The test is TAPS (Sridharan, Ye and Bhattacharyya, "Connectionless port scan detection on the backbone", 2006): what a source
/// tries is cut into bins, each of which is suspicious or not, and after each the likelihood ratio of "scanner" and "benign"
/// grows or shrinks by the same factor (Wald's sequential test). A bin ends after five seconds, or as soon as it has enough in
/// it. It is suspicious where
///
/// - it has at least five targets (address, protocol and port) that the source had not tried before. Who tries the same few
///   again and again, as monitoring and health checks do, is soon beyond new ones;
/// - most of them failed: so many more were tried than connections became established;
/// - they are many ports at few addresses, or many addresses at few ports.
struct Suspect: BitwiseCopyable {
    var address = IPAddress.zero
    /// 4 or 6; 0: nobody's.
    var version: UInt8 = 0
    /// The exponent of the likelihood ratio.
    private var score: Int8 = 0
    /// `FingerprintProbe`s seen lately, one bit each.
    private var fingerprints: UInt8 = 0
    private var traits = Traits()
    private(set) var lastSeen = Instant(nanoseconds: .min / 2)
    private var binBegan = Instant(nanoseconds: .min / 2)
    private var fingerprinted = Instant(nanoseconds: .min / 2)
    /// When each kind was told last, in seconds and one more; 0 is never.
    private var told = InlineArray<5, UInt32>(repeating: 0)
    /// One bit for each value of a hash of the target.
    private var targets = InlineArray<4, UInt64>(repeating: 0)
    /// Of this bin.
    private var ports: UInt64 = 0
    private var addresses: UInt64 = 0
    private var tried: UInt16 = 0
    private var established: UInt16 = 0
    /// New targets since the test began.
    private(set) var distinct: UInt16 = 0
    /// Ports to which it has opened connections that it had no use for: it has acknowledged a number of ours on each.
    private var provenPorts = InlineArray<3, UInt16>(repeating: 0)
    /// From which port of its own it has opened each.
    private var provenFrom = InlineArray<3, UInt16>(repeating: 0)

    private struct Traits: OptionSet, BitwiseCopyable {
        var rawValue: UInt8
        /// It has sent data on a connection, or has opened one to a port again as monitoring does: whoever it is, it uses what this
        /// host offers.
        static let uses = Traits(rawValue: 1)
        /// A block was asked for.
        static let isToBeBlocked = Traits(rawValue: 2)
    }

    /// P(suspicious | scanner) is 0.8 and P(suspicious | benign) 0.2: a bin moves the likelihood ratio by a factor of 4. It is
    /// reported from 99 on, 4 to the power of 4 being the first beyond, and the test begun anew below 0.01.
    private static let scoreOfScanner: Int8 = 4
    private static let leastScore: Int8 = -4
    private static let bin = Instant.Span.seconds(5)
    /// So many new targets end a bin, so that a fast scan is told of while it goes on.
    private static let enough: UInt16 = 10
    private static let leastTargets: UInt16 = 5
    /// How many times as many ports as addresses, or the other way round.
    private static let ratio = 3
    /// Probes of one fingerprinting follow each other within this.
    private static let fingerprinting = Instant.Span.seconds(10)
    /// A source that was quiet for so long begins anew.
    static let memory = Instant.Span.minutes(5)
    /// One kind of one source is told of once in this time.
    static let quiet = Instant.Span.minutes(5)

    init() {}

    init(_ address: IPAddress, version: UInt8) {
        self.address = address
        self.version = version
    }

    /// Something came from it.
    mutating func meet(at now: Instant) {
        if now - lastSeen > Self.memory { self = Suspect(address, version: version) }
        lastSeen = now
    }

    /// It has tried a target; says whether all that it has tried makes it a scanner.
    mutating func attempt(_ target: ScanTarget, at now: Instant) -> Bool {
        if now - binBegan >= Self.bin {
            closeBin()
            binBegan = now
        }
        let (word, bit) = (Int(target.place >> 6), UInt64(1) << UInt64(target.place & 63))
        if targets[word] & bit == 0 {
            targets[word] |= bit
            ports |= 1 << UInt64(target.port & 63)
            addresses |= 1 << UInt64(target.address & 63)
            tried += 1
            distinct = distinct == .max ? .max : distinct + 1
        }
        if tried >= Self.enough {
            closeBin()
            binBegan = now
        }
        guard score >= Self.scoreOfScanner else { return false }
        beginAnew()
        return true
    }

    /// A connection that it had opened is established.
    mutating func noteEstablished() { established = established == .max ? .max : established + 1 }

    /// A connection that it had opened, from a port of its own to one of ours, is over; each may be told several times.
    mutating func noteEnd(from ownPort: UInt16, to port: UInt16, broughtData: Bool) {
        if broughtData {
            traits.insert(.uses)
            return
        }
        for i in 0..<3 {
            if provenPorts[i] == port {
                if provenFrom[i] != ownPort { traits.insert(.uses) }
                return
            }
            if provenPorts[i] == 0 {
                provenPorts[i] = port
                provenFrom[i] = ownPort
                return
            }
        }
    }

    /// Whether it is certain that this source has scanned, and no other in its name: it has acknowledged our numbers on three
    /// ports that it had no use for, each once, and has sent nothing on any.
    private var isProven: Bool { provenPorts[2] != 0 && !traits.contains(.uses) }

    /// Whether it was told of as scanning, nothing speaks for another having scanned in its name, and this was not said yet.
    mutating func isToBeBlocked(at now: Instant) -> Bool {
        guard isProven, wasTold(.portScan, at: now), !traits.contains(.isToBeBlocked) else { return false }
        traits.insert(.isToBeBlocked)
        return true
    }

    /// Takes in a probe of its fingerprinting; says whether it is the second kind.
    mutating func note(_ probe: FingerprintProbe, at now: Instant) -> Bool {
        if now - fingerprinted > Self.fingerprinting { fingerprints = 0 }
        fingerprinted = now
        fingerprints |= 1 << probe.rawValue
        return fingerprints.nonzeroBitCount >= 2
    }

    /// Whether it is time to tell of it; it counts as told.
    mutating func tell(_ kind: ScanKind, at now: Instant) -> Bool {
        guard !wasTold(kind, at: now) else { return false }
        told[Int(kind.rawValue)] = Self.second(now)
        return true
    }

    func wasTold(_ kind: ScanKind, at now: Instant) -> Bool {
        let last = told[Int(kind.rawValue)]
        return last != 0 && Int64(Self.second(now) &- last) * 1_000_000_000 < Self.quiet.nanoseconds
    }

    /// Whether anything was told of it lately.
    func isKnown(at now: Instant) -> Bool { version != 0 && ScanKind.allCases.contains { wasTold($0, at: now) } }

    /// What is lost when it makes room for another.
    var weight: UInt32 {
        let isTold = (0..<5).contains { told[$0] != 0 }
        return UInt32(distinct) + (isTold ? 1 << 16 : 0) + UInt32(fingerprints.nonzeroBitCount)
    }

    private static func second(_ now: Instant) -> UInt32 {
        UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000_000) &+ 1
    }

    private mutating func closeBin() {
        guard binBegan.nanoseconds > .min / 2 else { return }
        let failed = tried - min(tried, established)
        let (a, b) = (addresses.nonzeroBitCount, ports.nonzeroBitCount)
        let isSuspicious =
            tried >= Self.leastTargets && failed * 2 > tried && max(a, b) >= Self.ratio * min(a, b)
        score += isSuspicious ? 1 : -1
        (tried, established, ports, addresses) = (0, 0, 0, 0)
        if score <= Self.leastScore { beginAnew() }
    }

    private mutating func beginAnew() {
        score = 0
        targets = InlineArray(repeating: 0)
        distinct = 0
    }
}

/// A target as the test sees it: hashes with a key that the source does not know.
struct ScanTarget: BitwiseCopyable {
    var place: UInt8
    var address: UInt8
    var port: UInt8
}
