// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy

/// One demand of a document, and what is to be so for it to be met.
struct ProfileClause {
    /// Something that is not as demanded.
    private struct Fault {
        var what: String
        var cure: String
        var position: SourcePosition?
    }

    private let name: String
    /// `values`: of the settings, by their paths.
    private let faults: (_ policy: Policy, _ values: [String: String]) -> [Fault]

    func lint(_ profile: String, _ policy: Policy, _ values: [String: String]) -> PolicyLint? {
        let faults = faults(policy, values)
        guard let first = faults.first else { return nil }
        return PolicyLint(
            "profile-\(profile)", at: first.position, "\(name): " + faults.map(\.what).joined(separator: ", "),
            cure: faults.map(\.cure).joined(separator: ", "))
    }

    /// Settings that have to have one of these values, the first of which is recommended.
    static func settings(_ name: String, _ demanded: [(path: String, values: [String])]) -> ProfileClause {
        ProfileClause(name: name) { _, values in
            demanded.compactMap { path, accepted in
                guard let value = values[path], !accepted.contains(value) else { return nil }
                return Fault(what: "\(path) is \(value)", cure: "set \(path): \(accepted[0])")
            }
        }
    }

    /// What no rule admits is refused, both ways.
    static func defaultDeny(_ name: String) -> ProfileClause {
        ProfileClause(name: name) { policy, _ in
            [("incoming", Direction.incoming), ("outgoing", .outgoing)].compactMap { word, direction in
                guard !policy.isRestrictive(direction) else { return nil }
                return Fault(
                    what: "what no rule admits passes, \(word)", cure: "set default: { \(word): deny }")
            }
        }
    }

    /// Some limit of connections that are half open, of one computer or of all.
    static func halfOpen(_ name: String) -> ProfileClause {
        ProfileClause(name: name) { _, values in
            let limits = values.filter { $0.key.hasPrefix("stateful.tcp.limits.half-open") }
            guard limits.values.allSatisfy({ $0 == "unlimited" }) else { return [] }
            return [
                Fault(
                    what: "no limit of half-open connections is set",
                    cure: "set stateful.tcp.limits.half-open-per-computer to a number")
            ]
        }
    }

    /// Every refusal is written down.
    static func logged(_ name: String) -> ProfileClause {
        ProfileClause(name: name) { policy, values in
            let document = policy.document
            let silent = document.rules.filter { $0.action == .deny && !$0.log && $0.isEnabled }
            var faults = silent.map {
                Fault(
                    what: "the deny rule \"\($0.name)\" writes no events", cure: "leave its log: false out",
                    position: $0.position)
            }
            for path in ["tcp", "udp", "icmp"].map({ "stateful.\($0).log" }) where values[path] == "false" {
                faults.append(Fault(what: "\(path) is false", cure: "set \(path): true"))
            }
            if !document.events.ignore.isEmpty {
                let count = document.events.ignore.count
                faults.append(
                    Fault(
                        what: "events.ignore leaves \(count) reason\(count == 1 ? "" : "s") out",
                        cure: "empty events.ignore"))
            }
            return faults
        }
    }

    /// Fragments are refused, or small ones are.
    static func fragments(_ name: String) -> ProfileClause {
        ProfileClause(name: name) { policy, _ in
            let document = policy.document
            let sanity = document.engine.sanity
            guard !document.refusesFragments, sanity.minimumFragmentSize == 0 || sanity.minimumFragmentOffset == 0
            else { return [] }
            return [
                Fault(
                    what: "fragments of any size pass",
                    cure: "set engine.sanity.minimum-fragment-size and minimum-fragment-offset, or "
                        + "stateful.ip.fragments: deny")
            ]
        }
    }
}
