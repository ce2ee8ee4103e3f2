// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl

/// Why no agent is there: what its last run left, or what the service manager says of it.
struct AgentFailure {
    /// In one line or more, what went wrong.
    let text: String
    /// Seconds since 1970; nil where nobody knows.
    let at: Int64?
    /// The service manager starts it again and again.
    let isRestarting: Bool

    /// Nil where it has not failed, as far as is known.
    init?(control path: String) {
        // The unit's agent is the one with the usual socket.
        let unit = path == ControlProtocol.defaultPath ? UnitStanding("portreeved.service") : nil
        isRestarting = unit?.isRestarting ?? false
        if let note = FailureNote(in: ControlProtocol.stateDirectory(control: path)) {
            text = note.text
            at = note.at
        } else if let unit, unit.hasFailed {
            text = "\(unit.sentence); \"journalctl -u portreeved\" says more"
            at = nil
        } else {
            return nil
        }
    }

    /// "portreeved fails to start: …"
    var sentence: String {
        let when = at.map { " (\(WallTime(seconds: $0).text))" } ?? ""
        let lines = text.split(whereSeparator: \.isNewline).map { String($0).harmless }
        return "portreeved fails to start\(when): \(lines.joined(separator: "\n  "))"
            + (isRestarting ? "\nthe service manager starts it again and again" : "")
    }
}

/// What systemd says of a unit that has failed.
private struct UnitStanding {
    let hasFailed: Bool
    let isRestarting: Bool
    let sentence: String

    /// Nil where systemd cannot be asked.
    init?(_ unit: String) {
        guard let facts = Systemd.facts(of: unit, ["ActiveState", "SubState", "Result", "NRestarts", "ExecMainStatus"])
        else { return nil }
        let result = facts["Result"] ?? ""
        isRestarting = facts["SubState"]?.hasPrefix("auto-restart") ?? false
        hasFailed = facts["ActiveState"] == "failed" || isRestarting || result != "success" && !result.isEmpty
        sentence =
            "systemd says \(facts["ActiveState"] ?? "?") (\(result), status \(facts["ExecMainStatus"] ?? "?")) after "
            + "\(facts["NRestarts"] ?? "?") restarts"
    }
}
