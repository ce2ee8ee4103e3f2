// SPDX-License-Identifier: GPL-3.0-or-later

/// All that is Portreeve's in the packet filter of a network namespace: rules of iptables by family, and the table for
/// frames of bridges. A policy has one of the two; putting it in place takes the other away.
package struct OwnRulesets: Hashable, Sendable {
    package var families: [AddressFamily: OwnRules]
    package var bridge: BridgeTable?

    package init(families: [AddressFamily: OwnRules] = [:], bridge: BridgeTable? = nil) {
        self.families = families
        self.bridge = bridge
    }

    package var isEmpty: Bool { families.values.allSatisfy(\.isEmpty) && bridge == nil }

    /// Without what differs from boot to boot: what says which tables were there before, and families without rules.
    package var unmarked: OwnRulesets {
        OwnRulesets(families: families.mapValues(\.unmarked).filter { !$0.value.isEmpty }, bridge: bridge)
    }

    package subscript(family: AddressFamily) -> OwnRules { families[family] ?? OwnRules() }

    /// "IPv4 and IPv6", "frames of bridges".
    package var title: String {
        let names = AddressFamily.allCases.filter { !self[$0].isEmpty }.map(\.title)
        return (names + (bridge == nil ? [] : ["frames of bridges"])).joined(separator: " and ")
    }
}
