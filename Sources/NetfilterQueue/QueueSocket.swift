// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// A netfilter queue that this process owns, and the worker's loop around it:
///
///     while try queue.receive(timeoutMilliseconds: 200) > 0 {
///         while let packet = queue.next() {
///             let decision = packet.withBytes { engine.inspect($0, packet.attributes) }
///             packet.settle(decision)
///         }
///         queue.flush()
///     }
///
/// Nothing here allocates per packet. Belongs to one thread at a time, with the packets it has handed out; it may be
/// opened on one thread and given to another before the first `receive`.
package struct QueueSocket: ~Copyable, @unchecked Sendable {
    package let configuration: QueueConfiguration
    private let queue: ShimQueue
    /// Packets that the process before had received and left undecided; they got the failure verdict.
    package let orphans: UInt32
    /// Serial number of the latest packet that had come to the queue of the process before; 0 for a new queue.
    package let idAtTakeover: UInt32
    private var filling: QueueFilling
    private var leaves = false

    /// Claims the queue and lets packets flow.
    package init(_ configuration: QueueConfiguration) throws(QueueError) {
        queue = try ShimQueue(configuration)
        self.configuration = configuration
        filling = QueueFilling(length: Int(configuration.length))
        orphans = 0
        idAtTakeover = 0
    }

    /// Goes on with the queue of a socket that an earlier process opened and another kept. What that process had received
    /// and not settled gets the failure verdict; what waits in the socket comes first.
    ///
    /// - Parameters:
    ///   - configuration: the settings from now on.
    ///   - descriptor: owned from now on, and closed where this throws.
    /// - Throws: `notTakeable` for anything but the socket that the kernel's table names as this queue's.
    package init(_ configuration: QueueConfiguration, takingOver descriptor: Int32) throws(QueueError) {
        do {
            let before = try QueueSocket.row(configuration.number, ofSocket: descriptor)
            queue = try ShimQueue(configuration, descriptor: descriptor, lastID: before.lastID)
            self.configuration = configuration
            filling = QueueFilling(length: Int(configuration.length))
            idAtTakeover = before.lastID
            orphans = (try? QueueTable.read())?.row(of: configuration.number).map { before.settled(until: $0) } ?? 0
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    private static func row(_ number: UInt16, ofSocket descriptor: Int32) throws(QueueError) -> QueueRow {
        func refuse(_ why: String) -> QueueError { QueueError(queue: number, cause: .notTakeable(why)) }
        let port: UInt32
        switch netfilterPort(ofSocket: descriptor) {
        case .success(let found): port = found
        case .failure(let error) where error.rawValue == EPROTOTYPE: throw refuse("it is no netfilter socket")
        case .failure(let error) where error.rawValue == EXDEV: throw refuse("it is of another network namespace")
        case .failure(let error): throw refuse("\(error)")
        }
        let table: QueueTable
        do {
            table = try QueueTable.read()
        } catch {
            throw refuse("the kernel's table of queues cannot be read: \(error)")
        }
        guard let row = table.row(of: number), row.portID == port else { throw refuse("the queue is not bound to it") }
        return row
    }

    /// Gives the socket up, and not the queue: for a process that has the socket too, or gets it. Packets received and
    /// not handed out stay the kernel's.
    package consuming func leave() {
        queue.leave()
        discard self
    }

    /// Has the end of this socket give up the socket only.
    package mutating func leaveAtEnd() { leaves = true }

    /// Everything that still waits gets the failure verdict, unless another process is to go on.
    deinit {
        if leaves { queue.leave() } else { queue.close(settling: configuration.failureVerdict) }
    }

    /// Sends what is left of the last batch and waits for the next: up to `timeoutMilliseconds`, not at all for 0, for
    /// ever if negative. Packets that `next` did not hand out get the failure verdict.
    ///
    /// - Returns: How many packets came; 0 after the time-out, a signal or `QueueWaker.wake`.
    /// - Throws: What makes the queue useless. Losses are no error: `counters` has them.
    package mutating func receive(timeoutMilliseconds: Int32) throws(QueueError) -> Int {
        let count = queue.receive(timeoutMilliseconds: timeoutMilliseconds)
        guard count >= 0 else {
            throw QueueError(
                queue: configuration.number, cause: .system("receiving", SystemErrorNumber(rawValue: -count)))
        }
        filling.note(batch: Int(count), held: unsettled)
        return Int(count)
    }

    /// The next packet of the batch, in order of arrival.
    package mutating func next() -> QueuedPacket? {
        guard let packet = queue.take() else { return nil }
        filling.note(packet.attributes.id)
        return packet
    }

    /// Whether, since the last call, the queue or its socket buffer may have been full. What came then was dropped by the
    /// kernel, or, if the queue fails open, passed without being seen here.
    package mutating func takeOverflow() -> Bool { filling.takeOverflow() }

    /// Sends the verdicts collected so far in one system call. What the kernel cannot take is kept for the next call
    /// and counted.
    package mutating func flush() { queue.flush() }

    /// Packets handed out and not settled: those of the batch at hand, and those held.
    package var unsettled: Int { Int(queue.outstanding) }

    /// Most packets of one batch.
    package static let batch = QueueFilling.batch

    /// For `QueueReadiness`; belongs to this socket.
    package var descriptor: Int32 { queue.descriptor }

    /// By which other threads can end the waiting of `receive`.
    package func makeWaker() throws(QueueError) -> QueueWaker {
        let descriptor = queue.openWaker()
        guard descriptor >= 0 else {
            throw QueueError(
                queue: configuration.number, cause: .system("making a waker", SystemErrorNumber(rawValue: -descriptor))
            )
        }
        return QueueWaker(WakerDescriptor(owning: descriptor))
    }

    /// What this queue lost since it was opened, as far as its socket knows; the kernel's own row stands in `QueueTable`.
    package func counters() -> QueueCounters { QueueCounters(queue.readCounters()) }
}

/// Wakes a `QueueSocket` that sleeps in `receive`, from any thread. It may outlive the queue and is then without effect.
package final class QueueWaker: Sendable {
    private let descriptor: WakerDescriptor

    init(_ descriptor: consuming WakerDescriptor) { self.descriptor = descriptor }

    /// The queue's socket, to be handed to who is to keep it; belongs to this object.
    package var socket: Int32 { descriptor.descriptor }

    /// Makes the `receive` in progress, or the next one, return without waiting.
    package func wake() { descriptor.signal() }
}
