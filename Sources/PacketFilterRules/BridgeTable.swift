// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// The nftables table that gives frames of a bridge to the queues: a table of our own, which no other rule set shares, so
/// that it goes without a trace.
///
/// Only frames that pass through are taken: those for this host itself go on to its IP layer, and a session to it does not
/// depend on the agent. The chain stands at priority 0, behind the place of other filters (-200): they see a frame that the
/// queue drops, and one that it passes goes on at the next hook.
package struct BridgeTable: Hashable, Sendable {
    package static let name = "portreeve"
    private static let opening = "table bridge \(name) {"

    /// The table as `nft` lists and reads it.
    package let text: String

    /// Tap implies `failure.engine: open`.
    package init(_ policy: PolicyDocument) {
        let queues = policy.queue.numbers
        let number =
            queues.count == 1 ? "\(queues.lowerBound)" : "\(queues.lowerBound)-\(queues.upperBound)"
        let bypasses = policy.failure.engine == .open || policy.mode == .tap
        let rules = Self.exceptions(policy) + ["queue num \(number)" + (bypasses ? " bypass" : "")]
        text = """
            \(Self.opening)
            \tchain forward {
            \t\ttype filter hook forward priority 0; policy accept;
            \(rules.map { "\t\t\($0)\n" }.joined())\t}
            }

            """
    }

    /// The one in a listing of tables, word for word; nil where there is none.
    package init?(in listing: String) {
        let lines = listing.split(whereSeparator: \.isNewline)
        guard let first = lines.firstIndex(where: { $0 == Self.opening }),
            let last = lines[first...].firstIndex(where: { $0 == "}" })
        else { return nil }
        text = lines[first...last].map { $0 + "\n" }.joined()
    }

    /// What `nft -f` reads to put the table in the place of an earlier one, in one step.
    package var script: String { Self.removal + text }

    /// What `nft -f` reads to take the table away, whether there is one or not.
    package static let removal = "add table bridge \(name)\ndelete table bridge \(name)\n"

    /// What passes before the queue. A frame is ignored only where both its ports are.
    static func exceptions(_ policy: PolicyDocument) -> [String] {
        let names = policy.interfaces.ignore.filter { $0 != "lo" && isExpressible($0) }
        return names.flatMap { from in names.map { "iifname \"\(from)\" oifname \"\($0)\" accept" } }
    }

    /// A name, or one with a "*" at its end and nowhere else, of at most IFNAMSIZ; the agent passes the frames of others.
    private static func isExpressible(_ name: String) -> Bool {
        let stem = name.hasSuffix("*") ? name.dropLast() : name[...]
        return !stem.isEmpty && stem.utf8.count < 16
            && stem.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !#"*?[]{}"'\!#"#.utf8.contains($0) }
    }
}
