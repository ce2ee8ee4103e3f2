// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

/// The keys of a rule, in the order in which they are read and printed.
enum RuleKey: String, CaseIterable {
    case name, action, priority, direction, frame
    case protocols = "protocol"
    case source, destination, sender, flags, icmp, interfaces, schedule, until, log, reply, rate
    case isEnabled = "enabled"
    case comment
    case packetData = "packet-data"
    case offload

    static let names = allCases.map(\.rawValue)

    /// Where a key belongs that people write into a rule itself.
    static func advice(for key: String) -> String? {
        switch key {
        case "addresses", "ports", "macs", "address", "port", "mac":
            "\(quoted(key)) belongs inside source or destination"
        case "dport", "dst-port", "destination-port": "write destination: { ports: … }"
        case "sport", "src-port", "source-port": "write source: { ports: … }"
        case "src", "from": "write source: { addresses: … }"
        case "dst", "to": "write destination: { addresses: … }"
        case "user", "users", "uid", "owner", "uid-owner": "write sender: { users: […] }"
        case "group", "groups", "gid", "gid-owner": "write sender: { groups: […] }"
        case "unit", "units", "service", "cgroup": "write sender: { units: […] }"
        case "type", "code": "\(quoted(key)) belongs inside icmp"
        case "iif", "oif", "interface", "in-interface", "out-interface": "write interfaces: […]"
        case "not": "\"not\" stands inside one criterion"
        case "disabled", "disable", "active", "enable": "write enabled: false, or leave it out"
        case "limit", "rate-limit", "ratelimit", "hashlimit": "write rate: 10/1m per source"
        case "expires", "expire", "expiry", "valid-until", "end": "write until: 2027-01-31T18:00"
        case "description", "note", "remark": "write comment: …"
        default: nil
        }
    }
}

extension Reply {
    static let form = ValueForm<Reply>.words(
        ["none": .none, "reset": .reset, "unreachable": .unreachable, "prohibited": .prohibited],
        advice: [
            "rst": "write reset", "tcp-reset": "write reset", "tcp-rst": "write reset",
            "port-unreachable": "write unreachable", "icmp-port-unreachable": "write unreachable",
            "icmp": "write unreachable", "admin-prohibited": "write prohibited",
            "icmp-admin-prohibited": "write prohibited", "reject": "write reset, unreachable or prohibited",
            "drop": "write none",
        ])

    /// As the policy file writes it.
    package var word: String { Reply.form.print(self) }
}

extension RuleAction {
    static let words: KeyValuePairs<String, RuleAction> = [
        "allow": .allow, "deny": .deny, "force-allow": .forceAllow, "bypass": .bypass, "log-only": .logOnly,
    ]

    static let form = ValueForm<RuleAction>.words(
        words,
        advice: [
            "drop": "write deny", "reject": "write deny, and reply: reset", "block": "write deny",
            "accept": "write allow",
            "pass": "write allow", "permit": "write allow", "log": "write log-only", "ignore": "write bypass",
        ])

    /// As the policy file writes it.
    package var word: String { RuleAction.form.print(self) }
}

/// A rule while it is read: what could be read of it, and where.
struct RuleDraft {
    var rule: Rule
    var end: RuleEnd?
    var place: SourcePlace
    /// Places of the values, by key.
    var places: [RuleKey: SourcePlace] = [:]
    /// Keys whose values were refused or that are missing; what depends on them is not checked.
    var faulty: Set<RuleKey> = []

    func place(of key: RuleKey) -> SourcePlace { places[key] ?? place }
}
