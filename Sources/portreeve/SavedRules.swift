// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import Glibc
import PacketFilterRules

/// The rules that come back at the next boot: a file for each family, as `iptables-restore --noflush` reads it, and one for
/// frames of bridges, as `nft -f` does. The files are the switch of `portreeve-rules.service`, which does nothing without them.
///
/// What was in place is saved, not the policy that it came from: what was confirmed is what comes back, and a policy that
/// has become unreadable meanwhile leaves the host shut and not unprotected.
struct SavedRules {
    static let defaultPath = "/etc/portreeve"
    static let unit = "portreeve-rules.service"

    let directory: String

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private func path(_ family: AddressFamily) -> String { "\(directory)/rules.\(family == .ipv4 ? "v4" : "v6")" }
    private var bridgePath: String { "\(directory)/rules.bridge" }

    /// Empty where nothing is saved.
    var rules: OwnRulesets {
        var rules = OwnRulesets(bridge: readText(bridgePath).flatMap { BridgeTable(in: $0) })
        for family in AddressFamily.allCases {
            guard let text = readText(path(family)) else { continue }
            rules.families[family] = OwnRules(in: SavedRuleset(text, command: family.command, family: family))
        }
        return rules
    }

    func write(_ rules: OwnRulesets) throws(Failure) {
        var texts: [(path: String, text: String?)] = AddressFamily.allCases.map { family in
            (path(family), rules[family].isEmpty ? nil : rules[family].restoreText(replacing: OwnRules()))
        }
        texts.append((bridgePath, rules.bridge?.script))
        for case (let path, let text?) in texts {
            if let error = replaceFile(path, with: "# Written by portreeve iptables --save.\n" + text) {
                throw Failure(description: "\(path): \(error)")
            }
        }
        for case (let path, nil) in texts { unsafe unlink(path) }
    }

    /// Whether there was something to remove.
    func remove() throws(Failure) -> Bool {
        var removed = false
        for path in AddressFamily.allCases.map(path) + [bridgePath] {
            if unsafe unlink(path) == 0 {
                removed = true
            } else if errno != ENOENT {
                throw Failure(description: "\(path): \(SystemError.text(errno))")
            }
        }
        return removed
    }
}

/// Writes a file whole or not at all, for its owner alone, and on the disk before it returns; the answer is what went wrong.
func replaceFile(_ path: String, with text: String) -> String? {
    let temporary = path + ".new"
    let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return SystemError.text(errno) }
    let count = unsafe write(descriptor, text, text.utf8.count)
    let isWhole = count == text.utf8.count && fsync(descriptor) == 0
    close(descriptor)
    guard isWhole, unsafe rename(temporary, path) == 0 else { return SystemError.text(errno) }
    return nil
}
