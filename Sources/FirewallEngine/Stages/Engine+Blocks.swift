// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// Blocked sources: everything from them is dropped, before every rule.
extension Engine {
    /// Replaces the blocked sources. What passes in the kernel comes here again, so that a new block holds at once.
    public mutating func setBlockedSources(_ new: BlockedSources) {
        blocked = new
        generation &+= 1
    }

    /// This host's own packets are never blocked, by whatever address they go.
    mutating func blockOfSource(_ p: inout Inspection) -> Finding? {
        guard p.metadata.hook != .output, p.metadata.hook != .postrouting, !p.isLoopback, p.headers.isIP,
            let block = blocked.find(
                p.headers.source, version: p.headers.network == .ipv6 ? 6 : 4, at: p.now),
            !hostAddresses.isOwn(p.headers.source, on: p.interface)
        else { return nil }
        return Finding(.blockedSource, block.isOfScanner ? .scannerBlock : .administratorBlock)
    }
}
