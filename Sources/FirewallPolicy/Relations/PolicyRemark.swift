// SPDX-License-Identifier: GPL-3.0-or-later

/// Something about a good policy that hardly is what its author meant.
public struct PolicyRemark: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// Nothing that comes in is restricted by a rule.
        case open
        /// An admitting rule that others outrank.
        case outranked
        /// An admitting rule that admits nothing.
        case dead
        /// Nobody can get in to administer the host.
        case unreachable
    }

    public let kind: Kind
    /// Of a rule: it is about everything that the rule is there for.
    public let coversRule: Bool
    /// The rule that it is about; nil where it is about the whole policy.
    public let position: SourcePosition?
    /// One sentence, without its full stop.
    public let text: String
    public let cure: String

    init(
        _ kind: Kind, at position: SourcePosition? = nil, coversRule: Bool = true, _ text: String, cure: String
    ) {
        self.kind = kind
        self.coversRule = coversRule
        self.position = position
        self.text = text
        self.cure = cure
    }

    /// In one line, with its place.
    public var line: String {
        let place = position.map { "\($0.file):\($0.line): " } ?? ""
        return "\(place)\(text): \(cure)"
    }
}
