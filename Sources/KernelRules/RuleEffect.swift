// SPDX-License-Identifier: GPL-3.0-or-later

import PacketFilterRules

/// Where a rule sends a packet.
enum RuleEffect {
    case jump(String)
    /// By a map of verdicts, whose elements are not read: it may lead to any chain of its table.
    case map
    /// Nil: the number is computed.
    case queue(ClosedRange<UInt16>?, bypasses: Bool, byCPU: Bool)
    /// It knows packets of a control group, and marks them (`QueueRulePlan.addUnits`).
    case unit(path: String, bit: UInt32)

    /// NFQ_FLAG_BYPASS and NFQ_FLAG_CPU_FANOUT, of nf_tables and of the target alike.
    private static let bypass: UInt16 = 1
    private static let fanout: UInt16 = 2

    /// Those of a rule's expressions (NFTA_EXPR_NAME, NFTA_EXPR_DATA).
    static func all(of expressions: NetlinkAttribute) -> [RuleEffect] {
        if let unit = unit(expressions.attributes.map(\.attributes)) { return [unit] }
        return expressions.attributes.compactMap { expression in
            let parts = expression.attributes
            guard let name = parts[type: 1]?.text, let data = parts[type: 2]?.attributes else { return nil }
            switch name {
            case "immediate": return jump(data)
            case "lookup": return data[type: 3]?.value.big32(at: 0) == 0 ? .map : nil
            case "queue": return queue(data)
            case "target": return data[type: 1]?.text == "NFQUEUE" ? data[type: 3].map { target($0.value) } : nil
            default: return nil
            }
        }
    }

    /// A match and a target of iptables': NFTA_MATCH_NAME and NFTA_TARGET_NAME are 1, _INFO 3.
    private static func unit(_ expressions: [[NetlinkAttribute]]) -> RuleEffect? {
        func information(_ kind: String, _ name: String) -> ArraySlice<UInt8>? {
            expressions.lazy.filter { $0[type: 1]?.text == kind }.compactMap { $0[type: 2]?.attributes }
                .first { $0[type: 1]?.text == name }?[type: 3]?.value
        }
        guard let group = information("match", "cgroup"), let mark = information("target", "MARK") else { return nil }
        return unit(group: group, mark: mark)
    }

    /// `struct xt_cgroup_info_v2`: whether there is a path, and from the fifth byte on which; `struct xt_mark_tginfo2`: mark and mask.
    static func unit(group: ArraySlice<UInt8>, mark: ArraySlice<UInt8>) -> RuleEffect? {
        let bit = mark.native32(at: 0)
        guard group.count > 4, group.first == 1, bit != 0, bit == mark.native32(at: 4) else { return nil }
        // One that cannot be told from what is around it in a listing is none of ours.
        let path = group.dropFirst(4).text
        guard path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { return nil }
        return .unit(path: path, bit: bit)
    }

    /// NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT, NFTA_VERDICT_CHAIN.
    private static func jump(_ data: [NetlinkAttribute]) -> RuleEffect? {
        data[type: 2]?.attributes[type: 2]?.attributes[type: 2].map { .jump(RuleListing.word($0.text)) }
    }

    /// NFTA_QUEUE_NUM, _TOTAL and _FLAGS.
    private static func queue(_ data: [NetlinkAttribute]) -> RuleEffect {
        let flags = data[type: 3]?.value.big16(at: 0) ?? 0
        let first = data[type: 1]?.value.big16(at: 0)
        return .queue(
            first.map { range($0, data[type: 2]?.value.big16(at: 0) ?? 1) }, bypasses: flags & bypass != 0,
            byCPU: flags & fanout != 0)
    }

    /// `struct xt_NFQ_info` of any revision: number, how many, flags. Attributes may be longer than what they hold.
    static func target(_ info: ArraySlice<UInt8>) -> RuleEffect {
        let flags = info.native16(at: 4)
        return .queue(
            range(info.native16(at: 0), max(1, info.native16(at: 2))), bypasses: flags & bypass != 0,
            byCPU: flags & fanout != 0)
    }

    private static func range(_ first: UInt16, _ count: UInt16) -> ClosedRange<UInt16> {
        first...UInt16(clamping: Int(first) + max(1, Int(count)) - 1)
    }

    /// As `iptables-save` has it, after `-A CHAIN`.
    var saved: String {
        switch self {
        case .jump(let chain): return "-j \(chain)"
        case .map: return ""
        case .unit(let path, let bit):
            let mark = "0x" + String(bit, radix: 16)
            return "-m cgroup --path \(path.quotedForIPTables) -j MARK --set-xmark \(mark)/\(mark)"
        case .queue(let queues, let bypasses, let byCPU):
            guard let queues else { return "-j NFQUEUE --queue-balance ?" }
            let number =
                queues.count == 1
                ? "--queue-num \(queues.lowerBound)" : "--queue-balance \(queues.lowerBound):\(queues.upperBound)"
            return "-j NFQUEUE \(number)\(bypasses ? " --queue-bypass" : "")\(byCPU ? " --queue-cpu-fanout" : "")"
        }
    }

    /// As `nft` has it: rules, one a line.
    func listed(chains: [String]) -> [String] {
        switch self {
        case .jump(let chain): return ["jump \(chain)"]
        case .map: return chains.map { "jump \($0)" }
        case .unit: return []
        case .queue(let queues, let bypasses, let byCPU):
            let flags = [bypasses ? "bypass" : nil, byCPU ? "fanout" : nil].compactMap { $0 }.joined(separator: ",")
            let number = queues.map { "\($0.lowerBound)-\($0.upperBound)" } ?? "?"
            return ["queue \(flags.isEmpty ? "" : "flags \(flags) ")to \(number)"]
        }
    }
}
