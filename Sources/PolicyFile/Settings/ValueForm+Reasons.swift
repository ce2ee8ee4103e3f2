// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine

extension ValueForm where Value == [UInt16] {
    /// Reasons by their slugs or numbers (docs/reasons.md), without order.
    static let reasons: ValueForm = {
        let several = ValueForm.oneOrSeveral(.reason, expected: "a sequence of reasons such as unsolicited-udp")
        return ValueForm(several.expected, schema: several.schema, print: several.print) { node, sink in
            several.read(node, &sink).map { Set($0).sorted() }
        }
    }()
}

extension ValueForm where Value == UInt16 {
    fileprivate static let reason = ValueForm.scalar(
        expectedReason,
        schema: SchemaText.values(ReasonRow.all.map { "\(jsonText($0.slug)),\($0.number),\"\($0.number)\"" }),
        print: { DropReason(number: $0)?.row.slug ?? String($0) },
        parse: { scalar throws(ScalarFault) in
            if let reason = DropReason(slug: scalar.text) { return reason.row.number }
            guard let number = try? decimal(scalar.text, in: 0...UInt16.max, expected: expectedReason),
                let reason = DropReason(number: number)
            else {
                throw ScalarFault(expectedReason, suggestion: meant(scalar.text, among: ReasonRow.all.map(\.slug)))
            }
            return reason.row.number
        })
}

private let expectedReason = "the slug or the number of a reason (portreeve reasons lists them)"
