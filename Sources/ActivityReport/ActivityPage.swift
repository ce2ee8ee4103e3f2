// SPDX-License-Identifier: GPL-3.0-or-later

package import AgentControl
import Glibc
import PolicyFile

/// One page with everything in it: the report as JSON, the template that shows it, and the two libraries that do so. It asks nobody
/// for anything, and may ask nobody.
package struct ActivityPage {
    /// A library as Debian packages it.
    package struct Library: Sendable {
        package let path: String
        package let package: String

        package static let mustache = Library(
            path: "/usr/share/javascript/mustache/mustache.min.js", package: "libjs-mustache")
        package static let chart = Library(
            path: "/usr/share/javascript/chart.js/chart.min.js", package: "libjs-chart.js")
        private static let mostBytes = 4 << 20

        /// Its text.
        fileprivate func text() throws(PageError) -> String {
            do {
                return String(decoding: try readFile(path, atMost: Library.mostBytes), as: UTF8.self)
            } catch {
                throw PageError(
                    "\(path): \(error.reason): the page needs it; it is of Debian's package \(package): \"apt install "
                        + "\(Library.mustache.package) \(Library.chart.package)\"; --json needs neither")
            }
        }
    }

    package struct PageError: Error, CustomStringConvertible {
        package let description: String
        fileprivate init(_ description: String) { self.description = description }
    }

    private let mustache: String
    private let chart: String

    package init() throws(PageError) {
        self.init(mustache: try Library.mustache.text(), chart: try Library.chart.text())
    }

    init(mustache: String, chart: String) {
        self.mustache = mustache
        self.chart = chart
    }

    /// The whole page, which is UTF-8.
    package func text(_ report: JSONValue) -> String {
        let title = "Portreeve on \(report["host"]?.asText ?? "")"
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>\(Self.marked(title))</title>
            <style>
            \(Self.style)
            </style>
            </head>
            <body>
            <noscript>This page draws itself with the scripts that stand in it; "portreeve report --json" prints the same for others.</noscript>
            <main id="page"></main>
            <script type="application/json" id="report">\(Self.unclosed(report.printed))</script>
            <script type="text/x-mustache" id="template">
            \(Self.template)
            </script>
            <script>\(mustache)</script>
            <script>\(chart)</script>
            <script>
            \(Self.script)
            </script>
            </body>
            </html>

            """
    }

    /// JSON that ends no element of the page, whatever a rule is called: no "<" is left in it.
    private static func unclosed(_ json: String) -> String { json.replacing("<", with: "\\u003c") }

    private static func marked(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    }
}
