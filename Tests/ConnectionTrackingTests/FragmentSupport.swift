// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport

/// A tracker with its clock and settings; what a test wants to know of a fragment fits on one line.
struct FragmentBench: ~Copyable {
    var tracker: FragmentTracker
    var clock = ManualClock()
    var settings = FragmentSettings()

    init(limit: Int = 1_000, timeouts: Timeouts = Timeouts()) {
        tracker = FragmentTracker(limit: limit, timeouts: timeouts, seed: (1, 2))
    }

    mutating func check(_ packet: PacketBuilder, _ direction: Direction = .incoming) -> FragmentStep {
        check(packet.headers, digest: digest(of: packet), direction)
    }

    /// Of headers without bytes all that are in one place are the same.
    mutating func check(
        _ headers: PacketHeaders, digest: UInt32 = 0, _ direction: Direction = .incoming
    ) -> FragmentStep {
        tracker.check(headers, digest: digest, direction: direction, at: clock.now, settings)
    }

    private func digest(of packet: PacketBuilder, copying limit: Int = .max) -> UInt32 {
        let bytes = Array(packet.bytes.prefix(limit))
        return unsafe tracker.digest(of: packet.headers, in: bytes.span.bytes)
    }

    /// As the engine does it: the first fragment is judged at once, those before it are held. nil: held.
    /// `limit`: so many of its bytes are at hand.
    mutating func judge(
        _ packet: PacketBuilder, first verdict: DatagramVerdict = .pass, copying limit: Int = .max
    ) -> FragmentOutcome? {
        judge(packet.headers, digest: digest(of: packet, copying: limit), first: verdict)
    }

    mutating func judge(
        _ headers: PacketHeaders, digest: UInt32 = 0, first verdict: DatagramVerdict = .pass
    ) -> FragmentOutcome? {
        switch check(headers, digest: digest) {
        case .refused(let refusal, _, _): return .refused(refusal)
        case .decided(let verdict): return .decided(verdict)
        case .first(let record):
            tracker.decide(record, verdict)
            return .decided(verdict)
        case .awaitsFirst(let record):
            return tracker.hold(record, at: clock.now) == nil ? .refused(.tooManyHeld) : nil
        }
    }

    /// The reason for which a fragment is refused at once.
    mutating func refusal(_ packet: PacketBuilder) -> FragmentRefusal? {
        if case .refused(let refusal, _, _) = check(packet) { return refusal }
        return nil
    }

    mutating func releases() -> [FragmentOutcome] {
        var outcomes: [FragmentOutcome] = []
        while let release = tracker.takeRelease() { outcomes.append(release.outcome) }
        return outcomes
    }
}

let ipv4 = PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2").identification(7)
let ipv6 = PacketBuilder.ipv6(from: "fd00::1", to: "fd00::2").identification(7)

/// A UDP datagram over IPv4 whose IP payload has this many bytes.
func datagram(_ length: Int) -> PacketBuilder { ipv4.udp(4_000, 53).payload(count: length - 8) }

extension PacketHeaders {
    /// The fragment that carries these bytes of a datagram's payload of `length` bytes; as `PacketBuilder.fragment`, for
    /// tests with more bytes than they have time to build.
    func fragment(_ range: Range<Int>, of length: Int) -> PacketHeaders {
        var headers = self
        headers.length = headers.length - headers.fragment.dataLength + UInt32(range.count)
        headers.fragment.isFragment = true
        headers.fragment.offset = UInt32(range.lowerBound)
        headers.fragment.dataLength = UInt32(range.count)
        headers.fragment.moreFragments = range.upperBound < length
        return headers
    }

    /// Fragments of at most `size` bytes of payload, in order.
    func fragmented(_ length: Int, at size: Int) -> [PacketHeaders] {
        stride(from: 0, to: length, by: size).map { fragment($0..<min($0 + size, length), of: length) }
    }
}

extension Array where Element == Int {
    /// Every order of the elements (Heap's algorithm).
    var permutations: [[Int]] {
        guard count > 1 else { return [self] }
        return indices.flatMap { index in
            var rest = self
            let element = rest.remove(at: index)
            return rest.permutations.map { [element] + $0 }
        }
    }
}
