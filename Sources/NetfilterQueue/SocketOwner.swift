// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// The user whom the kernel names as the owner of a socket (NFQA_UID).
package enum SocketOwner {
    /// As it names the owner of this process's sockets. The kernel counts users as they are outside all user namespaces, and a
    /// process knows only how its own namespace maps them to the one around it: inside two of them this is another user, and no
    /// packet is taken for this process's. nil: the map cannot be read, or has no place for this process's user.
    package static var ofThisProcess: UInt32? {
        guard case .success(let map) = readProcFile("/proc/thread-self/uid_map") else { return nil }
        return outside(geteuid(), String(decoding: map, as: UTF8.self))
    }

    /// A line of the map for each range of users: the first one inside, the first one outside, and how many
    /// (user_namespaces(7)).
    static func outside(_ user: UInt32, _ map: String) -> UInt32? {
        for line in map.split(separator: "\n") {
            let numbers = line.split(separator: " ").compactMap { UInt32($0) }
            guard numbers.count == 3, user >= numbers[0], user - numbers[0] < numbers[2] else { continue }
            let (outside, overflows) = numbers[1].addingReportingOverflow(user - numbers[0])
            return overflows || outside == .max ? nil : outside
        }
        return nil
    }
}
