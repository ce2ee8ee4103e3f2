// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

extension Setting {
    /// `reconnaissance.ignore`: lists and addresses, which are looked up once all files were read.
    static let ignoredScanners = Setting(
        key: "ignore", children: [],
        read: { node, _, draft, _ in draft.ignoredScanners = node },
        print: { document in
            guard let ignored = document.reconnaissance.ignored else { return "[]" }
            let list = document.addressLists[ignored.value]
            let text = list.name.map { "[\(yamlText($0))]" } ?? flowSequence(list.items(\.texts))
            return ignored.isInverted ? "{ not: \(text) }" : text
        },
        schema: SchemaText.explained(
            SchemaText.anyOf(#"{"type":"array","maxItems":0}"#, RuleSchema.addressCriterion),
            "addresses and names of lists; { not: ... } for all but these"))
}

extension PolicyDraft {
    /// The list of those of whom nothing is told.
    mutating func settleIgnoredScanners(_ sink: inout DiagnosticSink) {
        guard let node = ignoredScanners else { return }
        if case .sequence(let items) = node.content, items.isEmpty {
            document.reconnaissance.ignored = nil
        } else {
            document.reconnaissance.ignored = listCriterion(node, .addresses, &sink)
        }
    }
}
