// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// How a listener stands: all by which it is settled whether SYNs to it get entries.
public struct ListenerStanding: Hashable, Sendable {
    public var address: IPAddress
    public var port: UInt16
    /// 4 or 6.
    public var version: UInt8
    public var mode: ListenerLoads.Mode
    /// SYNs to it may have passed unseen, before the queue.
    public var isUnseen: Bool
    /// Its half-open connections that have an entry.
    public var halfOpen: UInt32

    public init(
        address: IPAddress, port: UInt16, version: UInt8, mode: ListenerLoads.Mode, isUnseen: Bool, halfOpen: UInt32
    ) {
        self.address = address
        self.port = port
        self.version = version
        self.mode = mode
        self.isUnseen = isUnseen
        self.halfOpen = halfOpen
    }
}

extension ListenerLoads {
    /// nil where nothing is counted for such a listener.
    public func standing(of address: IPAddress, _ port: UInt16, version: UInt8) -> ListenerStanding? {
        find(address, port, version: version).map { standing(at: $0) }
    }

    /// For loads of one's own, in which nothing is counted yet.
    public mutating func assume(_ standing: ListenerStanding, at now: Instant, lasting span: Instant.Span) {
        guard let place = take(standing.address, standing.port, version: standing.version) else { return }
        assume(standing, at: place, end: now + span)
    }
}
