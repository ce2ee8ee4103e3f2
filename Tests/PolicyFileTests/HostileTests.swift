// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import TestSupport
import Testing

@testable import PolicyFile

@Suite("Hostile texts")
struct HostileTests {
    @Test("Random damage to every golden policy never traps, and always ends", arguments: ["accepted", "refused"])
    func mutations(_ folder: String) throws {
        var random = SeededRandom(seed: 20)
        let surroundings = Fixtures.surroundings(of: folder)
        for name in Fixtures.names(in: folder) {
            let sources = try Fixtures.sources(name, in: folder)
            for _ in 0..<40 {
                let damaged = sources.map { (name: $0.name, text: Mutation.damage($0.text, &random)) }
                let outcome = PolicyFile.parse(damaged, for: .replay, in: surroundings)
                #expect(outcome.document != nil || !outcome.diagnostics.isEmpty)
                check(outcome)
            }
        }
    }

    /// A document that damage left whole prints and reads back; a diagnostic renders.
    private func check(_ outcome: PolicyFile.Outcome) {
        for diagnostic in outcome.diagnostics { #expect(!diagnostic.rendered().utf8.contains(0)) }
        guard let document = outcome.document else { return }
        let text = PolicyFile.canonical(document)
        let again = PolicyFile.parse(
            [("again.yaml", Array(text.utf8))], for: .replay, in: Fixtures.surroundings(of: "accepted"))
        if let copy = again.document { #expect(PolicyFile.canonical(copy) == text) }
    }

    @Test("Random bytes are refused")
    func noise() {
        var random = SeededRandom(seed: 3)
        for length in 0..<300 {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            let outcome = PolicyFile.parse([("noise.yaml", bytes)], in: Fixtures.surroundings(of: "refused"))
            #expect(outcome.document == nil)
        }
    }

    @Test("A million errors are as many as are kept")
    func manyErrors() {
        let rules = String(repeating: "  - x\n", count: 20_000)
        let outcome = parse("version: 1\nrules:\n\(rules)")
        #expect(outcome.diagnostics.count == 1_001)
        #expect(outcome.diagnostics.last?.found == "no end of errors")
    }

    @Test("What grows without end is refused", arguments: Endless.allCases)
    func unbounded(_ kind: Endless) {
        #expect(parse(kind.text).document == nil)
    }

    @Test("A merge of a mapping with many keys, many times, is bounded")
    func merges() {
        let keys = (0..<1_000).map { "k\($0): x" }.joined(separator: ", ")
        let merges = String(repeating: "*m, ", count: 2_000)
        #expect(parse("version: 1\nm: &m { \(keys) }\nn: { <<: [\(merges)] }\n").document == nil)
    }

    @Test("Ten thousand rules that share a list are read")
    func manyRules() {
        let rules = (0..<10_000).map {
            "  - { name: r\($0), action: deny, direction: incoming, protocol: tcp, source: { addresses: l },"
                + " destination: { ports: \($0) } }\n"
        }
        let outcome = parse("version: 1\nlists: { l: { addresses: 192.0.2.1 } }\nrules:\n\(rules.joined())")
        #expect(outcome.document?.rules.count == 10_000)
    }
}

/// Ways to damage a text.
private enum Mutation {
    static let pieces = [
        "*a", "&a ", "<<: ", "{", "}", "[", "]", ": ", "\n", "- ", "not: ", "any", "\"", "'", "|", "\t", "?", "!x ",
    ]

    static func damage(_ text: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
        var text = text
        for _ in 0...Int.random(in: 0..<4, using: &random) {
            let index = Int.random(in: 0...text.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0 where index < text.count: text[index] = UInt8.random(in: 0...255, using: &random)
            case 1 where index < text.count: text[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2: text.removeSubrange(index..<min(text.count, index + Int.random(in: 0..<20, using: &random)))
            case 3: text.insert(contentsOf: pieces[Int.random(in: 0..<pieces.count, using: &random)].utf8, at: index)
            case 4: text.insert(contentsOf: text[index..<min(text.count, index + 40)], at: index)
            default: text.removeSubrange(index...)
            }
        }
        return text
    }
}

/// Texts that a careless reader would follow for ever, or pay for with all memory.
enum Endless: CaseIterable {
    case sequences, flowMappings, blockSequences, keys, anchors, oneScalar, escapes, aliases, items, comments, lines,
        tags
    case aliasesOfLongScalar, aliasesOfWrongWord, wrongRules, undefinedLists, mixtures, oneLongLine

    var text: String {
        switch self {
        case .sequences: repeated("[", 200_000)
        case .flowMappings: repeated("{a: ", 200_000)
        case .blockSequences: repeated("- ", 200_000)
        case .keys: repeated("? ", 200_000)
        case .anchors: repeated("&a ", 100_000)
        case .oneScalar: "a: " + repeated("x", 2_000_000)
        case .escapes: "\"" + repeated("\\x41", 500_000)
        case .aliases: "a: &a x\nb: [" + repeated("*a, ", 1_000_001) + "]"
        case .items: "a: [" + repeated("x,", 3_000_001) + "]"
        case .comments: repeated("#", 1_000_000) + "\n"
        case .lines: repeated("\n", 1_000_000)
        case .tags: repeated("%TAG ! !\n", 10_000)
        case .aliasesOfLongScalar:
            "version: 1\nlists: { a: { ports: [&x " + repeated("x", 1_000) + repeated(", *x", 100_000) + "] } }"
        case .aliasesOfWrongWord:
            "version: 1\nevents: { ignore: [&x invalid-sequences" + repeated(", *x", 100_000) + "] }"
        case .wrongRules: "version: 1\nrules: [" + repeated("{ name: }, ", 100_000) + "]"
        case .undefinedLists:
            "version: 1\nlists: {" + many(2_000) { "a\($0): { ports: 1 }, " } + "}\nrules: ["
                + repeated("{ name: a, destination: { ports: aa } }, ", 3_000) + "]"
        case .mixtures:
            "version: 1\nlists: { l: { ports: [" + many(2_000) { "\($0 * 2), " } + "] } }\nrules: ["
                + many(5_000) { "{ name: r\($0), action: deny, direction: incoming, source: { ports: [l, 1] } }, " }
                + "]"
        case .oneLongLine:
            "{version: 1, rules: [" + many(20_000) { "{name: r\($0), action: deny, direction: incoming, log: x}, " }
                + "]}"
        }
    }

    private func repeated(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }

    private func many(_ count: Int, _ text: (Int) -> String) -> String { (0..<count).map(text).joined() }
}
