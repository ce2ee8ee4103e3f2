// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// A piece of a policy file's text, and what is to stand in its place.
package struct PolicyEdit: Hashable, Sendable {
    /// Of the first character that is replaced.
    package let position: SourcePosition
    package let old: String
    package let new: String
    /// In which of the policy's files, and from which byte on.
    let place: SourcePlace

    /// The files with the edit made.
    package func applied(to sources: [(name: String, text: [UInt8])]) -> [(name: String, text: [UInt8])] {
        var sources = sources
        var text = SourceText(name: "", bytes: sources[place.source].text).bytes
        text.replaceSubrange(place.offset..<place.offset + old.utf8.count, with: Array(new.utf8))
        sources[place.source].text = text
        return sources
    }
}
