// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy
import PolicyFile

/// What a document demands of a packet filter, as far as a policy can meet it. The documents are recalled, not quoted; clauses that nobody
/// has verified are left out, and so is what no policy shows, such as that somebody reviews it.
package enum PolicyProfile: String, CaseIterable, Sendable {
    case nist = "nist-800-41"
    case bsi = "bsi-net-3-2"
    case cc

    /// What is said before its lints.
    package var preface: String {
        let document =
            switch self {
            case .nist: "NIST SP 800-41 revision 1"
            case .bsi: "BSI IT-Grundschutz NET.3.2"
            case .cc: "the Common Criteria module for stateful traffic filter firewalls (MOD_CPP_FW 1.4e)"
            }
        return
            "profile \(rawValue): as recalled from \(document); \(clauses.count) clauses that a policy can show, and clauses that nobody "
            + "has verified are left out"
    }

    /// One lint for each clause that the policy does not meet.
    package func lints(_ policy: Policy) -> [PolicyLint] {
        let values = PolicyFile.values(of: policy.document)
        return clauses.compactMap { $0.lint(rawValue, policy, values) }
    }

    private var clauses: [ProfileClause] {
        switch self {
        case .nist:
            [
                .defaultDeny("4.1"), .settings("4.1 source addresses", Self.sources),
                .settings("4.1 source routing", [("engine.sanity.source-routing", ["deny"])]),
                .settings("4.1 directed broadcasts", [("engine.sanity.broadcast-source", ["deny"])]),
                .logged("4.1 logging"),
            ]
        case .bsi:
            [
                .defaultDeny("A2"), .settings("A3 stateful", Self.stateful), .settings("A3 invalid flags", Self.flags),
                .settings("A3 ICMP", [("stateful.icmp.admit", ["force-allow"])]), .logged("A9"),
                .fragments("A10"),
            ]
        case .cc:
            [
                .settings("FFW_RUL_EXT.1.5", Self.stateful),
                .settings(
                    "FFW_RUL_EXT.1.6 f",
                    [("engine.sanity.allow-null-ip", ["false"]), ("engine.sanity.reserved-addresses", ["deny"])]),
                .settings(
                    "FFW_RUL_EXT.1.6 g",
                    [("engine.sanity.ipv6.reserved", ["deny"]), ("engine.sanity.allow-null-ip", ["false"])]),
                .settings(
                    "FFW_RUL_EXT.1.6 h",
                    [("engine.sanity.source-routing", ["deny"]), ("engine.sanity.record-route", ["deny"])]),
                .settings("FFW_RUL_EXT.1.6 c", [("engine.sanity.broadcast-source", ["deny"])]),
                .settings("FFW_RUL_EXT.1.7 a", [("engine.sanity.own-source", ["deny"])]),
                .settings("FFW_RUL_EXT.1.7 b", [("engine.sanity.link-local", ["deny"])]),
                .settings("FFW_RUL_EXT.1.7 c", [("engine.sanity.reverse-path", ["deny"])]),
                .defaultDeny("FFW_RUL_EXT.1.9"), .halfOpen("FFW_RUL_EXT.1.10"),
            ]
        }
    }

    private static let sources = [
        ("engine.sanity.own-source", ["deny"]), ("engine.sanity.reverse-path", ["deny"]),
        ("engine.sanity.reserved-addresses", ["deny"]),
    ]
    private static let stateful = ["tcp", "udp", "icmp"].map { ("stateful.\($0).enabled", ["true"]) }
    private static let flags = ["zero-flags", "syn-fin", "syn-rst", "rst-fin"].map {
        ("engine.anti-evasion.\($0)", ["deny", "deny-silent"])
    }
}
