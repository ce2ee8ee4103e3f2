// SPDX-License-Identifier: GPL-3.0-or-later

import CFastPath
package import PacketWire

/// A listener of this host: an address and a port.
package struct ListenerAddress: Hashable, Sendable {
    package var address: IPAddress
    package var port: UInt16
    /// 4 or 6.
    package var version: UInt8

    package init(address: IPAddress, port: UInt16, version: UInt8) {
        self.address = address
        self.port = port
        self.version = version
    }

    fileprivate var key: fastpath_listener_key {
        var key = fastpath_listener_key()
        unsafe withUnsafeMutableBytes(of: &key.address) { bytes in
            unsafe bytes.storeBytes(of: address.high.bigEndian, as: UInt64.self)
            unsafe bytes.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        key.port = port.bigEndian
        key.version = UInt16(version)
        return key
    }
}

/// Listeners to which SYNs pass before the queue, because they are flooded and the policy admits them from any source. What passes
/// does so in an epoch, and until a lease ends: one store closes all of them.
extension FastPathMaps {
    /// The most of them at a time.
    package static var listenerLimit: Int { Int(FASTPATH_LISTENERS) }

    /// Begins an epoch, in which no listener is open yet; the lease ends then.
    package func beginListeners(epoch: UInt32) {
        unsafe withCellOfListeners { cell in
            unsafe cfastpath_set_lease(cell, 0)
            unsafe cfastpath_set_epoch(cell, epoch, 0)
        }
    }

    /// Until when SYNs pass, on the coarse monotonic clock.
    package func setListenerLease(until end: Instant) {
        unsafe withCellOfListeners { unsafe cfastpath_set_lease($0, UInt64(clamping: end.nanoseconds)) }
    }

    /// Has SYNs to a listener pass. False where there is no room for it.
    package func openListener(_ listener: ListenerAddress, epoch: UInt32) -> Bool {
        var key = listener.key
        return unsafe cfastpath_open_listener(listeners, &key, epoch) == 0
    }

    /// SYNs to it come to the queue.
    package func closeListener(_ listener: ListenerAddress) {
        var key = listener.key
        unsafe cfastpath_remove(listeners, &key, MemoryLayout<fastpath_listener_key>.stride, 1)
    }

    /// How many SYNs to it have passed since it was opened; nil where it is not open.
    package func openings(of listener: ListenerAddress) -> UInt64? {
        var key = listener.key
        var passed: UInt64 = 0
        return unsafe cfastpath_openings(listeners, &key, &passed) == 0 ? passed : nil
    }
}
