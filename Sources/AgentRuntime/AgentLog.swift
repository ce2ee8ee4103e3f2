// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
package import Logging

/// The agent's own log: one line per message on standard error, with the priority prefix that journald reads
/// (sd-daemon(3)) when standard error is the journal.
package struct AgentLog: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var logLevel = Logger.Level.info
    private let writesPriorities: Bool

    package init() { writesPriorities = unsafe getenv("JOURNAL_STREAM") != nil }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var text = ""
        for line in event.message.description.split(separator: "\n") {
            text += writesPriorities ? "<\(AgentLog.priority(event.level))>" : "portreeved: "
            text += "\(line)\n"
        }
        let bytes = Array(text.utf8)
        // A journal that does not read must not stop the agent: what does not fit is not said.
        _ = unsafe write(STDERR_FILENO, bytes, bytes.count)
    }

    /// syslog(3).
    private static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .critical: 2
        case .error: 3
        case .warning: 4
        case .notice: 5
        case .info: 6
        case .debug, .trace: 7
        }
    }
}
