// SPDX-License-Identifier: GPL-3.0-or-later

/// When and where a report was made; reports themselves know no clock.
package struct ReportStamp: Sendable {
    /// "2026-11-21T09:15:02", in UTC.
    package var time: String
    /// The same as people there read it, with the offset: "2026-11-21 10:15:02 +0100".
    package var local: String
    /// The name of the host that scanned.
    package var host: String

    package init(time: String, local: String, host: String) {
        self.time = time
        self.local = local
        self.host = host
    }
}

extension String {
    /// As text or as an attribute's value of XML 1.0 and of HTML: what is markup is escaped, and what XML has no character for is
    /// replaced.
    var marked: String {
        var text = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "&": text += "&amp;"
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "\"": text += "&quot;"
            case "\n", "\t": text.unicodeScalars.append(scalar)
            case "\u{0}"..."\u{1f}", "\u{7f}"..."\u{9f}", "\u{fffe}", "\u{ffff}": text += "\u{fffd}"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
