// SPDX-License-Identifier: GPL-3.0-or-later

internal import CPathShim
internal import Glibc
package import PacketWire

/// What became of a descriptor.
struct Readiness: OptionSet {
    let rawValue: UInt32
    static let readable = Readiness(rawValue: 1)
    static let writable = Readiness(rawValue: 4)
    static let error = Readiness(rawValue: 8)
    static let hangUp = Readiness(rawValue: 16)
}

/// What waits for a descriptor or for a time.
protocol PollSource: AnyObject {
    func ready(_ what: Readiness, at now: Instant)
    /// The deadline that was set last has come. It is gone then.
    func due(at now: Instant)
}

/// The one loop of a scan or of a reflector: descriptors and deadlines, on one thread.
///
/// NIO closes a connection that failed before anybody can read the socket's error queue, and reads a socket's errors in an
/// order of its own; its datagrams cannot choose the address that they come from. So the sockets of a path test stand here.
package final class Poller {
    typealias Token = UInt64

    private let descriptor: CInt
    private var sources: [Token: any PollSource] = [:]
    private var deadlines = DeadlineHeap()
    private var nextToken: Token = 1
    private var events = [path_event](repeating: path_event(), count: 256)
    /// For whatever is received: sources have their turns one after the other.
    var buffer = [UInt8](repeating: 0, count: 65_536)

    package init() throws(SystemFault) {
        descriptor = try checked(path_poller())
        // A write to an end that has gone is an error like any other.
        signal(SIGPIPE, SIG_IGN)
    }

    deinit { ProbeSocket(descriptor: descriptor).close() }

    package static var now: Instant { Instant(nanoseconds: path_now()) }

    /// Keeps `source` until `remove`. It may then watch one descriptor and have one deadline.
    func add(_ source: any PollSource) -> Token {
        defer { nextToken += 1 }
        sources[nextToken] = source
        return nextToken
    }

    /// The descriptor must be closed or unwatched by its owner.
    func remove(_ token: Token) {
        sources[token] = nil
        deadlines.cancel(token)
    }

    func watch(_ descriptor: CInt, for what: Readiness, _ token: Token, isNew: Bool) throws(SystemFault) {
        try checked(path_watch(self.descriptor, descriptor, token, what.rawValue, isNew))
    }

    func unwatch(_ descriptor: CInt) { _ = path_unwatch(self.descriptor, descriptor) }

    /// Replaces the deadline that the source has.
    func schedule(_ token: Token, at deadline: Instant) { deadlines.set(token, deadline) }
    func cancel(_ token: Token) { deadlines.cancel(token) }

    /// Serves what is ready and due, once; waits for it until `limit`.
    func turn(until limit: Instant? = nil) throws(SystemFault) {
        let next = [deadlines.first, limit].compactMap { $0 }.min()
        let span = next.map { max(0, ($0 - Poller.now).nanoseconds) } ?? -1
        let count = try checked(unsafe path_wait(descriptor, &events, Int32(events.count), span))
        var now = Poller.now
        for event in events[..<Int(count)] {
            sources[event.token]?.ready(Readiness(rawValue: event.what), at: now)
        }
        now = Poller.now
        while let token = deadlines.pop(dueBy: now) { sources[token]?.due(at: now) }
    }
}

/// Deadlines of sources, the next one first. Those that were replaced stay until they come to the top, or outnumber the others.
struct DeadlineHeap {
    private var heap: [(at: Instant, token: UInt64)] = []
    private var current: [UInt64: Instant] = [:]

    var count: Int { current.count }

    /// The time of the earliest.
    var first: Instant? {
        mutating get {
            dropReplaced()
            return heap.first?.at
        }
    }

    mutating func set(_ token: UInt64, _ at: Instant) {
        guard current.updateValue(at, forKey: token) != at else { return }
        heap.append((at, token))
        siftUp(heap.count - 1)
        if heap.count > 64 + 4 * current.count { rebuild() }
    }

    mutating func cancel(_ token: UInt64) { current[token] = nil }

    /// The owner of the earliest deadline that has come, which it then has no more.
    mutating func pop(dueBy now: Instant) -> UInt64? {
        dropReplaced()
        guard let top = heap.first, top.at <= now else { return nil }
        removeTop()
        current[top.token] = nil
        return top.token
    }

    private mutating func dropReplaced() {
        while let top = heap.first, current[top.token] != top.at { removeTop() }
    }

    private mutating func rebuild() {
        heap = current.map { ($0.value, $0.key) }
        heap.sort { $0.at < $1.at }
    }

    private mutating func removeTop() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count && heap[child].at < heap[least].at {
                least = child
            }
            guard least != index else { return }
            heap.swapAt(index, least)
            index = least
        }
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0, heap[index].at < heap[(index - 1) / 2].at {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }
}
