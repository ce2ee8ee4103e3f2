// SPDX-License-Identifier: GPL-3.0-or-later

import CFastPath
import PacketWire

/// The windows of a connection as the program in the kernel keeps them, and back.
extension TCPState {
    /// Whether plain segments change nothing but bounds: the windows are there, no opening is under way, and no end has begun.
    ///
    /// Of a connection that was taken over, an acknowledgement beyond what was seen, and an empty segment ahead of it, tell the tracker
    /// more: the program sends them on to it.
    public var isSteady: Bool {
        phase == .established && hasWindows && !handshake.isUnderWay && low.isSteady && high.isSteady
    }

    /// The bounds for the program; what else is in the flow's state is left at 0.
    var fastPathState: FastPathState {
        var state = FastPathState()
        for side in [Side.low, .high] {
            state[side] = self[side].fastPathSide(before: self[side.opposite])
            state[side].is_learnt = windows == .learnt ? 1 : 0
        }
        return state
    }

    /// Takes up what the program has let pass, of the opening that these windows are of: another one may have taken its place.
    mutating func takeUp(_ state: FastPathState, at last: Instant) {
        guard hasWindows, low.start == state[.low].start, high.start == state[.high].start else { return }
        for side in [Side.low, .high] {
            self[side].takeUp(state[side], at: last)
            self[side].ceiling = self[side].ceiling.later(state[side.opposite].edge)
        }
        for side in [Side.low, .high] {
            self[side].takeUpGap(state[side], acknowledged: self[side.opposite].acknowledged)
        }
    }
}

extension TCPEndpoint {
    fileprivate var isSteady: Bool {
        marks.subtracting([.timestamped, .young, .gapped, .unsettled]).isEmpty && unseen == 0
    }

    /// Its own ceiling is what the peer has offered, and stands with the peer's side.
    fileprivate func fastPathSide(before peer: TCPEndpoint) -> fastpath_side {
        var side = fastpath_side()
        side.end = end
        side.edge = peer.ceiling
        side.window = largestWindow
        side.acknowledged = acknowledged
        side.start = start
        side.timestamp = timestamp
        side.scale = scale
        side.is_young = marks.contains(.young) ? 1 : 0
        side.has_timestamp = marks.contains(.timestamped) ? 1 : 0
        return side
    }

    fileprivate mutating func takeUp(_ side: fastpath_side, at last: Instant) {
        advance(to: side.end)
        acknowledged = acknowledged.later(side.acknowledged)
        if side.window > largestWindow { largestWindow = side.window }
        guard side.has_timestamp != 0, !marks.contains(.timestamped) || side.timestamp.isAfter(timestamp) else {
            return
        }
        marks.insert(.timestamped)
        timestamp = side.timestamp
        timestampSecond = TCPEndpoint.second(of: last)
    }

    /// `acknowledged` is what the peer has acknowledged.
    fileprivate mutating func takeUpGap(_ side: fastpath_side, acknowledged: UInt32) {
        if side.has_gap != 0, side.gap.isAfter(acknowledged) { noteGap(before: side.gap) }
        closeGap(acknowledged: acknowledged)
    }
}
