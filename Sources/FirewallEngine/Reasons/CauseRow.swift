// SPDX-License-Identifier: GPL-3.0-or-later

/// One row of the table of causes.
public struct CauseRow: Sendable {
    /// What an administrator turns to change the outcome.
    public enum Remedy: Hashable, Sendable {
        /// The policy setting with this full path.
        case setting(String)
        /// The rule that the event names.
        case rule
        /// The rules as a whole: one that admits the packet is missing.
        case rules
        /// Nothing: the packet is nonsense by itself, or a bound that no setting moves decided.
        case nothing
    }

    public let cause: Cause
    /// Stable machine name: `above-ceiling`.
    public let slug: String
    public let remedy: Remedy
    /// What is so, one clause without a full stop.
    public let sentence: String

    init(_ cause: Cause, _ slug: String, _ remedy: Remedy, _ sentence: String) {
        self.cause = cause
        self.slug = slug
        self.remedy = remedy
        self.sentence = sentence
    }

    init(_ cause: Cause, _ slug: String, _ setting: String, _ sentence: String) {
        self.init(cause, slug, .setting(setting), sentence)
    }

    /// That a connection was idle for longer than this timeout.
    init(_ cause: Cause, timeout name: String) {
        self.init(
            cause, "\(name)-timeout", "engine.timeouts.\(name)",
            "its connection was forgotten after being idle for \(name)")
    }
}

extension Cause {
    /// Its row of the table.
    public var row: CauseRow { CauseRow.all[Int(rawValue)] }

    /// Whether an administrator can turn it: its row has a remedy. Asked for every refused packet, hence not of the table.
    public var isTurnable: Bool {
        switch self {
        case .none, .malformed, .headerChecksum, .invalidSource, .multicastSource, .fragmentLength,
            .fragmentBeyondDatagram, .fragmentOverlap, .fragmentsHeld, .datagramSuperseded, .noConnection,
            .noAcknowledgement, .belowReach,
            .aboveCeiling, .pastFIN, .acknowledgesUnsent, .acknowledgesTooOld, .selectivelyAcknowledgesUnsent,
            .resetOutsideWindow, .outsideOpening, .closedConnection, .inconsistentEntry, .administratorBlock,
            .scannerBlock:
            false
        default: true
        }
    }

    /// What one rule says decided: its action, or its rate.
    public var isOfOneRule: Bool { self == .denyRule || self == .ruleRate }

    /// The full path of the setting that decided, where one did.
    public var setting: String? {
        guard case .setting(let path) = row.remedy else { return nil }
        return path
    }
}
