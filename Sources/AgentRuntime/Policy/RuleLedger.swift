// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
import PacketWire

/// How often the rules of the policy in force had decided before this run, and since when each is counted. What this run counts
/// stands in the workers.
///
/// A rule is the same one as long as it has its name and decides about the same packets: over reloads, restarts and boots.
package struct RuleLedger: Sendable {
    package struct Identity: Hashable, Sendable {
        package var name: String
        /// `PolicyFile.fingerprints`.
        package var fingerprint: UInt64

        package init(name: String, fingerprint: UInt64) {
            self.name = name
            self.fingerprint = fingerprint
        }
    }

    /// Times in microseconds since 1970.
    package struct Entry: Hashable, Sendable {
        package var since: Int64
        package var packets: UInt64 = 0
        package var bytes: UInt64 = 0
        package var first: Int64 = 0
        package var last: Int64 = 0

        package init(since: Int64) { self.since = since }

        /// With what a worker has counted; `offset` makes Unix time of its instants, in nanoseconds.
        package mutating func add(_ count: RuleCount, offset: Int64) {
            guard count.packets > 0 else { return }
            let first = (count.first.nanoseconds &+ offset) / 1000
            let last = (count.last.nanoseconds &+ offset) / 1000
            self.first = packets == 0 ? first : min(self.first, first)
            self.last = packets == 0 ? last : max(self.last, last)
            packets &+= count.packets
            bytes &+= count.bytes
        }
    }

    /// In the order of the policy's rules.
    package private(set) var identities: [Identity] = []
    package private(set) var entries: [Entry] = []

    package init() {}

    /// Follows to the rules of another policy: those that it keeps have their entries, the others begin now.
    ///
    /// - Returns: for each of them, its index before, or -1.
    package mutating func follow(to rules: [Identity], at now: Int64) -> [Int32] {
        var places: [Identity: Int32] = [:]
        places.reserveCapacity(identities.count)
        for (place, identity) in identities.enumerated() { places[identity] = Int32(place) }
        let kept = rules.map { places[$0] ?? -1 }
        entries = kept.map { $0 >= 0 ? entries[Int($0)] : Entry(since: now) }
        identities = rules
        return kept
    }

    /// Takes over what a run before has kept of these rules. Times that are yet to come were told by a clock that was set back.
    package mutating func restore(_ known: [Identity: Entry], at now: Int64) {
        for (place, identity) in identities.enumerated() {
            guard var entry = known[identity] else { continue }
            entry.since = min(entry.since, now)
            entry.last = min(entry.last, now)
            entry.first = min(entry.first, entry.last)
            entries[place] = entry
        }
    }
}

/// The file in which they outlive the agent: a line that names the form, one for each rule with its fingerprint, since when it is
/// counted, packets, bytes, the first and the last one, and its name, and a last line with how many there are.
extension RuleLedger {
    private static let heading = "portreeve rules 1"

    /// Of what the ledger and the workers have together.
    package static func text(_ identities: [Identity], _ entries: [Entry]) -> String {
        var text = heading + "\n"
        for (rule, entry) in zip(identities, entries) {
            text += String(rule.fingerprint, radix: 16)
            for number in [entry.since, entry.first, entry.last] { text += " \(number)" }
            text += " \(entry.packets) \(entry.bytes) \(rule.name)\n"
        }
        return text + "end \(identities.count)\n"
    }

    /// What such a text says. A part of a damaged one is not believed either.
    package static func read(_ text: String) throws(Refusal) -> [Identity: Entry] {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.first.map(String.init) == heading else {
            throw Refusal(line: 1, "expected \"\(heading)\"")
        }
        guard lines.last?.isEmpty == true, lines.count >= 3 else {
            throw Refusal(line: lines.count, "it ends in the midst of a line or before its last one")
        }
        guard lines[lines.count - 2] == "end \(lines.count - 3)" else {
            throw Refusal(line: lines.count - 1, "expected \"end \(lines.count - 3)\", the number of rules before it")
        }
        var known: [Identity: Entry] = [:]
        for number in 1..<lines.count - 2 {
            guard let (identity, entry) = rule(lines[number]) else {
                throw Refusal(
                    line: number + 1,
                    "expected a fingerprint, three times, packets, bytes and the name of a rule, each after one space")
            }
            known[identity] = entry
        }
        return known
    }

    private static func rule(_ line: Substring) -> (Identity, Entry)? {
        let words = line.split(separator: " ", maxSplits: 6, omittingEmptySubsequences: false)
        guard words.count == 7, !words[6].isEmpty, let fingerprint = UInt64(words[0], radix: 16),
            let since = Int64(words[1]), let first = Int64(words[2]), let last = Int64(words[3]),
            let packets = UInt64(words[4]), let bytes = UInt64(words[5]),
            since >= 0, first >= 0, last >= first, packets > 0 || (first == 0 && last == 0 && bytes == 0)
        else { return nil }
        var entry = Entry(since: since)
        (entry.packets, entry.bytes, entry.first, entry.last) = (packets, bytes, first, last)
        return (Identity(name: String(words[6]), fingerprint: fingerprint), entry)
    }

    /// Why a text is not believed.
    package struct Refusal: Error, CustomStringConvertible {
        package let description: String
        init(line: Int, _ what: String) { description = "line \(line): \(what)" }
    }
}
