// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// The sources that one worker has an eye on.
///
/// Fixed memory, reserved when the policy first asks for it: sets of eight by a keyed hash of the address. A new source always
/// finds a place. It takes that of one that was quiet for long, or else of the one of which least is known; so a flood of spoofed
/// sources, each of which tries one thing, goes on in the place of its own, and who scans behind it stays.
struct ReconnaissanceWatch: Sendable {
    private static let ways = 8
    private static let sets = 256
    static let capacity = ways * sets

    private var suspects: [Suspect] = []
    private let seed: (UInt64, UInt64)
    /// Sources for which the policy asks to be blocked, until the agent takes them.
    private var toBlock: [BlockedAddress] = []
    private static let mostToBlock = 64

    init(seed: (UInt64, UInt64)) { self.seed = seed }

    /// Reserves the memory, or gives it back with all that is known.
    mutating func prepare(isUsed: Bool) {
        guard isUsed == suspects.isEmpty else { return }
        suspects = isUsed ? [Suspect](repeating: Suspect(), count: Self.capacity) : []
        toBlock = []
        if isUsed { toBlock.reserveCapacity(Self.mostToBlock) }
    }

    /// Bytes of a worker where it is used.
    static var memory: Int { capacity * MemoryLayout<Suspect>.stride }

    subscript(index: Int) -> Suspect {
        get { suspects[index] }
        _modify {
            var suspects = suspects.mutableSpan
            yield &suspects[index]
        }
    }

    /// The place of a source, which has it from now on.
    mutating func meet(_ address: IPAddress, version: UInt8, at now: Instant) -> Int {
        let first = set(of: address)
        var chosen = first
        for i in first..<first + Self.ways {
            if suspects[i].version == version, suspects[i].address.isSame(as: address) {
                suspects[i].meet(at: now)
                return i
            }
            if isLess(i, chosen, at: now) { chosen = i }
        }
        suspects[chosen] = Suspect(address, version: version)
        suspects[chosen].meet(at: now)
        return chosen
    }

    /// The place of a source that has one.
    func find(_ address: IPAddress, version: UInt8) -> Int? {
        guard !suspects.isEmpty else { return nil }
        let first = set(of: address)
        return (first..<first + Self.ways).first {
            suspects[$0].version == version && suspects[$0].address.isSame(as: address)
        }
    }

    func target(_ headers: inout PacketHeaders) -> ScanTarget {
        var hash = SipHash(seed: seed)
        hash.absorb(headers.destination.high)
        hash.absorb(headers.destination.low)
        hash.absorb(UInt64(headers.destinationPort) << 8 | UInt64(headers.protocolNumber))
        let place = UInt8(truncatingIfNeeded: hash.finish())
        var address = SipHash(seed: seed)
        address.absorb(headers.destination.high)
        address.absorb(headers.destination.low)
        var port = SipHash(seed: seed)
        port.absorb(UInt64(headers.destinationPort))
        return ScanTarget(
            place: place, address: UInt8(truncatingIfNeeded: address.finish()),
            port: UInt8(truncatingIfNeeded: port.finish()))
    }

    /// Has the agent block a source; of more than it can take up at once, a later packet asks again.
    mutating func block(_ suspect: Suspect) {
        if toBlock.count < Self.mostToBlock {
            toBlock.append(BlockedAddress(suspect.address, version: suspect.version))
        }
    }

    mutating func takeToBlock() -> [BlockedAddress] {
        guard !toBlock.isEmpty else { return [] }
        defer { toBlock.removeAll(keepingCapacity: true) }
        return Array(toBlock)
    }

    /// How many sources were told of lately.
    func known(at now: Instant) -> Int { suspects.count { $0.isKnown(at: now) } }

    private func isLess(_ i: Int, _ j: Int, at now: Instant) -> Bool {
        let (a, b) = (weight(i, at: now), weight(j, at: now))
        return a == b ? suspects[i].lastSeen < suspects[j].lastSeen : a < b
    }

    private func weight(_ i: Int, at now: Instant) -> UInt32 {
        suspects[i].version == 0 || now - suspects[i].lastSeen > Suspect.memory ? 0 : 1 + suspects[i].weight
    }

    private func set(of address: IPAddress) -> Int {
        var hash = SipHash(seed: seed)
        hash.absorb(address.high)
        hash.absorb(address.low)
        return Int(hash.finish() % UInt64(Self.sets)) * Self.ways
    }
}
