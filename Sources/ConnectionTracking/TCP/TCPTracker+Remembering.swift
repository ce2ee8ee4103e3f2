// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// Connections of which only that they are established is known, such as those that an earlier run of the agent knew.
extension TCPTracker {
    /// The state of an established connection whose windows are to be learnt from the next segment. Unlike one that is
    /// adopted from a segment, it was admitted by its handshake: it keeps the time of an established connection although
    /// nobody was heard yet.
    public static func remember(opener: Side, at now: Instant) -> TCPState {
        var state = TCPState()
        state.opener = opener
        state.phase = .established
        state.hasWindows = true
        state.low = remembered(at: now)
        state.high = state.low
        return state
    }

    private static func remembered(at now: Instant) -> TCPEndpoint {
        var endpoint = TCPEndpoint()
        endpoint.start = TCPEndpoint.second(of: now)
        endpoint.largestWindow = TCPEndpoint.greatestWindow
        endpoint.scale = 14
        endpoint.marks = [.silent, .unsettled, .remembered]
        return endpoint
    }
}
