// SPDX-License-Identifier: GPL-3.0-or-later

import Testing

@testable import NetfilterQueue

@Suite("A live queue, settling each packet once,", .needsKernel, .timeLimit(.minutes(1)))
struct LiveSettlementTests {
    @Test("lets others pass while a packet is held, and settles it later", arguments: [QueueVerdict.accept, .drop])
    func holding(verdict: QueueVerdict) throws {
        let (before, waiting, after) = try LiveKernel.inNamespace {
            var lab = try QueuedLoopback()
            var held = HeldPackets()
            lab.send(0..<50)
            var seen = 0
            while seen < 50 {
                seen += try lab.queue.receive(timeoutMilliseconds: 2000)
                while let packet = lab.queue.next() {
                    switch QueuedLoopback.value(packet) {
                    case 10, 40: _ = held.hold(packet, ticket: UInt32(seen))
                    default: packet.settle(.accept)
                    }
                }
            }
            lab.queue.flush()
            let before = lab.receiver.firstBytes(48)
            let waiting = lab.queue.kernelRow?.waiting
            for ticket in 0...UInt32(seen) {
                while let packet = held.take(ticket: ticket) { packet.settle(verdict) }
            }
            lab.queue.flush()
            return (before, waiting, lab.receiver.firstBytes(verdict == .accept ? 2 : 0))
        }
        #expect(before == (0..<50).filter { $0 != 10 && $0 != 40 })
        #expect(waiting == 2)
        #expect(after == (verdict == .accept ? [10, 40] : []))
    }

    @Test("sends a batch's verdicts in one system call, a message for each run of them", arguments: [1, 16, 31])
    func systemCalls(dropped: UInt8) throws {
        let (arrived, batches, counters) = try LiveKernel.inNamespace {
            var lab = try QueuedLoopback()
            lab.send(0...32)
            var batches: UInt64 = 0
            var judged = 0
            while judged < 33 {
                judged += try lab.queue.receive(timeoutMilliseconds: 2000)
                while let packet = lab.queue.next() {
                    let value = QueuedLoopback.value(packet)
                    packet.settle(value == dropped ? .drop : .accept)
                }
                lab.queue.flush()
                batches += 1
            }
            return (lab.receiver.firstBytes(32), batches, lab.queue.counters())
        }
        #expect(arrived == (0...32).filter { $0 != dropped })
        // What waits is received 32 at a time.
        #expect(batches == 2)
        #expect(counters.sends == batches)
        // The run before the drop, the drop, the run after it where the batch goes on, and the second batch's.
        #expect(counters.sentMessages == (dropped == 31 ? 3 : 4))
        #expect(counters.refusedVerdicts == 0)
    }

    @Test("settles in runs again once nothing is held")
    func afterHolding() throws {
        let (arrived, refused) = try LiveKernel.inNamespace {
            var lab = try QueuedLoopback()
            lab.send([1])
            _ = try lab.queue.receive(timeoutMilliseconds: 2000)
            guard let held = lab.queue.next() else { throw QueuedLoopback.Starved(judged: 0) }
            lab.send([2, 3])
            try lab.judge(2) { _ in .accept }
            held.settle(.drop)
            lab.send([4, 5, 6])
            try lab.judge(3) { _ in .accept }
            _ = try lab.queue.receive(timeoutMilliseconds: 0)
            return (lab.receiver.firstBytes(5), lab.queue.counters().refusedVerdicts)
        }
        #expect(arrived == [2, 3, 4, 5, 6])
        #expect(refused == 0)
    }

    @Test("lets go of the bytes of a held packet with its batch")
    func heldBytes() throws {
        let (during, after) = try LiveKernel.inNamespace {
            var lab = try QueuedLoopback()
            lab.send([1])
            _ = try lab.queue.receive(timeoutMilliseconds: 2000)
            guard let packet = lab.queue.next() else { throw QueuedLoopback.Starved(judged: 0) }
            let during = packet.withBytes { $0.byteCount }
            lab.send([2])
            _ = try lab.queue.receive(timeoutMilliseconds: 2000)
            return (during, packet.withBytes { $0.byteCount })
        }
        #expect(during == 29)
        #expect(after == 0)
    }

    @Test(
        "gives the failure verdict to a packet that goes out of scope",
        arguments: [QueueVerdict.accept, .drop])
    func outOfScope(verdict: QueueVerdict) throws {
        let arrived = try LiveKernel.inNamespace {
            var lab = try QueuedLoopback { $0.failureVerdict = verdict }
            lab.send(0..<40)
            try lab.judge(40) { $0 % 2 == 0 ? nil : .accept }
            return lab.receiver.firstBytes(verdict == .accept ? 40 : 20)
        }
        #expect(arrived == (0..<40).filter { verdict == .accept || $0 % 2 == 1 })
    }

    @Test("gives the failure verdict to packets that nobody took", arguments: [QueueVerdict.accept, .drop])
    func untaken(verdict: QueueVerdict) throws {
        let (arrived, waiting) = try LiveKernel.inNamespace {
            var lab = try QueuedLoopback { $0.failureVerdict = verdict }
            lab.send(0..<5)
            _ = try lab.queue.receive(timeoutMilliseconds: 2000)
            _ = try lab.queue.receive(timeoutMilliseconds: 0)
            return (lab.receiver.firstBytes(verdict == .accept ? 5 : 0), lab.queue.kernelRow?.waiting)
        }
        #expect(arrived == (verdict == .accept ? [0, 1, 2, 3, 4] : []))
        #expect(waiting == 0)
    }

    @Test("gives the failure verdict to what waits when it is closed", arguments: [QueueVerdict.accept, .drop])
    func closing(verdict: QueueVerdict) throws {
        let arrived = try LiveKernel.inNamespace {
            let receiver = UDPSocket(port: 7003)
            let sender = UDPSocket(port: 7004)
            try LiveKernel.queueUDP(port: 7003, to: 6)
            var configuration = QueueConfiguration(number: 6)
            configuration.failureVerdict = verdict
            var queue = try QueueSocket(configuration)
            for value in 0..<5 as Range<UInt8> { sender.send([value], to: 7003) }
            _ = try queue.receive(timeoutMilliseconds: 2000)
            let held = queue.next()
            for value in 5..<8 as Range<UInt8> { sender.send([value], to: 7003) }
            _ = consume queue
            let arrived = receiver.firstBytes(verdict == .accept ? 8 : 0)
            held?.settle(.accept)
            return arrived
        }
        #expect(arrived == (verdict == .accept ? Array(0..<8) : []))
    }
}
