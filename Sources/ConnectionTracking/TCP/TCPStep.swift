// SPDX-License-Identifier: GPL-3.0-or-later

/// Why the tracker refuses a segment; each is one reason of stage T.
public enum TCPRefusal: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// 101
    case invalidFlags
    /// 102
    case invalidSequence
    /// 103
    case invalidACK
    /// 104
    case internalStatesError
    /// 138
    case packetOnClosedConnection
}

/// The anti-evasion rows that only the state of a connection can judge.
public enum TCPPostureRow: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case invalidTimestamps
    case pawsZero
    /// Here: data on a SYN+ACK whose SYN did not ask for Fast Open.
    case synData
    case splitHandshake
    /// A segment with or without an authentication option, against what its SYN had.
    case tcpAuthOption
}

extension AntiEvasion {
    public func action(_ row: TCPPostureRow) -> PostureAction {
        switch row {
        case .invalidTimestamps: invalidTimestamps
        case .pawsZero: pawsZero
        case .synData: synData
        case .splitHandshake: splitHandshake
        case .tcpAuthOption: tcpAuthOption
        }
    }
}

/// The outcome of one step. A refused segment has changed nothing.
public struct TCPStep: Equatable, Sendable, BitwiseCopyable {
    /// `nil`: the segment passes.
    public var refusal: TCPRefusal?
    /// What the segment would be refused for if its posture row said `deny` instead of `log`.
    public var logged: TCPRefusal?
    /// The test that decided `refusal`, where no row did.
    public var fault: TCPFault?
    /// The row that decided `refusal` or `logged`, where one did.
    public var row: TCPPostureRow?
    /// The entry is a new connection from here on, with `TCPState.opener` as its opener: what was counted for the old one
    /// has to be counted anew.
    public var reopened = false
    /// It only repeats what was said before: it renews nothing.
    public var isLate = false
    /// Its receiver ignores it: it has changed nothing, and what it carries is of no account.
    public var isIgnored = false
    /// The row says `deny-silent`: drop without an event.
    public var isSilent = false

    static let passed = TCPStep()

    static func refused(_ refusal: TCPRefusal, _ fault: TCPFault) -> TCPStep {
        var step = TCPStep()
        step.refusal = refusal
        step.fault = fault
        return step
    }

    /// The step of a segment that shows the trait of this row: it goes on unless the row drops it.
    static func judged(_ row: TCPPostureRow, as refusal: TCPRefusal, by posture: AntiEvasion) -> TCPStep {
        let action = posture.action(row)
        if action == .allow { return .passed }
        var step = TCPStep()
        step.row = row
        step.isSilent = action == .denySilent
        if action.drops { step.refusal = refusal } else { step.logged = refusal }
        return step
    }
}
