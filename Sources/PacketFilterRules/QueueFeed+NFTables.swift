// SPDX-License-Identifier: GPL-3.0-or-later

extension NFTablesRuleset {
    /// Every way to a queue in this rule set.
    package var feeds: [QueueFeed] {
        tables.flatMap { table -> [QueueFeed] in
            guard let layer = table.layer else { return [] }
            return table.chains.flatMap { chain -> [QueueFeed] in
                guard let hook = chain.hook else { return [] }
                let place = QueueFeed.Place(
                    program: "nft", table: "\(table.family) \(table.name)", chain: chain.name, hook: hook,
                    priority: chain.priority)
                var feeds: [QueueFeed] = []
                table.visit(chain, conditions: [], path: [], at: place, layer: layer, &feeds)
                return feeds
            }
        }
    }
}

extension NFTable {
    /// More ways than this are not told apart.
    private static let wayLimit = 4096

    fileprivate func visit(
        _ chain: NFChain, conditions: [RuleConditions], path: Set<String>, at place: QueueFeed.Place,
        layer: QueueFeed.Layer, _ feeds: inout [QueueFeed]
    ) {
        guard !path.contains(chain.name), path.count < 16 else { return }
        for rule in chain.rules where feeds.count < Self.wayLimit {
            let all = conditions + [rule.conditions]
            if let statement = rule.queueStatement {
                feeds.append(feed(rule, statement, all, at: place, layer: layer))
            }
            for name in rule.jumps {
                guard let next = chains.first(where: { $0.name == name }) else { continue }
                visit(next, conditions: all, path: path.union([chain.name]), at: place, layer: layer, &feeds)
            }
        }
    }

    /// "queue num 0", "queue num 0-3 bypass", "queue to 0", "queue flags bypass,fanout to 0-3", "queue to jhash …".
    private func feed(
        _ rule: NFRule, _ statement: ArraySlice<String>, _ conditions: [RuleConditions], at place: QueueFeed.Place,
        layer: QueueFeed.Layer
    ) -> QueueFeed {
        QueueFeed(
            place: place, layer: layer, conditions: conditions, queues: Self.queues(statement),
            bypasses: statement.contains("bypass"), fansOutByCPU: statement.contains("fanout"),
            line: "nft \(place.table) \(place.chain): \(rule.line)")
    }

    private static func queues(_ statement: ArraySlice<String>) -> ClosedRange<UInt16>? {
        let numbered = statement.firstIndex { $0 == "num" || $0 == "to" }
        guard let numbered else { return 0...0 }
        guard numbered + 1 < statement.endIndex else { return nil }
        let ends = statement[numbered + 1].split(separator: "-").map { UInt16($0) }
        guard let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last else { return nil }
        return first...last
    }
}
