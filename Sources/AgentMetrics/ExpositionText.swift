// SPDX-License-Identifier: GPL-3.0-or-later

/// The two formats in which Prometheus reads metrics; they differ in how families are named.
package enum ExpositionFormat: Sendable {
    /// The text format 0.0.4.
    case prometheus
    /// OpenMetrics 1.0.0.
    case openMetrics

    package var mediaType: String {
        switch self {
        case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }
}

/// Writes metric families: a name, what it means, and its samples.
struct ExpositionText {
    enum Kind: String {
        case counter, gauge, histogram, info
    }

    typealias Labels = KeyValuePairs<String, String>

    private let format: ExpositionFormat
    private(set) var text = ""
    private var name = ""

    init(_ format: ExpositionFormat) {
        self.format = format
        text.reserveCapacity(64 * 1024)
    }

    /// Begins a family. `name` is the one of its samples: counters end in `_total`, information in `_info`.
    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        self.name = name
        let family = format == .openMetrics ? name.withoutSuffix(of: kind) : name
        let word = format == .prometheus && kind == .info ? "gauge" : kind.rawValue
        text += "# HELP \(family) \(help)\n# TYPE \(family) \(word)\n"
    }

    mutating func sample(_ value: UInt64) { sample([:], value) }

    mutating func sample(_ labels: Labels, _ value: UInt64) { line(name, labels, "\(value)") }

    /// A histogram's samples.
    mutating func samples(_ queue: String, _ histogram: LatencyHistogram) {
        var sum: UInt64 = 0
        for (place, bound) in LatencyHistogram.bounds.enumerated() {
            sum &+= histogram.counts[place]
            line("\(name)_bucket", ["queue": queue, "le": bound.seconds], "\(sum)")
        }
        sum &+= histogram.counts[LatencyHistogram.bounds.count]
        line("\(name)_bucket", ["queue": queue, "le": "+Inf"], "\(sum)")
        line("\(name)_count", ["queue": queue], "\(sum)")
        line("\(name)_sum", ["queue": queue], "\(Double(histogram.nanoseconds) / 1e9)")
    }

    /// The whole text.
    consuming func finished() -> String {
        if format == .openMetrics { text += "# EOF\n" }
        return text
    }

    private mutating func line(_ name: String, _ labels: Labels, _ value: String) {
        text += name
        if !labels.isEmpty {
            text += "{"
            for (place, label) in labels.enumerated() {
                text += "\(place == 0 ? "" : ",")\(label.key)=\"\(label.value.escaped)\""
            }
            text += "}"
        }
        text += " \(value)\n"
    }
}

extension String {
    /// OpenMetrics names a family without the suffix that its samples have.
    fileprivate func withoutSuffix(of kind: ExpositionText.Kind) -> String {
        switch kind {
        case .counter where hasSuffix("_total"): String(dropLast("_total".count))
        case .info where hasSuffix("_info"): String(dropLast("_info".count))
        default: self
        }
    }

    /// As label values are written.
    fileprivate var escaped: String {
        var text = ""
        for character in unicodeScalars {
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(character)
            }
        }
        return text
    }
}
