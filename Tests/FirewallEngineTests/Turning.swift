// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PolicyFile
import Testing

/// What an administrator does who turns what an event's `explain` names, written as he would write it.
enum Turning {
    /// The policy text that turns one setting, as a file read after the others.
    static func text(_ path: String, in policy: String) -> String {
        var value = Turning.value(of: path)
        for key in path.split(separator: ".").reversed() {
            let isRow = key == "anti-evasion" && policy.contains("anti-evasion: strict")
            value = isRow ? "{ \(key): { posture: strict, \(value.dropFirst(2)) }" : "{ \(key): \(value) }"
        }
        return "version: 1\n" + value.dropFirst(2).dropLast(2)
    }

    /// The value that lets pass.
    private static func value(of path: String) -> String {
        switch path {
        case "engine.sanity.allow-null-ip": "true"
        case "engine.sanity.block-ipv6", "engine.sanity.block-same-source-destination",
            "engine.sanity.drop-zero-payload", "engine.sanity.verify-tcp-checksum":
            "false"
        case _ where path.hasPrefix("stateful.ftp."): "false"
        case "engine.sanity.minimum-fragment-size", "engine.sanity.minimum-fragment-offset": "0"
        case "engine.timeouts.fragment-hold": "60s"
        case _ where path.hasPrefix("engine.timeouts."): "30d"
        case "engine.limits.memory": "off"
        case _ where path.hasPrefix("engine.limits."): "1000"
        case _ where path.hasPrefix("stateful.tcp.limits."): "unlimited"
        case "stateful.tcp.ack-storm.threshold": "off"
        default: "allow"
        }
    }

    /// The policy with all these causes turned. A Deny rule is made a Force Allow, and a rate taken away; where no rule admits, one is added.
    static func policy(_ yaml: String, turning causes: [Cause], rule: String?, _ direction: Direction) throws -> Policy
    {
        var sources = [("test.yaml", Array(("version: 1\n" + yaml).utf8))]
        for (number, path) in causes.compactMap(\.setting).enumerated() {
            sources.append(("turned-\(number).yaml", Array(text(path, in: yaml).utf8)))
        }
        if causes.contains(.noAllowRule) {
            let rule = "{ name: turned, action: force-allow, direction: \(direction), frame: any, protocol: any }"
            sources.append(("added.yaml", Array("version: 1\nrules: [\(rule)]\n".utf8)))
        }
        var document = try PolicyFile.parse(sources, for: .replay).get()
        if causes.contains(.ruleRate) {
            let index = try #require(document.rules.firstIndex { $0.name == rule })
            document.rules[index].rate = nil
        }
        if causes.contains(.denyRule) {
            let index = try #require(document.rules.firstIndex { $0.name == rule })
            document.rules[index].action = .forceAllow
        }
        return try Policy(EngineUnderTest.withSmallTables(document), epoch: 1)
    }
}

extension Array {
    /// All subsets but the whole.
    var properSubsets: [[Element]] {
        (0..<(1 << count) - 1).map { bits in indices.filter { bits >> $0 & 1 == 1 }.map { self[$0] } }
    }
}
