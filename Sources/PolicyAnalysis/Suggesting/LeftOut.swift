// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallEngine
import FirewallPolicy
package import PacketWire

/// What was seen and no rule is suggested for, and why.
package struct LeftOut: Sendable {
    package enum Why: Hashable, Sendable {
        /// The source looks like a scanner.
        case scan(IPAddress, isIPv6: Bool)
        /// A rule of the policy refuses it, by its index in `Policy.rules`.
        case ownRule(Int32)
        /// Nobody was there.
        case outcome(AttemptOutcome)
        /// Refused for what no rule decides.
        case reason(DropReason)
        /// The policy with the suggestion was tried, and does not let the exchange pass.
        case unconfirmed(DropReason)
        /// It is an answer, or a report of an error, of no exchange that is known.
        case answersNothing
    }

    package let why: Why
    package internal(set) var packets: UInt64 = 0
    package internal(set) var attempts: [Attempt] = []
    /// Of a scanner.
    package internal(set) var evidence: ScanEvidence?

    package init(_ why: Why) { self.why = why }

    package var sources: Int { Set(attempts.map { SourceName($0) }).count }
}

/// Who has tried something.
struct SourceName: Hashable, Comparable {
    let address: IPAddress
    let isIPv6: Bool

    init(_ attempt: Attempt) { (address, isIPv6) = (attempt.source, attempt.isIPv6) }

    static func < (a: SourceName, b: SourceName) -> Bool {
        a.isIPv6 != b.isIPv6 ? b.isIPv6 : a.address < b.address
    }
}

extension LeftOut.Why {
    /// For an order that is the same whatever came first: what an administrator will ask about comes first.
    private var rank: (Int, UInt64, UInt64) {
        switch self {
        case .ownRule(let rule): (0, UInt64(UInt32(bitPattern: rule)), 0)
        case .scan(let address, _): (1, address.high, address.low)
        case .outcome(let outcome): (2, UInt64(AttemptOutcome.used.rawValue - outcome.rawValue), 0)
        case .answersNothing: (3, 0, 0)
        case .unconfirmed(let reason): (4, UInt64(reason.rawValue), 0)
        case .reason(let reason): (5, UInt64(reason.rawValue), 0)
        }
    }

    static func precedes(_ a: LeftOut, _ b: LeftOut) -> Bool { a.why.rank < b.why.rank }
}
