// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketFilterRules

/// Rule sets as iptables-save, ip6tables-save and `nft list ruleset` print them, with a record separator (0x1e) between
/// them. They hold whatever other programs put into comments, and are read by root.
@c(LLVMFuzzerTestOneInput)
func fuzzRules(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = UnsafeBufferPointer(start: start, count: count)
    var texts = input.split(separator: 0x1e, maxSplits: 2, omittingEmptySubsequences: false)
        .map { String(decoding: $0, as: UTF8.self) }
    while texts.count < 3 { texts.append("") }
    let rulesets = [
        SavedRuleset(texts[0], command: "iptables", family: .ipv4),
        SavedRuleset(texts[1], command: "ip6tables", family: .ipv6),
    ]
    let inspection = RulesInspection(
        rulesets: rulesets, nftables: NFTablesRuleset(texts[2]), host: RulesInspection.Host(), policy: PolicyDocument())
    for finding in inspection.findings { _ = "\(finding)" }
    _ = inspection.bestIncomingHook
    for ruleset in rulesets { _ = OwnRules(in: ruleset) }
    return 0
}
