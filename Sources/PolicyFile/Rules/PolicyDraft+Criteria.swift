// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// A criterion without the `not` that may stand around it.
struct Operand {
    var node: YAMLNode
    var isInverted: Bool
}

extension PolicyDraft {
    /// The value of a criterion; nil for `any`, and after reporting what cannot be a criterion.
    func operand(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> Operand? {
        if node.text == "any" { return nil }
        guard case .mapping(let entries) = node.content, let inner = node.value(of: "not") else {
            return Operand(node: node, isInverted: false)
        }
        guard entries.count == 1 else {
            sink.error(
                at: node.place, found: "not beside other keys", expected: "not alone, around the whole criterion")
            return nil
        }
        guard inner.text != "any" else {
            sink.error(at: inner.place, found: "not any, which nothing matches", expected: "a criterion")
            return nil
        }
        guard inner.value(of: "not") == nil else {
            sink.error(at: inner.place, found: "not inside not", expected: "the criterion itself")
            return nil
        }
        return Operand(node: inner, isInverted: true)
    }

    func frame(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> Criterion<FrameMatch>? {
        if node.text == "any" { return Criterion(.any) }
        guard let operand = operand(node, &sink) else { return nil }
        return FrameMatch.form.read(operand.node, &sink).map { Criterion($0, isInverted: operand.isInverted) }
    }

    func protocols(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> Criterion<ProtocolMatch>? {
        guard let operand = operand(node, &sink) else { return nil }
        if case .sequence = operand.node.content {
            sink.mismatch(
                operand.node, expected: "one protocol",
                suggestion: "tcp+udp is both; every other protocol takes a rule of its own")
            return nil
        }
        return ProtocolMatch.form.read(operand.node, &sink).map { Criterion($0, isInverted: operand.isInverted) }
    }

    mutating func interfaces(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> Criterion<[String]>? {
        guard let operand = operand(node, &sink) else { return nil }
        guard let names = ValueForm.interfaces.read(operand.node, &sink) else { return nil }
        guard !names.isEmpty else {
            sink.error(at: operand.node.place, found: "no interface", expected: "at least one, or any")
            return nil
        }
        let known = interfacePatterns.count
        interfacePatterns.formUnion(names)
        if known <= Policy.interfacePatternLimit, interfacePatterns.count > Policy.interfacePatternLimit {
            sink.error(
                at: operand.node.place, found: "more than \(Policy.interfacePatternLimit) different interfaces",
                expected: "fewer in the criteria of all rules", suggestion: "write globs such as eth*")
        }
        return Criterion(names, isInverted: operand.isInverted)
    }

    /// Exactly the flags of a sequence are set of the six; or those of `set` are set and those of `clear` are not.
    func flags(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> Criterion<FlagMatch>? {
        guard let operand = operand(node, &sink) else { return nil }
        guard case .mapping(let entries) = operand.node.content else {
            guard let set = TCPFlags.form.read(operand.node, &sink) else { return nil }
            return Criterion(FlagMatch(tested: .ruleFlags, set: set), isInverted: operand.isInverted)
        }
        var (set, clear) = (TCPFlags(), TCPFlags())
        for entry in entries {
            switch entry.key {
            case "set": set = TCPFlags.form.read(entry.value, &sink) ?? set
            case "clear": clear = TCPFlags.form.read(entry.value, &sink) ?? clear
            default: sink.unknownKey(entry, in: "flags", known: ["set", "clear", "not"])
            }
        }
        guard set.isDisjoint(with: clear), !set.union(clear).isEmpty else {
            sink.error(
                at: operand.node.place,
                found: set.isEmpty && clear.isEmpty ? "no flag to test" : "a flag both set and clear",
                expected: "each tested flag in one of set and clear")
            return nil
        }
        return Criterion(FlagMatch(tested: set.union(clear), set: set), isInverted: operand.isInverted)
    }

    /// Names of types depend on the rule's protocol.
    func icmp(
        _ node: YAMLNode, of draft: RuleDraft, _ sink: inout DiagnosticSink
    ) -> Criterion<ICMPMatch>? {
        guard let operand = operand(node, &sink) else { return nil }
        guard case .mapping(let entries) = operand.node.content else {
            sink.mismatch(operand.node, expected: "a mapping such as { type: echo-request, code: 0 }")
            return nil
        }
        var match: ICMPMatch?
        var code: UInt8?
        for entry in entries {
            switch entry.key {
            case "type": match = icmpType(entry.value, of: draft, &sink).map { ICMPMatch(type: $0) }
            case "code":
                guard entry.value.text != "any" else { continue }
                let form = ValueForm<UInt32>.number(0...255, "any or an ICMP code, 0 to 255")
                code = form.read(entry.value, &sink).map { UInt8($0) }
            default: sink.unknownKey(entry, in: "icmp", known: ["type", "code", "not"])
            }
        }
        if operand.node.value(of: "type") == nil {
            sink.error(at: operand.node.place, found: "an icmp criterion without type", expected: "a type")
        }
        match?.code = code
        return match.map { Criterion($0, isInverted: operand.isInverted) }
    }

    private func icmpType(_ node: YAMLNode, of draft: RuleDraft, _ sink: inout DiagnosticSink) -> UInt8? {
        guard !draft.faulty.contains(.protocols) else { return nil }
        return ValueForm<UInt8>.icmpType(isV6: draft.rule.isICMPv6).read(node, &sink)
    }
}

extension Rule {
    /// Whether names of ICMP types are those of ICMPv6.
    var isICMPv6: Bool { protocols?.value == .number(IPProtocol.icmpv6) }
}

extension FrameMatch {
    static let form = ValueForm<FrameMatch>.scalar(
        "any, ip, ipv4, ipv6, arp or an EtherType such as 0x88cc",
        schema: SchemaText.anyOf(
            SchemaText.words(["any", "ip", "ipv4", "ipv6", "arp"]), SchemaText.number(0x600...0xffff),
            SchemaText.text("0x0*(?:[6-9a-fA-F][0-9a-fA-F]{2}|[1-9a-fA-F][0-9a-fA-F]{3})")),
        print: \.text,
        parse: { scalar throws(ScalarFault) in
            let words: [String: FrameMatch] = ["ip": .ip, "ipv4": .ipv4, "ipv6": .ipv6, "arp": .arp]
            if let word = words[scalar.text] { return word }
            let expected = "any, ip, ipv4, ipv6, arp or an EtherType, 0x600 to 0xffff"
            switch hexadecimal(scalar.text) ?? (try? decimal(scalar.text, in: 0...UInt32.max, expected: expected)) {
            case 0x0800: return .ipv4
            case 0x86dd: return .ipv6
            case 0x0806: return .arp
            case .some(let type) where 0x600...0xffff ~= type: return .etherType(UInt16(type))
            default: throw ScalarFault(expected, suggestion: meant(scalar.text, among: words.keys.sorted() + ["any"]))
            }
        })

    /// As the policy file writes it.
    var text: String {
        switch self {
        case .any: "any"
        case .ip: "ip"
        case .ipv4: "ipv4"
        case .ipv6: "ipv6"
        case .arp: "arp"
        case .etherType(let type): "0x" + String(type, radix: 16)
        }
    }
}

extension ProtocolMatch {
    private static let expected = "any, tcp, udp, tcp+udp, the name of another protocol, or a number, 0 to 255"

    static let form = ValueForm<ProtocolMatch>.scalar(
        expected,
        schema: SchemaText.anyOf(
            SchemaText.words(["tcp+udp"] + ProtocolNames.all.map(\.name)), SchemaText.number(0...255)),
        print: \.text,
        parse: { scalar throws(ScalarFault) in
            if scalar.text == "tcp+udp" { return .tcpAndUDP }
            if let number = ProtocolNames.number(of: scalar.text) { return .number(number) }
            guard let first = scalar.text.utf8.first, UInt8(ascii: "0")...UInt8(ascii: "9") ~= first else {
                let names = ["any", "tcp+udp"] + ProtocolNames.all.map(\.name)
                throw ScalarFault(expected, suggestion: meant(scalar.text, among: names))
            }
            return .number(try decimal(scalar.text, in: 0...UInt8.max, expected: expected))
        })

    /// As the policy file writes it.
    var text: String {
        switch self {
        case .tcpAndUDP: "tcp+udp"
        case .number(let number): ProtocolNames.name(of: number) ?? String(number)
        }
    }
}

extension TCPFlags {
    /// The six that rules may name, in the order of the header's bits.
    static let names: KeyValuePairs<String, TCPFlags> = [
        "fin": .fin, "syn": .syn, "rst": .rst, "psh": .psh, "ack": .ack, "urg": .urg,
    ]

    static let form: ValueForm<TCPFlags> = {
        let several = ValueForm.oneOrSeveral(
            ValueForm<TCPFlags>.words(names), expected: "a sequence of fin, syn, rst, psh, ack and urg")
        return ValueForm<TCPFlags>(
            several.expected, schema: several.schema,
            print: { flags in several.print(names.map(\.value).filter { flags.contains($0) }) }
        ) { node, sink in several.read(node, &sink).map { TCPFlags($0) } }
    }()
}

extension ValueForm where Value == UInt8 {
    /// An ICMP or ICMPv6 type by its name or its number.
    static func icmpType(isV6: Bool) -> ValueForm {
        let names = isV6 ? ICMPTypeNames.v6 : ICMPTypeNames.v4
        let others = isV6 ? ICMPTypeNames.v4 : ICMPTypeNames.v6
        let expected = "the name of an \(isV6 ? "ICMPv6" : "ICMP") type, or its number, 0 to 255"
        return .scalar(
            expected, schema: SchemaText.anyOf(SchemaText.words(names.map(\.name)), SchemaText.number(0...255)),
            print: { number in names.first { $0.number == number }?.name ?? String(number) },
            parse: { scalar throws(ScalarFault) in
                if let known = names.first(where: { $0.name == scalar.text }) { return known.number }
                if others.contains(where: { $0.name == scalar.text }) {
                    throw ScalarFault(expected, suggestion: "it is a type of \(isV6 ? "ICMP" : "ICMPv6")")
                }
                guard let first = scalar.text.utf8.first, UInt8(ascii: "0")...UInt8(ascii: "9") ~= first else {
                    throw ScalarFault(expected, suggestion: meant(scalar.text, among: names.map(\.name)))
                }
                return try decimal(scalar.text, in: 0...UInt8.max, expected: expected)
            })
    }
}
