// SPDX-License-Identifier: GPL-3.0-or-later

extension SavedRuleset {
    /// Every way to a queue in this rule set.
    package var feeds: [QueueFeed] { tables.flatMap { feeds(of: $0) } }

    private func feeds(of table: SavedTable) -> [QueueFeed] {
        let walk = ChainWalk(table)
        return table.chains.flatMap { chain -> [QueueFeed] in
            guard let hook = FilterHook(chain: chain.name) else { return [] }
            let place = QueueFeed.Place(
                program: command, table: table.name, chain: chain.name, hook: hook,
                priority: Self.priority(of: table.name, at: hook))
            return walk.queueRules(from: chain).map { found in feed(found.rule, found.conditions, at: place) }
        }
    }

    private func feed(_ rule: SavedRule, _ conditions: [RuleConditions], at place: QueueFeed.Place) -> QueueFeed {
        let options = rule.targetOptions
        return QueueFeed(
            place: place, layer: .ip([family]), conditions: conditions, queues: rule.queues,
            bypasses: options.contains("--queue-bypass"), fansOutByCPU: options.contains("--queue-cpu-fanout"),
            line: "\(command) \(place.table): \(rule.line)")
    }

    /// NF_IP_PRI_RAW … NF_IP_PRI_SECURITY of the kernel's netfilter_ipv4.h.
    private static func priority(of table: String, at hook: FilterHook) -> Int {
        switch table {
        case "raw": -300
        case "mangle": -150
        case "nat": hook == .prerouting || hook == .output ? -100 : 100
        case "security": 50
        default: 0
        }
    }
}

extension SavedRule {
    /// Whether it gives packets to user space. QUEUE is the old target that knows queue 0 only.
    var isQueueRule: Bool { target == "NFQUEUE" || target == "QUEUE" }

    var queues: ClosedRange<UInt16>? {
        if let range = option("--queue-balance") {
            let ends = range.split(separator: ":").compactMap { UInt16($0) }
            return ends.count == 2 && ends[0] <= ends[1] ? ends[0]...ends[1] : nil
        }
        guard let text = option("--queue-num") else { return 0...0 }
        return UInt16(text).map { $0...$0 }
    }

    private func option(_ name: String) -> String? {
        targetOptions.firstIndex(of: name).flatMap { index in
            index + 1 < targetOptions.count ? targetOptions[index + 1] : nil
        }
    }
}

/// Follows the jumps from a chain to the queue rules.
private struct ChainWalk {
    /// More ways than this are not told apart: a rule set can have more of them than rules, by nested jumps.
    private static let wayLimit = 4096

    let table: SavedTable
    /// Chains from which a queue rule can be reached.
    private let leading: Set<String>

    init(_ table: SavedTable) {
        self.table = table
        var leading = Set(table.chains.filter { $0.rules.contains { $0.isQueueRule } }.map(\.name))
        var grew = true
        while grew {
            let more = table.chains.filter { chain in
                !leading.contains(chain.name) && chain.rules.contains { $0.target.map(leading.contains) ?? false }
            }
            leading.formUnion(more.map(\.name))
            grew = !more.isEmpty
        }
        self.leading = leading
    }

    func queueRules(from chain: SavedChain) -> [(rule: SavedRule, conditions: [RuleConditions])] {
        var found: [(rule: SavedRule, conditions: [RuleConditions])] = []
        visit(chain, conditions: [], path: [], &found)
        return found
    }

    private func visit(
        _ chain: SavedChain, conditions: [RuleConditions], path: Set<String>,
        _ found: inout [(rule: SavedRule, conditions: [RuleConditions])]
    ) {
        guard leading.contains(chain.name), !path.contains(chain.name) else { return }
        for rule in chain.rules where found.count < Self.wayLimit {
            let all = conditions + [rule.conditions]
            if rule.isQueueRule {
                found.append((rule, all))
            } else if let next = rule.target.flatMap({ table[chain: $0] }) {
                visit(next, conditions: all, path: path.union([chain.name]), &found)
            }
        }
    }
}
