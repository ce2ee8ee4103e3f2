// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import FirewallEngine
import Glibc
import PacketWire
import PolicyFile

/// Who sends, in words, for the events.
extension Housekeeper {
    /// Names of users, where the file of them has changed.
    func refreshUsers() {
        var info = stat()
        guard unsafe stat(HostAccounts.users, &info) == 0 else { return }
        let stamp = "\(info.st_ino) \(info.st_size) \(info.st_mtim.tv_sec) \(info.st_mtim.tv_nsec)"
        guard stamp != usersStamp else { return }
        usersStamp = stamp
        let users = HostAccounts.host.users.map { ($0.value, $0.key) }
        // Of several names of one number the first in the alphabet, always the same.
        log.setUsers(Dictionary(users) { min($0, $1) })
    }

    /// From now on events are asked for their senders' units.
    func followSenders() {
        let units = SocketUnits()
        log.setUnitOfSender { units.unit(of: $0) }
    }
}
