// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
import FirewallPolicy
import PacketWire

extension OpeningRate {
    private static let expected =
        "a number of connections and a time with its unit, such as 10/1m per source (1 to 1000000 in 1s to 1d)"
    private static let ending = " per source"

    /// `10/1m`, or `10/1m per source`, which is the same.
    package static let form = ValueForm<OpeningRate>.scalar(
        expected,
        schema: SchemaText.text(
            "(?:\(SchemaPattern.decimal(UInt64(counts.lowerBound)...UInt64(counts.upperBound))))/(?:\(timePattern(spans)))(?:\(ending))?"
        ),
        print: { "\($0.count)/\(timeText($0.span))\(ending)" },
        parse: { scalar throws(ScalarFault) in
            let text = scalar.text.hasSuffix(ending) ? scalar.text.dropLast(ending.count) : scalar.text[...]
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw ScalarFault(expected) }
            let count = try decimal(
                String(parts[0]), in: UInt64(counts.lowerBound)...UInt64(counts.upperBound), expected: expected)
            guard let suggestion = meant[String(parts[1])] else {
                return OpeningRate(
                    count: UInt32(count), span: try parseTime(String(parts[1]), in: spans, expected: expected))
            }
            throw ScalarFault(expected, suggestion: "write \(count)/\(suggestion)")
        })

    /// As the policy file writes it.
    package var text: String { OpeningRate.form.print(self) }

    /// As other programs write their times.
    private static let meant = [
        "second": "1s", "sec": "1s", "s": "1s", "minute": "1m", "min": "1m", "m": "1m", "hour": "1h", "h": "1h",
        "day": "1d", "d": "1d",
    ]
}
