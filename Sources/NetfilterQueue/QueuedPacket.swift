// SPDX-License-Identifier: GPL-3.0-or-later

/// A packet that waits in the kernel and owes one verdict.
///
/// It cannot be copied, and `settle` consumes it: it is settled at most once. Going out of scope settles it with the
/// queue's failure verdict: it is settled at least once, on every path, also where an error is thrown past it.
///
/// **Holding** a packet means to keep it. Its attributes stay; its bytes are the batch's and gone after the next
/// `receive`, so what is needed of them later has to be copied before. While any packet is held its queue settles
/// singly, because the kernel's batch verdict would settle the held one too.
///
/// Belongs to the thread of its `QueueSocket`; it may outlive it, and then has been settled by its closing.
package struct QueuedPacket: ~Copyable {
    package let attributes: PacketAttributes
    /// Where the shim keeps it during its batch.
    @usableFromInline let place: UInt64
    @usableFromInline let queue: ShimQueue

    init(_ attributes: PacketAttributes, place: UInt64, queue: ShimQueue) {
        self.attributes = attributes
        self.place = place
        self.queue = queue
    }

    deinit { queue.settleFailed(attributes.id) }

    /// Decides the packet. With a mark, the packet's *whole* mark becomes that value. The verdict leaves at the next
    /// `QueueSocket.flush` or `receive`, together with those beside it.
    package consuming func settle(_ verdict: QueueVerdict, mark: UInt32? = nil) {
        queue.settle(attributes.id, verdict, mark: mark)
        discard self
    }

    /// Gives `body` the packet's bytes from the IP header on: `PacketAttributes.copiedLength` of them, none after the
    /// batch.
    @inlinable @inline(__always)
    package borrowing func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try queue.withBytes(at: place, body)
    }
}
