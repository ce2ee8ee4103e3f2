// SPDX-License-Identifier: GPL-3.0-or-later

extension TCPState {
    /// The numbers of the segment with which a side goes on where it is: behind all that was seen of it, and acknowledging all that was
    /// seen of the other. nil where nothing was seen of one of them.
    public func next(from side: Side) -> (sequence: UInt32, acknowledgement: UInt32)? {
        guard windows != .none, !low.marks.contains(.silent), !high.marks.contains(.silent) else { return nil }
        return (self[side].end, self[side.opposite].end)
    }
}
