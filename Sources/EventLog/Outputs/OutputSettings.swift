// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// One place that events go to, and the form in which they go there.
package struct OutputSettings: Hashable, Sendable {
    package enum Target: Hashable, Sendable {
        /// A regular file, a FIFO or a character device. Only a regular file has an end.
        case file(path: String, rotation: EventRotation = EventRotation(size: nil))
        /// Messages to a receiver, in the form that it asks for. The mark is that of the agent's own packets.
        case syslog(SyslogSettings, mark: UInt32 = 0)
    }

    /// Tells outputs apart, also over a reload: what has another name is another output.
    package var name: String
    package var format: EventFormat
    package var target: Target
    /// nil is without a bound.
    package var budget: EventBudget?
    /// Where lines wait that the target does not take, beyond those in memory; nil is nowhere.
    package var spool: Spool?

    package struct Spool: Hashable, Sendable {
        package var path: String
        package var size: UInt64
        package init(path: String, size: UInt64) {
            self.path = path
            self.size = size
        }
    }

    package init(
        name: String, format: EventFormat, target: Target, budget: EventBudget? = nil, spool: Spool? = nil
    ) {
        self.name = name
        self.format = format
        self.target = target
        self.budget = budget
        self.spool = spool
    }
}

extension OutputSettings {
    /// A receiver of syslog, which is known by its target.
    package init(_ syslog: SyslogSettings, mark: UInt32 = 0, spools directory: String) {
        let name = "\(syslog.target)"
        let spool = syslog.spool.map { Spool(path: "\(directory)/\(Spool.fileName(of: name))", size: $0) }
        self.init(
            name: name, format: syslog.format, target: .syslog(syslog, mark: mark), budget: syslog.budget, spool: spool)
    }

    /// Whether it sends packets, which the firewall judges as any others.
    var isNetwork: Bool {
        switch target {
        case .file: return false
        case .syslog(let settings, _):
            if case .local = settings.target { return false }
            return true
        }
    }
}

extension PolicyDocument {
    /// The outputs that the policy asks for, with their spools in a directory.
    package func outputs(spools directory: String) -> [OutputSettings] {
        let file = OutputSettings(
            name: "file", format: events.format, target: .file(path: events.path, rotation: events.rotation),
            budget: events.budget)
        let mark = MarkLayout(mask: queue.markMask).ownTraffic
        return [file] + events.syslog.map { OutputSettings($0, mark: mark, spools: directory) }
    }
}

extension OutputSettings.Spool {
    /// Of an output's name: `syslog-tls---logs.example.org-6514.spool`.
    fileprivate static func fileName(of name: String) -> String {
        let signs = name.utf8.map { byte -> UInt8 in
            let isPlain =
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
            return isPlain ? byte : UInt8(ascii: "-")
        }
        return "syslog-\(String(decoding: signs.prefix(200), as: UTF8.self)).spool"
    }
}
