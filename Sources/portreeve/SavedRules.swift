// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import Glibc
import PacketFilterRules

/// The rules that come back at the next boot: a file for each family, as `iptables-restore --noflush` reads it. The files
/// are the switch of `portreeve-rules.service`, which does nothing without them.
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

    /// By family; empty where nothing is saved.
    var rules: [AddressFamily: OwnRules] {
        var rules: [AddressFamily: OwnRules] = [:]
        for family in AddressFamily.allCases {
            guard let text = readText(path(family)) else { continue }
            rules[family] = OwnRules(in: SavedRuleset(text, command: family.command, family: family))
        }
        return rules
    }

    func write(_ rules: [AddressFamily: OwnRules]) throws(Failure) {
        for family in AddressFamily.allCases {
            guard let own = rules[family], !own.isEmpty else { continue }
            let text = "# Written by portreeve iptables --save.\n" + own.restoreText(replacing: OwnRules())
            if let error = replaceFile(path(family), with: text) {
                throw Failure(description: "\(path(family)): \(error)")
            }
        }
        for family in AddressFamily.allCases where rules[family]?.isEmpty ?? true { unsafe unlink(path(family)) }
    }

    /// Whether there was something to remove.
    func remove() throws(Failure) -> Bool {
        var removed = false
        for family in AddressFamily.allCases {
            if unsafe unlink(path(family)) == 0 {
                removed = true
            } else if errno != ENOENT {
                throw Failure(description: "\(path(family)): \(SystemError.text(errno))")
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
