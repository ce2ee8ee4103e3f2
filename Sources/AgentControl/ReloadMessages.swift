// SPDX-License-Identifier: GPL-3.0-or-later

/// How the policy files are to be put in force.
package struct ReloadRequest: Hashable, Sendable {
    /// Although the policy would shut out administrators who are connected.
    package var isForced = false
    /// For so long only, unless it is confirmed.
    package var confirmSeconds: Int64?
    /// Who asks, as `CallerSession.text` says it; nil where that is not known.
    package var caller: String?
    /// Sessions of administrators that the asking program sees, as in SSH_CONNECTION.
    package var sessions: [String] = []

    package static let confirmRange: ClosedRange<Int64> = 1...86_400
    /// More are not sent: a request has an end.
    package static let sessionLimit = 256

    package init() {}
}

/// Who confirms a policy that is on trial.
package struct KeepRequest: Hashable, Sendable {
    /// As `ReloadRequest.caller`.
    package var caller: String?
    /// Also where it is the session that put the policy in force.
    package var isForced = false

    package init() {}
}

/// How a reload went, or its confirmation.
package struct ReloadReport: Hashable, Sendable {
    /// False: the old policy is still in force and `diagnostics` say why.
    package var accepted: Bool
    /// Epoch of the policy that is in force now.
    package var epoch: UInt32
    /// The files that were read, in order.
    package var files: [String]
    /// Errors, and warnings of an accepted policy; each as it is printed, located, of one or more lines.
    package var diagnostics: [String]
    /// It was refused because it would shut out administrators who are connected.
    package var shutsOut = false
    /// Seconds after which the policy in force is taken back unless it is confirmed; nil where it is in force for good.
    package var takenBackIn: Int64?
    /// Of the policy that comes back then.
    package var earlierEpoch: UInt32?

    package init(accepted: Bool, epoch: UInt32, files: [String], diagnostics: [String]) {
        self.accepted = accepted
        self.epoch = epoch
        self.files = files
        self.diagnostics = diagnostics
    }
}

extension ReloadRequest {
    var members: [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        if isForced { members.append(.init("force", .bool(true))) }
        if let confirmSeconds { members.append(.init("confirm", .count(confirmSeconds))) }
        if let caller { members.append(.init("caller", .text(caller))) }
        if !sessions.isEmpty { members.append(.init("sessions", .texts(sessions))) }
        return members
    }

    /// Every member may be left out, for people who write requests by hand.
    init(_ reader: MessageReader) throws(ControlFailure) {
        isForced = try reader.optional("force", reader.bool) ?? false
        confirmSeconds = try reader.optional("confirm") { name throws(ControlFailure) in try reader.integer(name) }
        if let confirmSeconds, !Self.confirmRange.contains(confirmSeconds) {
            throw ControlFailure(.malformed, "member \"confirm\": expected 1 to 86400 seconds")
        }
        caller = try reader.optional("caller", reader.text)
        sessions = try reader.optional("sessions", reader.texts) ?? []
    }
}

extension KeepRequest {
    var members: [JSONValue.Member] {
        (caller.map { [.init("caller", .text($0))] } ?? []) + (isForced ? [.init("force", .bool(true))] : [])
    }

    init(_ reader: MessageReader) throws(ControlFailure) {
        caller = try reader.optional("caller", reader.text)
        isForced = try reader.optional("force", reader.bool) ?? false
    }
}

extension ReloadReport {
    var members: [JSONValue.Member] {
        var members: [JSONValue.Member] = [
            .init("accepted", .bool(accepted)), .init("epoch", .count(epoch)), .init("files", .texts(files)),
            .init("diagnostics", .texts(diagnostics)),
        ]
        if shutsOut { members.append(.init("shuts_out", .bool(true))) }
        if let takenBackIn { members.append(.init("taken_back_in", .count(takenBackIn))) }
        if let earlierEpoch { members.append(.init("earlier_epoch", .count(earlierEpoch))) }
        return members
    }

    init(_ reader: MessageReader) throws(ControlFailure) {
        accepted = try reader.bool("accepted")
        epoch = try reader.integer("epoch")
        files = try reader.texts("files")
        diagnostics = try reader.texts("diagnostics")
        shutsOut = try reader.optional("shuts_out", reader.bool) ?? false
        takenBackIn = try reader.optional("taken_back_in") { name throws(ControlFailure) in try reader.integer(name) }
        earlierEpoch = try reader.optional("earlier_epoch") { name throws(ControlFailure) in try reader.integer(name) }
    }
}
