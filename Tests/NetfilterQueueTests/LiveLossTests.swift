// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import Testing

@testable import NetfilterQueue

@Suite("A live queue that loses packets", .needsKernel, .timeLimit(.minutes(1)))
struct LiveLossTests {
    @Test("counts what the kernel drops because the queue is full")
    func queueFull() throws {
        let (arrived, counters, row) = try LiveKernel.inNamespace {
            var lab = try QueuedLoopback { $0.length = 8 }
            lab.send(0..<20)
            try lab.judge(8) { _ in .accept }
            return (lab.receiver.firstBytes(8), lab.queue.counters(), lab.queue.kernelRow)
        }
        #expect(arrived == Array(0..<8))
        #expect(row?.droppedQueueFull == 12)
        #expect(counters.socketOverflows == 0)
    }

    @Test("passes what does not fit when it fails open")
    func failingOpen() throws {
        let arrived = try LiveKernel.inNamespace {
            var lab = try QueuedLoopback {
                $0.length = 8
                $0.failsOpen = true
            }
            lab.send(0..<20)
            let early = lab.receiver.firstBytes(12)
            try lab.judge(8) { _ in .accept }
            return early + lab.receiver.firstBytes(8)
        }
        #expect(arrived == Array(8..<20) + Array(0..<8))
    }

    @Test("counts what does not fit the socket's buffer, also failing open", arguments: [false, true])
    func socketFull(failsOpen: Bool) throws {
        let (judged, arrived, counters, row) = try LiveKernel.inNamespace {
            var lab = try QueuedLoopback {
                $0.socketBuffer = 20_000
                $0.failsOpen = failsOpen
            }
            lab.send(0..<100)
            let early = lab.receiver.firstBytes(0).count
            var judged = 0
            while case let count = try lab.queue.receive(timeoutMilliseconds: 100), count > 0 {
                judged += count
                while let packet = lab.queue.next() { packet.settle(.accept) }
            }
            let arrived = early + lab.receiver.firstBytes(judged).count
            return (judged, arrived, lab.queue.counters(), lab.queue.kernelRow)
        }
        #expect(judged < 100)
        #expect(Int(counters.socketOverflows) == 100 - judged)
        #expect(arrived == (failsOpen ? 100 : judged))
        #expect(row?.droppedSocketFull == (failsOpen ? 0 : counters.socketOverflows))
    }

    @Test("counts verdicts that the kernel refuses because the packet is gone")
    func refused() throws {
        let counters = try LiveKernel.inNamespace {
            var lab = try QueuedLoopback()
            lab.send([1])
            _ = try lab.queue.receive(timeoutMilliseconds: 2000)
            guard let packet = lab.queue.next() else { throw QueuedLoopback.Starved(judged: 0) }
            // Taking an interface down drops what waits for it.
            try LiveKernel.run("ip link set lo down")
            packet.settle(.accept)
            lab.queue.flush()
            _ = try lab.queue.receive(timeoutMilliseconds: 1000)
            return lab.queue.counters()
        }
        #expect(counters.refusedVerdicts == 1)
        #expect(counters.lastRefusal == SystemErrorNumber(rawValue: ENOENT))
    }
}
