// SPDX-License-Identifier: GPL-3.0-or-later

/// What an analysis has found out about one rule.
package enum RuleVerdict: Hashable, Sendable {
    /// It decides about this packet.
    case effective(Witness)
    /// Every packet that it matches is decided by others before: these rules, of which none can be left out. `agrees`: all of them
    /// do the same with it.
    case covered(by: [Int32], agrees: Bool)
    /// It matches no packet at all.
    case matchesNothing(Emptiness)
    /// It decides about packets, but an Allow rule admits by the packet that opens a connection, and it matches none of those that
    /// it could admit.
    case admitsNothing(Futility)
    /// No interface of this host has a name that it asks for.
    case inert
    /// `enabled: false`.
    case disabled
    /// The work was bounded, and it did not suffice; or the engine decides before the rules about each packet that was tried.
    case undecided

    package enum Emptiness: Hashable, Sendable {
        /// One of its lists is empty: the criterion's key.
        case criterion(String)
        /// `not` excludes everything.
        case excluded(String)
        /// All packets with such addresses are refused before any rule is asked.
        case refused(String)
        /// All interfaces that it names are ignored.
        case ignored
        /// It is about IPv6 alone, of which no packet gets as far.
        case family
        /// It is about VLAN tags, which are looked behind.
        case tag
        /// It is about IPv6 extension headers, which are no protocol of a packet.
        case header
        /// Its criteria exclude each other.
        case criteria
        /// Its schedule never holds in the year to come.
        case schedule
        /// It is over, or its schedule never holds before that.
        case ended(String, hasSchedule: Bool)
    }

    package enum Futility: Hashable, Sendable {
        /// What it matches passes without an Allow rule: ICMPv6 and IGMP.
        case exempt
        /// No segment that it matches is a SYN.
        case noOpening
        /// Datagrams that answer nothing take a Force Allow rule: the setting that says so.
        case datagrams(String)
    }
}

/// A rule and what was found out about it.
package struct RuleFinding: Hashable, Sendable {
    /// Index in `Policy.rules`.
    package let rule: Int32
    package let verdict: RuleVerdict
}
