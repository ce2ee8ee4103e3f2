// SPDX-License-Identifier: GPL-3.0-or-later

import Synchronization

/// The host's users and groups, as its own files have them (passwd(5), group(5)): read once, and only if a policy names one; what is
/// read belongs to the policy, and is kept with it.
///
/// No directory service is asked: the policy has to load at boot, before there is a network, and in a service that may talk to nobody.
package final class HostAccounts: Sendable {
    package static let users = "/etc/passwd"
    static let groups = "/etc/group"

    private let surroundings: Surroundings
    /// What was read, by its path.
    private let known = Mutex<[String: [String: UInt32]]>([:])

    init(_ surroundings: Surroundings) { self.surroundings = surroundings }

    /// Those of this host, as they are now.
    package static var host: HostAccounts { HostAccounts(.host) }

    /// By name or number.
    package func user(_ text: String) -> UInt32? { users[text] ?? UInt32(text).flatMap { $0 == .max ? nil : $0 } }
    package func group(_ text: String) -> UInt32? { groups[text] ?? UInt32(text).flatMap { $0 == .max ? nil : $0 } }

    /// The group that a user's processes begin with.
    package func group(ofUser user: UInt32) -> UInt32? {
        let lines = ((try? surroundings.read(Self.users)) ?? []).split(separator: UInt8(ascii: "\n"))
        for line in lines {
            let fields = line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
            guard fields.count >= 4, UInt32(String(decoding: fields[2], as: UTF8.self)) == user else { continue }
            return UInt32(String(decoding: fields[3], as: UTF8.self))
        }
        return nil
    }

    package var users: [String: UInt32] { numbers(in: Self.users) }
    var groups: [String: UInt32] { numbers(in: Self.groups) }

    private func numbers(in path: String) -> [String: UInt32] {
        known.withLock { known in
            if let numbers = known[path] { return numbers }
            let numbers = Self.numbers((try? surroundings.read(path)) ?? [])
            known[path] = numbers
            return numbers
        }
    }

    /// Both files have the name first and the number third. The first line of a name counts, as it does for getpwnam(3); one that is
    /// none of the form is nothing.
    static func numbers(_ bytes: [UInt8]) -> [String: UInt32] {
        var numbers: [String: UInt32] = [:]
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: ":"), maxSplits: 3, omittingEmptySubsequences: false)
            guard fields.count >= 3, let first = fields[0].first, first != UInt8(ascii: "#"),
                first != UInt8(ascii: "+"),
                let number = UInt32(String(decoding: fields[2], as: UTF8.self)), number != .max
            else { continue }
            let name = String(decoding: fields[0], as: UTF8.self)
            if numbers[name] == nil { numbers[name] = number }
        }
        return numbers
    }
}
