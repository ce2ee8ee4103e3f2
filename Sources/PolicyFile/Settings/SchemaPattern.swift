// SPDX-License-Identifier: GPL-3.0-or-later

/// Regular expressions, as JSON Schema has them (ECMA-262), for the texts of the policy. Without anchors.
enum SchemaPattern {
    /// Decimal numbers of a range, without leading zeros.
    static func decimal(_ range: ClosedRange<UInt64>) -> String {
        var patterns: [String] = []
        var low = range.lowerBound
        while true {
            // All numbers of as many digits as `low` has.
            let digits = String(low).utf8.count
            let (limit, overflows) = (0..<digits).reduce((UInt64(1), false)) { product, _ in
                let (value, isTooMuch) = product.0.multipliedReportingOverflow(by: 10)
                return (value, product.1 || isTooMuch)
            }
            let high = overflows ? range.upperBound : min(range.upperBound, limit - 1)
            patterns += between(Array(String(low).utf8), Array(String(high).utf8))
            if high == range.upperBound { break }
            low = high + 1
        }
        return group(patterns)
    }

    /// Numbers between two of as many digits.
    private static func between(_ low: [UInt8], _ high: [UInt8]) -> [String] {
        guard let first = low.first, let last = high.first else { return [""] }
        let (lowRest, highRest) = (Array(low.dropFirst()), Array(high.dropFirst()))
        if first == last { return between(lowRest, highRest).map { digit(first...first) + $0 } }
        var (from, to) = (first, last)
        var patterns: [String] = []
        if lowRest.contains(where: { $0 != UInt8(ascii: "0") }) {
            let nines = [UInt8](repeating: UInt8(ascii: "9"), count: lowRest.count)
            patterns += between(lowRest, nines).map { digit(first...first) + $0 }
            from += 1
        }
        var tail: [String] = []
        if highRest.contains(where: { $0 != UInt8(ascii: "9") }) {
            let zeros = [UInt8](repeating: UInt8(ascii: "0"), count: highRest.count)
            tail = between(zeros, highRest).map { digit(last...last) + $0 }
            to -= 1
        }
        if from <= to {
            let any = lowRest.isEmpty ? "" : lowRest.count == 1 ? "[0-9]" : "[0-9]{\(lowRest.count)}"
            patterns.append(digit(from...to) + any)
        }
        return patterns + tail
    }

    private static func digit(_ range: ClosedRange<UInt8>) -> String {
        let (first, last) = (Character(Unicode.Scalar(range.lowerBound)), Character(Unicode.Scalar(range.upperBound)))
        return first == last ? "\(first)" : "[\(first)-\(last)]"
    }

    static func group(_ patterns: [String]) -> String {
        patterns.count == 1 ? patterns[0] : "(?:\(patterns.joined(separator: "|")))"
    }

    /// When a rule ends.
    static let moment =
        "(?:19[7-9][0-9]|[2-9][0-9]{3})-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?"
        + "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"

    /// What can name a list. Of scripts beyond ASCII any character: not every validator knows Unicode's classes.
    static let name = #"(?!(?:any|not)$)[^\u0000-@\[-^`{-\u007f]"# + nameRest
    /// What can name a new list: no name may be taken for a MAC address.
    static let newName = "(?!(?:\(mac))$)\(name)"
    /// What can name a service: also a name that begins with digits.
    static let serviceName = "[0-9]+[A-Za-z]" + nameRest
    private static let nameRest = #"[^\u0000-,/:-@\[-^`{-\u007f]*"#

    static let port = decimal(0...65_535)
    static let ports = "\(port)(?:-\(port))?"

    static let ipv4: String = {
        let octet = decimal(0...255)
        return "(?:\(octet)\\.){3}\(octet)"
    }()

    /// RFC 4291 section 2.2, as RFC 3986 says it in a grammar.
    static let ipv6: String = {
        let group = "[0-9A-Fa-f]{1,4}"
        let last = "(?:\(group):\(group)|\(ipv4))"
        /// At most so many groups before `::`.
        func before(_ count: Int) -> String { "(?:(?:\(group):){0,\(count - 1)}\(group))?" }
        var alternatives = ["(?:\(group):){6}\(last)", "::(?:\(group):){5}\(last)"]
        alternatives += (0...4).map { "\(before(5 - $0))::(?:\(group):){\($0)}\(last)" }
        return SchemaPattern.group(alternatives + ["\(before(6))::\(group)", "\(before(7))::"])
    }()

    /// An address, a prefix or a range.
    static let ipv4Range = "\(ipv4)(?:/\(decimal(0...32))|-\(ipv4))?"
    static let ipv6Range = "\(ipv6)(?:/\(decimal(0...128))|-\(ipv6))?"

    static let mac = group([
        "[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}", "[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}",
    ])

    /// The kernel's names have 15 bytes at most; a glob may be longer.
    static let interface = group([#"[^\u0000- /:\u007f]{1,15}"#, #"[^\u0000- /:\u007f]*[*?\[][^\u0000- /:\u007f]*"#])

    static let timeZone = "[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*"

    static let days: String = {
        let day = group(weekdays)
        return "all|\(day)(?:-\(day))?"
    }()

    /// `08:00-18:00`, and not the same time twice.
    static let dayTime: String = {
        let clock = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
        return "(?!(.{5})-\\1$)\(clock)-(?:\(clock)|24:00)"
    }()

    static let absolutePath = "/.*[^/]"
}
