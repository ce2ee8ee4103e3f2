// SPDX-License-Identifier: GPL-3.0-or-later

import CFastPath

/// One worker's part of the memory that it shares with the program in the kernel: the states of its flows, and its cell.
/// Everything of this target that is unsafe; who makes it says that the memory stays mapped.
@safe
public struct FastPathMemory: @unchecked Sendable {
    private let flows: UnsafeMutablePointer<fastpath_flow>
    private let cell: UnsafeMutablePointer<fastpath_cell>
    /// The number of its first place among those of all workers.
    let first: UInt32
    /// How many places it has.
    let count: Int
    /// The number of its cell.
    let owner: UInt32

    /// Bytes of one flow's state, and of one cell.
    public static var bytesPerFlow: Int { MemoryLayout<fastpath_flow>.stride }
    public static var bytesPerCell: Int { MemoryLayout<fastpath_cell>.stride }

    /// - Parameters:
    ///   - flows: the states of the places of all workers.
    ///   - cells: the cells of all workers.
    ///   - first: this worker's first place.
    ///   - count: how many are its own.
    ///   - owner: the number of its cell.
    public init(
        flows: UnsafeMutableRawPointer, cells: UnsafeMutableRawPointer, first: Int, count: Int, owner: Int
    ) {
        unsafe self.flows = flows.assumingMemoryBound(to: fastpath_flow.self) + first
        unsafe cell = cells.assumingMemoryBound(to: fastpath_cell.self) + owner
        self.first = UInt32(first)
        self.count = count
        self.owner = UInt32(owner)
    }

    private func flow(_ place: Int32) -> UnsafeMutablePointer<fastpath_flow> {
        precondition(place >= 0 && Int(place) < count)
        return unsafe flows + Int(place)
    }

    func begin(_ place: Int32, _ state: FastPathState) {
        var state = state.flow
        unsafe cfastpath_begin(flow(place), &state)
    }

    func end(_ place: Int32) { unsafe cfastpath_end(flow(place)) }

    func takeUp(_ place: Int32) -> FastPathState {
        var state = FastPathState()
        unsafe cfastpath_take_up(flow(place), &state.flow)
        return state
    }

    func raise(_ place: Int32, to state: FastPathState) {
        var state = state.flow
        unsafe cfastpath_raise(flow(place), &state)
    }

    func open(_ place: Int32, _ side: Side, interface: UInt32, epoch: UInt32) {
        unsafe cfastpath_open_side(flow(place), side == .low ? 0 : 1, interface, epoch)
    }

    func closeGap(_ place: Int32, _ side: Side) { unsafe cfastpath_close_gap(flow(place), side == .low ? 0 : 1) }

    func setLease(until nanoseconds: UInt64) { unsafe cfastpath_set_lease(cell, nanoseconds) }

    func setEpoch(_ epoch: UInt32, timestampWindow: UInt32) {
        unsafe cfastpath_set_epoch(cell, epoch, timestampWindow)
    }
}

/// The state of a flow as the program keeps it: a plain value.
struct FastPathState {
    var flow = fastpath_flow()

    subscript(side: Side) -> fastpath_side {
        get { side == .low ? flow.side.0 : flow.side.1 }
        set { if side == .low { flow.side.0 = newValue } else { flow.side.1 = newValue } }
    }
}
