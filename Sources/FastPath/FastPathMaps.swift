// SPDX-License-Identifier: GPL-3.0-or-later

import CFastPath
package import ConnectionTracking
import Glibc

/// The program in the kernel and the maps by which it knows flows: loaded, or found by their names in a file system of the type
/// bpf. What is unsafe about them is here and in `FastPathMemory`.
@safe
package final class FastPathMaps: @unchecked Sendable {
    /// The names that each has in its directory. The array of programs has none: it is handed to the agent alone (`FastPathPins.offer`).
    enum Name: String, CaseIterable {
        case flows4, flows6, places, cells, outcomes, listeners, judge4, judge6, fast4, fast6

        /// Whether it is what the rules name: the agent has no need of that.
        var isStub: Bool { self == .fast4 || self == .fast6 }
    }

    let descriptors: cfastpath
    private let flows: UnsafeMutableRawPointer
    private let cells: UnsafeMutableRawPointer
    /// How many flows there is room for.
    package let places: Int

    /// Loads the program, with room for so many flows.
    package convenience init(loading path: String, flows: Int) throws(FastPathError) {
        var sizes = cfastpath_sizes()
        sizes.places = UInt32(flows)
        sizes.flows4 = UInt32(flows)
        sizes.flows6 = UInt32(flows)
        var loaded = cfastpath()
        var message = [CChar](repeating: 0, count: 1024)
        let status = unsafe cfastpath_load(path, &sizes, &loaded, &message, message.count)
        guard status == 0 else {
            throw FastPathError(
                String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        try self.init(owning: loaded)
    }

    /// Opens what is pinned in a directory, and takes over the array of programs; no other agent may be using it.
    package convenience init(pinnedIn directory: String) throws(FastPathError) {
        func open(_ name: Name) -> Int32 { unsafe cfastpath_open("\(directory)/\(name.rawValue)") }
        var opened = cfastpath(
            flows4: open(.flows4), flows6: open(.flows6), places: open(.places), cells: open(.cells),
            outcomes: open(.outcomes), listeners: open(.listeners), programs: -1, program4: open(.judge4),
            program6: open(.judge6), stub4: -1, stub6: -1)
        // The label comes first: another version's directory may lack some of these.
        if opened.places >= 0, !FastPathLabel(of: opened.places).isOfThisLayout {
            let label = FastPathLabel(of: opened.places)
            unsafe cfastpath_close(&opened)
            throw FastPathError("\(directory): the program there is of another version of Portreeve (\(label))")
        }
        for (name, descriptor) in [
            (Name.flows4, opened.flows4), (.flows6, opened.flows6), (.places, opened.places), (.cells, opened.cells),
            (.outcomes, opened.outcomes), (.listeners, opened.listeners), (.judge4, opened.program4),
            (.judge6, opened.program6),
        ] where descriptor < 0 {
            unsafe cfastpath_close(&opened)
            throw FastPathError("\(directory)/\(name.rawValue)", errno: -descriptor)
        }
        do {
            opened.programs = try FastPathPins.takeOver(directory)
        } catch {
            unsafe cfastpath_close(&opened)
            throw error
        }
        try self.init(owning: opened)
    }

    private init(owning descriptors: cfastpath) throws(FastPathError) {
        var descriptors = descriptors
        let places = Int(cfastpath_entries(descriptors.places))
        let flows = unsafe cfastpath_memory(descriptors.places, places * FastPathMemory.bytesPerFlow)
        let cells = unsafe cfastpath_memory(descriptors.cells, Self.cells * FastPathMemory.bytesPerCell)
        guard places > 0, let flows = unsafe flows, let cells = unsafe cells else {
            let error = FastPathError("the memory of the fast path's flows cannot be mapped", errno: errno)
            unsafe cfastpath_close(&descriptors)
            throw error
        }
        self.descriptors = descriptors
        self.places = places
        unsafe self.flows = flows
        unsafe self.cells = cells
    }

    deinit {
        unsafe cfastpath_release(flows, places * FastPathMemory.bytesPerFlow)
        unsafe cfastpath_release(cells, Self.cells * FastPathMemory.bytesPerCell)
        var descriptors = descriptors
        unsafe cfastpath_close(&descriptors)
    }

    /// The most workers.
    package static var cellCount: Int { Int(FASTPATH_OWNERS) }
    private static var cells: Int { Int(FASTPATH_CELLS) }

    /// Gives all of them names in a directory of a file system of the type bpf, but for the array of programs.
    package func pin(in directory: String) throws(FastPathError) {
        for (name, descriptor) in [
            (Name.flows4, descriptors.flows4), (.flows6, descriptors.flows6), (.places, descriptors.places),
            (.cells, descriptors.cells), (.outcomes, descriptors.outcomes), (.listeners, descriptors.listeners),
            (.judge4, descriptors.program4), (.judge6, descriptors.program6), (.fast4, descriptors.stub4),
            (.fast6, descriptors.stub6),
        ] {
            let status = unsafe cfastpath_pin(descriptor, "\(directory)/\(name.rawValue)")
            guard status == 0 else { throw FastPathError("\(directory)/\(name.rawValue)", errno: status) }
        }
    }

    /// Whether these are the maps that have their names in a directory now; nil where there are none.
    package func isPinned(in directory: String) -> Bool? {
        let descriptor = unsafe cfastpath_open("\(directory)/\(Name.places.rawValue)")
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return cfastpath_identity(descriptor) == cfastpath_identity(descriptors.places)
    }

    /// One worker's share of the memory. Each place belongs to one worker.
    package func memory(of worker: Int, among workers: Int) -> FastPathMemory {
        let share = places / max(1, workers)
        return unsafe FastPathMemory(flows: flows, cells: cells, first: worker * share, count: share, owner: worker)
    }

    /// Has the rules' stubs go on with the programs, for as long as this process holds their array.
    package func connect() throws(FastPathError) {
        let status = cfastpath_connect(descriptors.programs, descriptors.program4, descriptors.program6)
        guard status == 0 else { throw FastPathError("the fast path's programs cannot be put in place", errno: status) }
    }

    /// Every packet comes to the queue when this returns, but for those that a processor has in hand.
    package func disconnect() { cfastpath_disconnect(descriptors.programs) }

    /// Nothing passes, and no flow is known: what a run before has left is gone.
    package func clear() throws(FastPathError) {
        for cell in 0..<Self.cells {
            let cell = unsafe cells.assumingMemoryBound(to: fastpath_cell.self) + cell
            unsafe cfastpath_set_lease(cell, 0)
        }
        for place in 0..<places {
            unsafe cfastpath_end(flows.assumingMemoryBound(to: fastpath_flow.self) + place)
        }
        for (map, bytes) in [
            (descriptors.flows4, MemoryLayout<fastpath_key4>.size),
            (descriptors.flows6, MemoryLayout<fastpath_key6>.size),
            (descriptors.listeners, MemoryLayout<fastpath_listener_key>.size),
        ] {
            let status = cfastpath_empty(map, bytes)
            guard status == 0 else { throw FastPathError("the fast path's flows cannot be cleared", errno: status) }
        }
    }

    /// How often the program came to each outcome, in the order of `FastPathOutcome`.
    package func outcomes() -> [UInt64] {
        var counts = [UInt64](repeating: 0, count: Int(FASTPATH_OUTCOMES.rawValue))
        guard unsafe cfastpath_outcomes(descriptors.outcomes, &counts) == 0 else { return [] }
        return counts
    }

    /// Runs the program on a packet, from its IP header on, as if it came by this interface (0: from this host); `byRule` as a rule does, by
    /// the stub.
    package func tries(_ packet: [UInt8], interface: UInt32, byRule: Bool = false) throws(FastPathError) -> Bool {
        let isIPv6 = packet.first.map { $0 >> 4 == 6 } ?? false
        let frame = [UInt8](repeating: 0, count: 12) + (isIPv6 ? [0x86, 0xdd] : [0x08, 0x00]) + packet
        var verdict: UInt32 = 0
        let program =
            byRule
            ? (isIPv6 ? descriptors.stub6 : descriptors.stub4)
            : (isIPv6 ? descriptors.program6 : descriptors.program4)
        let status = unsafe cfastpath_try(program, frame, frame.count, interface, &verdict)
        guard status == 0 else { throw FastPathError("the program cannot be tried", errno: status) }
        return verdict != 0
    }

    // What the extension for listeners needs.
    var listeners: Int32 { descriptors.listeners }
    func withCellOfListeners(_ body: (UnsafeMutablePointer<fastpath_cell>) -> Void) {
        unsafe body(cells.assumingMemoryBound(to: fastpath_cell.self) + Int(FASTPATH_CELL_OF_LISTENERS))
    }

    func put(_ batch: FastPathBatch.Puts4) -> Int { put(descriptors.flows4, batch.keys, batch.places) }
    func put(_ batch: FastPathBatch.Puts6) -> Int { put(descriptors.flows6, batch.keys, batch.places) }

    /// How many went in.
    private func put<Key: BitwiseCopyable>(_ map: Int32, _ keys: [Key], _ places: [fastpath_reference]) -> Int {
        guard !keys.isEmpty else { return 0 }
        var count = UInt32(keys.count)
        unsafe cfastpath_put(map, keys, places, &count)
        return Int(count)
    }

    func remove(_ keys: [fastpath_key4]) {
        unsafe cfastpath_remove(descriptors.flows4, keys, MemoryLayout<fastpath_key4>.stride, UInt32(keys.count))
    }

    func remove(_ keys: [fastpath_key6]) {
        unsafe cfastpath_remove(descriptors.flows6, keys, MemoryLayout<fastpath_key6>.stride, UInt32(keys.count))
    }
}
