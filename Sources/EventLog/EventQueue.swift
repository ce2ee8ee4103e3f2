// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallEngine
import Locking
package import PacketWire

/// The hand-off from one worker to the writer thread.
///
/// The worker copies a batch of events in under one short lock; the writer takes all that has gathered by swapping two
/// buffers under the same lock, which takes the same time however much there is. So neither ever waits for the other's
/// work, and never for a disk. When the buffer is full, events are merged, not lost (`MergedEvents`). Everything is
/// allocated at the start.
package final class EventQueue: Sendable {
    private struct State {
        var filling: EventBuffer
        var received = EventTally()
    }

    /// Protects the buffer that is being filled, and the count of what was put in.
    private let state: Guarded<State>
    private let wakeup: EventWakeup

    /// - Parameters:
    ///   - capacity: events between two visits of the writer; what comes beyond is merged.
    ///   - bytesCapacity: bytes of packets kept with them; events beyond go without.
    ///   - wakeup: the writer's.
    package init(capacity: Int = 8192, bytesCapacity: Int = 256 * 1024, wakeup: EventWakeup) {
        state = Guarded(State(filling: EventBuffer(capacity: capacity, bytesCapacity: bytesCapacity)))
        self.wakeup = wakeup
    }

    /// Takes a batch of events; `bytes` are those that their `packetData` and `packetDataCount` point into. Allocates
    /// nothing.
    package func append(_ events: [Event], bytes: [UInt8]) {
        guard !events.isEmpty else { return }
        let isFilling = state.withLock { state in
            for event in events {
                state.received.add(1, event.reason, event.action)
                state.filling.append(event, bytes: bytes)
            }
            return state.filling.isHalfFull
        }
        wakeup.noteEvents(isFilling: isFilling)
    }

    /// Takes events of which only the number is left.
    package func append(
        count: UInt64, of reason: DropReason, _ action: EventAction, _ metadata: PacketMetadata, at instant: Instant
    ) {
        guard count > 0 else { return }
        let event = Event(
            reason: reason, action: action, instant: instant, metadata: metadata, headers: PacketHeaders())
        state.withLock { state in
            state.received.add(count, reason, action)
            state.filling.merge(EventSummary(event, count: count, shared: .delivery))
        }
        wakeup.noteEvents(isFilling: false)
    }

    /// Exchanges what has gathered for `spare`, which must be empty.
    func take(into spare: inout EventBuffer) {
        state.withLock { state in swap(&state.filling, &spare) }
    }

    var isEmpty: Bool { state.withLock { $0.filling.isEmpty } }

    /// What was put in, ever.
    package var received: EventTally { state.withLock { $0.received } }
}

/// Events and packet bytes in arrival order, of fixed capacity, and what found no room, merged.
struct EventBuffer: Sendable {
    private(set) var events: [Event] = []
    private(set) var merged = MergedEvents()
    private var bytes: [UInt8] = []
    private let capacity: Int
    private let bytesCapacity: Int

    init(capacity: Int, bytesCapacity: Int) {
        self.capacity = capacity
        self.bytesCapacity = bytesCapacity
        events.reserveCapacity(capacity)
        bytes.reserveCapacity(bytesCapacity)
    }

    var isEmpty: Bool { events.isEmpty && merged.isEmpty }
    var isHalfFull: Bool { events.count >= capacity / 2 || !merged.isEmpty }

    mutating func append(_ event: Event, bytes source: [UInt8]) {
        guard events.count < capacity else { return merge(EventSummary(event)) }
        events.append(event)
        keepBytes(of: event, from: source)
    }

    mutating func merge(_ summary: EventSummary) { merged.merge(summary) }

    mutating func removeAll() {
        events.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
        merged.removeAll()
    }

    /// The packet bytes kept with an event of this buffer; empty where there are none.
    func bytes(of event: Event) -> ArraySlice<UInt8> {
        guard event.packetData >= 0 else { return [] }
        return bytes[Int(event.packetData)..<Int(event.packetData) + Int(event.packetDataCount)]
    }

    /// Copies the event's bytes and lets it point to the copy.
    private mutating func keepBytes(of event: Event, from source: [UInt8]) {
        guard event.packetData >= 0 else { return }
        let start = Int(event.packetData)
        let end = start + Int(event.packetDataCount)
        guard end <= source.count, bytes.count + end - start <= bytesCapacity else {
            events[events.count - 1].packetData = -1
            return
        }
        events[events.count - 1].packetData = Int32(bytes.count)
        bytes.append(contentsOf: source[start..<end])
    }
}
