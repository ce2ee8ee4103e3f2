// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// What brings lines to where an output sends them; each kind stands in a file of its own beside this one.
enum OutputTarget {
    case file(EventFileWriter)
    case syslog(SyslogWriter)

    init(_ target: OutputSettings.Target, _ peers: OwnPeers) {
        switch target {
        case .file(let path, let rotation): self = .file(EventFileWriter(path: path, rotation: rotation))
        case .syslog(let settings, let mark): self = .syslog(SyslogWriter(settings, mark: mark, peers))
        }
    }

    /// What makes messages of its records, where they are no lines.
    var syslogForm: SyslogForm? {
        switch self {
        case .file: nil
        case .syslog(let writer): writer.form
        }
    }

    /// As status says it.
    var text: String {
        switch self {
        case .file(let writer): writer.path
        case .syslog(let writer): "\(writer.settings.target)"
        }
    }

    /// What is wrong although lines arrive: what, where and the cure.
    var warning: String? {
        switch self {
        case .file(let writer): writer.warning
        case .syslog(let writer): writer.warning
        }
    }

    /// The target has to be opened although no line waits.
    var mustOpen: Bool {
        switch self {
        case .file(let writer): writer.mustOpen
        case .syslog: false
        }
    }

    /// Differs once it has taken something, be it less than a line.
    var progress: Int {
        switch self {
        case .file(let writer): writer.torn
        case .syslog(let writer): writer.progress
        }
    }

    /// Lines were sent of which it is not known yet whether they have arrived.
    var isAwaitingConfirmation: Bool {
        switch self {
        case .file: false
        case .syslog(let writer): writer.isAwaitingConfirmation
        }
    }

    /// What can be waited for, or -1.
    var descriptor: Int32 {
        switch self {
        case .file(let writer): writer.descriptor
        case .syslog(let writer): writer.descriptor
        }
    }

    func open() throws(OutputError) {
        switch self {
        case .file(let writer):
            do throws(EventFileError) { try writer.open() } catch { throw error.ofOutput }
        // A receiver that is not there yet keeps no firewall from starting.
        case .syslog: return
        }
    }

    /// Sends what waits, up to the first failure. Never waits for a reader.
    func send(_ backlog: inout EventBacklog, at now: Instant) throws(OutputError) {
        switch self {
        case .file(let writer):
            do throws(EventFileError) { try writer.send(&backlog) } catch { throw error.ofOutput }
        case .syslog(let writer):
            do throws(SyslogFault) { try writer.send(&backlog, at: now) } catch { throw error.ofOutput }
        }
    }

    func reopen() {
        switch self {
        case .file(let writer): writer.reopen()
        case .syslog(let writer): writer.reopen()
        }
    }

    /// Goes to another place of the same kind, or becomes of another kind.
    mutating func follow(_ target: OutputSettings.Target, _ peers: OwnPeers) {
        switch (self, target) {
        case (.file(let writer), .file(let path, let rotation)): writer.follow(path: path, rotation: rotation)
        case (.syslog(let writer), .syslog(let settings, let mark)): writer.follow(settings, mark: mark)
        case (_, let target):
            close()
            self = OutputTarget(target, peers)
        }
    }

    /// Waits until a slow reader takes bytes again, at most so long.
    func waitUntilWritable(milliseconds: Int32) {
        switch self {
        case .file(let writer): writer.waitUntilWritable(milliseconds: milliseconds)
        case .syslog(let writer): writer.waitUntilWritable(milliseconds: milliseconds)
        }
    }

    /// At the end: gives what was sent a moment to be confirmed.
    func settle(_ backlog: inout EventBacklog) {
        switch self {
        case .file: return
        case .syslog(let writer): writer.settle(&backlog)
        }
    }

    func close() {
        switch self {
        case .file(let writer): writer.close()
        case .syslog(let writer): writer.close()
        }
    }
}
