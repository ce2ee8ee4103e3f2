// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy

/// Finds a name for every set of patterns that an interface name can match: all patterns are walked at once, letter by letter, and
/// two beginnings that leave the same to be matched count as one.
enum InterfaceNames {
    /// So many beginnings are looked at; a policy has a handful of patterns.
    private static let budget = 20_000
    /// IFNAMSIZ without the end of the text.
    private static let longest = 15
    /// Names that people would think of first, where one will do.
    private static let usual = ["eth0", "eth1", "wlan0"]

    /// An interface that rules see packets on.
    struct Place: Hashable {
        let name: String
        /// Where packets of it are judged only while they are forwarded: the interface that they come from or go to.
        var other: String?
    }

    /// Interfaces whose packets all policies judge: those that none ignores, and of the others those between which and one that is
    /// judged packets are forwarded. nil: the budget did not suffice.
    static func all(_ documents: [PolicyDocument], _ direction: Direction) -> [Place]? {
        let isForwarding = documents.allSatisfy { !$0.interfaces.inside.isEmpty }
        var texts: [String] = []
        for document in documents {
            for rule in document.rules { texts += rule.interfaces?.value ?? [] }
            texts += document.interfaces.ignore
            if isForwarding { texts += document.interfaces.inside }
        }
        let patterns = Set(texts).sorted().map(InterfacePattern.init)
        guard let names = walk(patterns) else { return nil }
        let isIgnored = { (name: String) in documents.contains { $0.interfaces.ignores(name) } }
        let isForwarded = { (name: String, other: String) in
            documents.allSatisfy { $0.interfaces.judges(name, besides: other, direction) }
        }
        var places = names.compactMap { name -> Place? in
            guard isIgnored(name) else { return Place(name: name) }
            // Nothing is forwarded from or to the loopback interface.
            guard isForwarding, name != "lo" else { return nil }
            return names.first { $0 != "lo" && isForwarded(name, $0) }.map { Place(name: name, other: $0) }
        }
        // What stage V refuses elsewhere may be there.
        if !places.contains(where: { $0.name == "lo" }), !isIgnored("lo") { places.append(Place(name: "lo")) }
        return places
    }

    private static func walk(_ patterns: [InterfacePattern]) -> [String]? {
        let letters = alphabet(patterns)
        var found: [[Bool]: String] = [:]
        var order: [[Bool]] = []
        var seen: Set<[[Int]]> = []
        for name in usual {
            let states = patterns.map { pattern in
                name.utf8.reduce(pattern.start) { pattern.advance($0, over: $1) }
            }
            let matched = zip(patterns, states).map { $0.isMatched($1) }
            if found.updateValue(found[matched] ?? name, forKey: matched) == nil { order.append(matched) }
        }
        var level: [(name: [UInt8], states: [[Int]])] = [([], patterns.map { $0.start })]
        var steps = 0
        for _ in 0..<longest {
            var next: [(name: [UInt8], states: [[Int]])] = []
            for (name, states) in level {
                for letter in letters {
                    steps += 1
                    if steps > budget { return nil }
                    let after = zip(patterns, states).map { $0.advance($1, over: letter) }
                    guard seen.insert(after).inserted else { continue }
                    let matched = zip(patterns, after).map { $0.isMatched($1) }
                    if found.updateValue(
                        found[matched] ?? String(decoding: name + [letter], as: UTF8.self), forKey: matched)
                        == nil
                    {
                        order.append(matched)
                    }
                    next.append((name + [letter], after))
                }
            }
            level = next
            if level.isEmpty { break }
        }
        return order.compactMap { found[$0] }
    }

    /// The letters that patterns name, the ends of their ranges with their neighbours, and one more that stands for all others.
    private static func alphabet(_ patterns: [InterfacePattern]) -> [UInt8] {
        let named = patterns.reduce(into: Set<UInt8>()) { $0.formUnion($1.letters) }
        let usable = named.filter { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") }
        let other = "xyzqwvkjabcdefghilmnoprstu0123456789-_".utf8.first { !named.contains($0) }
        return (other.map { [$0] } ?? []) + usable.sorted()
    }
}

/// A pattern as the states that a name can have reached in it.
struct InterfacePattern: Sendable {
    private let pattern: InterfaceGlob

    init(_ text: String) { pattern = InterfaceGlob(text) }

    var letters: Set<UInt8> { pattern.letters }
    var start: [Int] { pattern.positions(from: [0]) }
    func advance(_ positions: [Int], over byte: UInt8) -> [Int] { pattern.positions(after: byte, from: positions) }
    func isMatched(_ positions: [Int]) -> Bool { positions.contains(pattern.count) }
}

extension InterfaceSettings {
    /// Whether packets of a direction are judged that are forwarded between the interface that rules see them on and another one.
    fileprivate func judges(_ name: String, besides other: String, _ direction: Direction) -> Bool {
        guard !ignores(name) || !ignores(other) else { return false }
        return isInside(direction == .incoming ? name : other) == (direction == .outgoing)
    }

    private func isInside(_ name: String) -> Bool { inside.contains { InterfaceGlob($0).matches(name) } }
}
