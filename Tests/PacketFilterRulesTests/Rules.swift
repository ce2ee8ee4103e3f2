// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Foundation

@testable import PacketFilterRules

/// What the tests look at: rule sets in words, a host, a policy.
struct Rules {
    var ipv4 = ""
    var ipv6 = ""
    var nft = ""
    var host = RulesInspection.Host()
    var policy = PolicyDocument()

    /// The host reads queue 0 and has IPv4 only.
    init(ipv4: String = "", ipv6: String = "", nft: String = "") {
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.nft = nft
        host.readQueues = [0]
        host.usesIPv6 = !ipv6.isEmpty
    }

    var inspection: RulesInspection {
        RulesInspection(
            rulesets: [
                SavedRuleset(ipv4, command: "iptables", family: .ipv4),
                SavedRuleset(ipv6, command: "ip6tables", family: .ipv6),
            ], nftables: NFTablesRuleset(nft), host: host, policy: policy)
    }

    var refusals: [Finding] { inspection.findings.filter { $0.severity == .refusal } }
    var advice: [Finding] { inspection.findings.filter { $0.severity == .advice } }

    /// The same with this policy's own rules in place, made by `plan`.
    mutating func add(_ plan: QueueRulePlan) {
        ipv4 = Self.saved(ipv4, with: plan.rules(for: .ipv4))
        ipv6 = Self.saved(ipv6, with: plan.rules(for: .ipv6))
        host.usesIPv6 = true
        host.readQueues.formUnion(plan.queues.numbers)
    }

    static func saved(_ text: String, with rules: OwnRules) -> String {
        var lines: [String] = []
        for line in rules.lines {
            lines.append(line)
            if line.hasPrefix("*") { lines += FilterHook.allCases.map { ":\($0.chain) ACCEPT [0:0]" } }
        }
        return text + (lines + ["COMMIT", ""]).joined(separator: "\n")
    }

    /// One table with these `-A` lines.
    static func table(_ name: String, _ lines: String...) -> String {
        (["*\(name)"] + FilterHook.allCases.map { ":\($0.chain) ACCEPT [0:0]" } + lines + ["COMMIT", ""])
            .joined(separator: "\n")
    }
}

/// Rule sets as other programs leave them; the live tests load the same files into the kernel.
enum Foreign {
    static let docker = saved("docker")
    static let ufw = saved("ufw")

    private static func saved(_ name: String) -> String {
        let repository = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let path = "\(repository)/Tests/Fixtures/rules/\(name).save"
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { fatalError("cannot read \(path)") }
        return text
    }
}
