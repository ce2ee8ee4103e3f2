// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import PolicyAnalysis

/// What lints propose changes nothing, of all packets of a tiny universe.
package enum LintProof {
    /// Merges what is called mergeable, and leaves out what is called without effect; says how often.
    package static func proposals(seed: UInt64) throws -> Int {
        var tiny = TinyPolicies(seed: seed)
        let document = tiny.document(rules: 4 + Int(seed % 8))
        let check = try TinyPolicies.check(Policy(document, epoch: 1), seed)
        let lints = PolicyLints.all(check, check.findings())
        var count = 0
        for lint in lints {
            guard let changed = changed(document, as: lint) else { continue }
            count += 1
            try expectSame(document, changed, lint, seed)
        }
        return count
    }

    private static func expectSame(
        _ document: PolicyDocument, _ changed: PolicyDocument, _ lint: PolicyLint, _ seed: UInt64
    ) throws {
        let (old, new) = try (Policy(document, epoch: 1), Policy(changed, epoch: 2))
        for packet in Direction.allCases.flatMap({ TinyPolicies.packets(document, $0) }) {
            guard Truth.effect(old, packet.subject(of: old)) == Truth.effect(new, packet.subject(of: new)) else {
                throw Disproof("\(lint.code): \(lint.text)", seed: seed)
            }
        }
    }

    /// The policy as the lint would have it; nil where it proposes no such thing.
    private static func changed(_ document: PolicyDocument, as lint: PolicyLint) -> PolicyDocument? {
        guard let line = lint.position?.line, document.rules.indices.contains(line - 1) else { return nil }
        switch lint.code {
        case "mergeable": return document.merging(line - 2, line - 1)
        case "idle-entry" where lint.text.contains("ports"): return document.leavingOut(lint, in: line - 1)
        default: return nil
        }
    }
}

extension PolicyDocument {
    /// The second rule is given up, and the first one has the values of both in the one list in which they differ.
    fileprivate func merging(_ first: Int, _ second: Int) -> PolicyDocument {
        var document = self
        for end in [\Rule.source, \Rule.destination] {
            let (one, other) = (rules[first][keyPath: end], rules[second][keyPath: end])
            if let a = one.addresses, let b = other.addresses, a != b {
                // Tiny lists are made of a few ranges that are the same everywhere.
                let values = Set(addressLists[a.value].values + addressLists[b.value].values)
                    .sorted { $0.first < $1.first }
                document.addressLists.append(NamedList(name: nil, values: values, position: rules[first].position))
                document.rules[first][keyPath: end].addresses = Criterion(document.addressLists.count - 1)
            }
            if let a = one.ports, let b = other.ports, a != b {
                let values = Set(portLists[a.value].values + portLists[b.value].values)
                    .sorted { $0.first < $1.first }
                document.portLists.append(NamedList(name: nil, values: values, position: rules[first].position))
                document.rules[first][keyPath: end].ports = Criterion(document.portLists.count - 1)
            }
        }
        document.rules.remove(at: second)
        return document
    }

    /// Without the ports that a lint names, in every rule that has their list.
    fileprivate func leavingOut(_ lint: PolicyLint, in index: Int) -> PolicyDocument? {
        let isSource = lint.text.contains("source ports")
        let criterion = isSource ? rules[index].source.ports : rules[index].destination.ports
        guard let criterion, let end = lint.text.firstRange(of: " in the ") else { return nil }
        let named = Set(lint.text[..<end.lowerBound].split(separator: ", ").map(String.init))
        var document = self
        document.portLists[criterion.value].values.removeAll { range in
            named.contains(range.first == range.last ? "\(range.first)" : "\(range.first)-\(range.last)")
        }
        return document
    }
}
