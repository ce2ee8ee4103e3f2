// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

extension PolicyFile {
    /// How a rule's criterion is to be written so that it takes one more value, or one less. The text around it stays as it is.
    ///
    /// - Parameters:
    ///   - criterion: its keys within the rule, such as `source` and `addresses`.
    ///   - rule: where the rule stands.
    ///   - value: that of a packet.
    ///   - isTaken: whether the criterion is to take it, or not to.
    ///   - sources: the policy's files in their order.
    /// - Returns: nil where the rule has no such criterion, or where the value is in a list with a name: others may have that list.
    package static func edit(
        _ criterion: [String], ofRuleAt rule: SourcePosition, taking value: CriterionValue, _ isTaken: Bool,
        in sources: [(name: String, text: [UInt8])]
    ) -> PolicyEdit? {
        var sink = DiagnosticSink(sources: sources.map { SourceText(name: $0.name, bytes: $0.text) })
        for index in sources.indices where sources[index].name == rule.file {
            guard let root = YAMLComposer.compose(index, reportingTo: &sink),
                case .sequence(let rules)? = root.value(of: "rules")?.content,
                let found = rules.firstIndex(where: { sink.position(of: $0.place) == rule })
            else { continue }
            let end = rules.indices.contains(found + 1) ? rules[found + 1].place.offset : Int.max
            var node: YAMLNode? = rules[found]
            for key in criterion { node = node?.value(of: key) }
            let inner = node?.value(of: "not")
            // What an alias names stands elsewhere, and is not this rule's alone.
            guard let list = inner ?? node, list.place.source == index,
                (rules[found].place.offset..<end).contains(list.place.offset)
            else { return nil }
            let editor = ListEditor(source: sink.sources[index], index: index)
            return isTaken == (inner == nil) ? editor.adding(value, to: list) : editor.leavingOut(value, of: list)
        }
        return nil
    }
}

/// Changes one value, or one sequence of values, in the text of a file.
private struct ListEditor {
    let source: SourceText
    let index: Int

    func adding(_ value: CriterionValue, to list: YAMLNode) -> PolicyEdit? {
        guard case .sequence(let items) = list.content else {
            return written(list).map { edit($0, "[\(text(of: $0)), \(value.text)]") }
        }
        return items.last.flatMap(written).map { edit($0, text(of: $0) + separator(before: $0) + value.text) }
    }

    func leavingOut(_ value: CriterionValue, of list: YAMLNode) -> PolicyEdit? {
        guard case .sequence(let items) = list.content else {
            guard let place = written(list), let rest = list.text.flatMap(value.leftOver), !rest.isEmpty else {
                return nil
            }
            return edit(place, rest.count == 1 ? rest[0] : "[\(rest.joined(separator: ", "))]")
        }
        for (number, item) in items.enumerated() {
            guard let rest = item.text.flatMap(value.leftOver), let place = written(item) else { continue }
            if !rest.isEmpty { return edit(place, rest.joined(separator: separator(before: place))) }
            // The entry goes, with what stands between it and its neighbour.
            if number + 1 < items.count, let next = written(items[number + 1]) {
                return edit(place.lowerBound..<next.lowerBound, "")
            }
            guard number > 0, let previous = written(items[number - 1]) else { return nil }
            return edit(previous.upperBound..<place.upperBound, "")
        }
        return nil
    }

    /// The bytes of a scalar with its quotes; nil for one that is written in another way than it reads.
    private func written(_ node: YAMLNode) -> Range<Int>? {
        guard let scalar = node.scalar, !scalar.text.isEmpty, node.place.source == index else { return nil }
        for quote in scalar.isPlain ? [""] : ["\"", "'"] {
            let text = Array((quote + scalar.text + quote).utf8)
            let range = node.place.offset..<node.place.offset + text.count
            if range.upperBound <= source.bytes.count, source.bytes[range].elementsEqual(text) { return range }
        }
        return nil
    }

    /// What stands between two entries: in a sequence of lines a new one with its dash.
    private func separator(before place: Range<Int>) -> String {
        let before = source.bytes[..<place.lowerBound]
        let start = (before.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
        let margin = String(decoding: before[start...], as: UTF8.self)
        let isLine = margin.contains("-") && margin.allSatisfy { $0 == " " || $0 == "-" }
        // The dash of the rule itself, or of a sequence around, may stand before it.
        guard isLine, let dash = margin.lastIndex(of: "-") else { return ", " }
        return "\n" + String(repeating: " ", count: margin[..<dash].count) + margin[dash...]
    }

    private func text(of range: Range<Int>) -> String { String(decoding: source.bytes[range], as: UTF8.self) }

    private func edit(_ range: Range<Int>, _ new: String) -> PolicyEdit {
        let position = source.position(of: range.lowerBound)
        return PolicyEdit(
            position: SourcePosition(file: source.name, line: position.line, column: position.column),
            old: text(of: range), new: new, place: SourcePlace(source: index, offset: range.lowerBound))
    }
}
