// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// What stands in a list or in a criterion: values, and names of lists and services for others.
struct ListParts<Value: Sendable>: Sendable {
    /// As they were written, each once.
    var names: [String] = []
    var literals: [Value] = []
    /// What the names stand for.
    var named: [Value] = []

    /// The list, its values put in order by `normalize`.
    func list(
        name: String?, at position: SourcePosition, normalize: ([Value]) -> [Value]
    ) -> NamedList<[Value]> {
        var list = NamedList(name: name, values: normalize(literals + named), position: position)
        if !names.isEmpty { list.written = (names, normalize(literals)) }
        return list
    }
}

/// How the values of one kind of lists are read, put in order, and where such lists are.
struct ListForm<Value: Sendable>: Sendable {
    let kind: ListKind
    let lists: any WritableKeyPath<PolicyDocument, [NamedList<[Value]>]> & Sendable
    let parse: @Sendable (String) throws(ScalarFault) -> Value
    /// What a service's name stands for; nil where it is unknown, or names are none of this kind.
    var service: @Sendable (ServiceNames, String) -> [Value]? = { _, _ in nil }
    let normalize: @Sendable ([Value]) -> [Value]
}

extension ListForm where Value == AddressRange {
    static var addresses: ListForm {
        ListForm(
            kind: .addresses, lists: \.addressLists,
            parse: { text throws(ScalarFault) in try addressRange(text) },
            normalize: { ranges in
                var set = AddressRangeSet()
                set.reserve(ranges.count)
                for range in ranges { set.insert(range) }
                return set.takeRanges()
            })
    }
}

extension ListForm where Value == PortRange {
    static var ports: ListForm {
        ListForm(
            kind: .ports, lists: \.portLists, parse: { text throws(ScalarFault) in try PortSyntax.range(text) },
            service: { services, name in services.ports(of: name) }, normalize: PortSyntax.joined)
    }
}

extension ListForm where Value == MACAddress {
    static var macs: ListForm {
        ListForm(
            kind: .macs, lists: \.macLists, parse: { text throws(ScalarFault) in try MACSyntax.address(text) },
            normalize: { $0.sortedSet() })
    }
}
