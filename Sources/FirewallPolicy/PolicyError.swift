// SPDX-License-Identifier: GPL-3.0-or-later

/// Why a document that is well-formed cannot become a policy.
public enum PolicyError: Error, Hashable, Sendable {
    /// The rules name more than `Policy.interfacePatternLimit` different interface names and globs.
    case tooManyInterfacePatterns(SourcePosition)
    /// The rules have more than `Policy.senderLimit` different sender criteria, or name more than `Policy.unitLimit` units.
    case tooManySenders(SourcePosition)
    /// The document has more than `Policy.scheduleLimit` schedules.
    case tooManySchedules(SourcePosition)
    /// A rule refers to a list or a schedule that the document does not have.
    case danglingReference(rule: String, SourcePosition)

    public var position: SourcePosition {
        switch self {
        case .tooManyInterfacePatterns(let position), .tooManySenders(let position), .tooManySchedules(let position),
            .danglingReference(_, let position):
            position
        }
    }

    /// What is wrong and what to do, without the position.
    public var message: String {
        switch self {
        case .tooManyInterfacePatterns:
            "the rules name more than \(Policy.interfacePatternLimit) different interfaces: write globs such as eth*"
        case .tooManySenders:
            "the rules have more than \(Policy.senderLimit) different sender criteria, or name more than "
                + "\(Policy.unitLimit) units: rules can share one"
        case .tooManySchedules:
            "more than \(Policy.scheduleLimit) schedules: rules can share one"
        case .danglingReference(let rule, _):
            "rule \"\(rule)\" refers to a list or a schedule that does not exist"
        }
    }
}
