// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import Testing

@testable import NetfilterQueue

@Suite("A live queue", .needsKernel, .timeLimit(.minutes(1)))
struct LiveQueueTests {
    @Test("hands over the packet whole, with what the kernel knows of it")
    func attributes() throws {
        let (attributes, bytes) = try LiveKernel.inNamespace {
            var lab = try QueuedLoopback()
            lab.send([42], length: 200)
            _ = try lab.queue.receive(timeoutMilliseconds: 2000)
            guard let packet = lab.queue.next() else { throw QueuedLoopback.Starved(judged: 0) }
            return (packet.attributes, packet.withBytes { unsafe $0.withUnsafeBytes { unsafe [UInt8]($0) } })
        }
        #expect(bytes.count == 228)
        #expect(bytes.first == 0x45 && bytes.last == 42)
        #expect(attributes.copiedLength == 228 && attributes.fullLength == 228)
        #expect(attributes.id == 1)
        #expect(attributes.hook == 3)
        #expect(attributes.family == 2)
        #expect(attributes.etherType == 0x0800)
        #expect(attributes.outInterface == 1 && attributes.inInterface == 0)
        let uid = try LiveKernel.initialID(getuid(), map: "uid_map")
        let gid = try LiveKernel.initialID(getgid(), map: "gid_map")
        #expect(attributes.senderUID == uid && attributes.senderGID == gid)
        #expect(attributes.sourceMAC == .max)
        #expect(!attributes.isSegmentationOffload)
    }

    @Test(
        "cuts a packet at the copy range and says how long it was; 0 and too much are the whole packet",
        arguments: [(64, 64), (228, 228), (0, 228), (.max, 228)] as [(UInt32, UInt32)])
    func copyRange(bytes: UInt32, copied: UInt32) throws {
        let attributes = try LiveKernel.inNamespace {
            var lab = try QueuedLoopback { $0.copyBytes = bytes }
            lab.send([1], length: 200)
            _ = try lab.queue.receive(timeoutMilliseconds: 2000)
            guard let packet = lab.queue.next() else { throw QueuedLoopback.Starved(judged: 0) }
            return packet.attributes
        }
        #expect(attributes.copiedLength == copied)
        #expect(attributes.fullLength == 228)
    }

    @Test("passes what is accepted in its order and nothing that is dropped", arguments: [1, 2, 3, 7])
    func verdicts(every step: UInt8) throws {
        let arrived = try LiveKernel.inNamespace {
            var lab = try QueuedLoopback()
            lab.send(0..<100)
            try lab.judge(100) { $0 % step == 0 ? .accept : .drop }
            return lab.receiver.firstBytes((0..<100).count { $0 % step == 0 })
        }
        #expect(arrived == (0..<100).filter { $0 % step == 0 })
    }

    @Test("gives each packet the mark of its own verdict")
    func marks() throws {
        let counts = try LiveKernel.inNamespace {
            for mark in 1...3 {
                try LiveKernel.run("iptables -w -A OUTPUT -p udp -m mark --mark \(mark) -j ACCEPT")
            }
            var lab = try QueuedLoopback()
            lab.send([1, 1, 2, 0, 3, 3, 3, 0, 1])
            _ = try lab.judgeWithMarks(9)
            _ = lab.receiver.firstBytes(9)
            return try LiveKernel.run("iptables -w -nvxL OUTPUT").split(separator: "\n").dropFirst(2)
                .map { $0.split(separator: " ").first.map(String.init) ?? "" }
        }
        #expect(counts == ["3", "1", "3"])
    }

    @Test("can be claimed again after it was closed, while its waker lives on")
    func claimedAgain() throws {
        let received = try LiveKernel.inNamespace {
            var first: QueueSocket? = try QueueSocket(QueueConfiguration(number: 5))
            let waker = try first?.makeWaker()
            first = nil
            waker?.wake()
            var lab = try QueuedLoopback()
            lab.send([1])
            return try lab.queue.receive(timeoutMilliseconds: 2000)
        }
        #expect(received == 1)
    }

    @Test("that another socket holds is refused, and the holder named")
    func held() throws {
        let error = try LiveKernel.inNamespace { () -> QueueError? in
            let other = try QueueSocket(QueueConfiguration(number: 5))
            defer { _ = other.unsettled }
            do throws(QueueError) {
                _ = try QueueSocket(QueueConfiguration(number: 5))
                return nil
            } catch {
                return error
            }
        }
        guard case .held(let holder?) = error?.cause else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(holder.process == getpid())
        #expect(holder.command.contains(CommandLine.arguments[0]))
    }

    @Test("a refusal without a holder is a matter of privilege")
    func notPermitted() throws {
        let cause = try LiveKernel.inNamespace { QueueError(opening: 5, step: .claim, errno: EPERM).cause }
        #expect(cause == .notPermitted)
    }

    @Test("returns without packets after the time-out", arguments: [0, 30] as [Int32])
    func timeout(milliseconds: Int32) throws {
        let count = try LiveKernel.inNamespace {
            var queue = try QueueSocket(QueueConfiguration(number: 5))
            return try queue.receive(timeoutMilliseconds: milliseconds)
        }
        #expect(count == 0)
    }

    @Test("wakes when another thread asks for it", arguments: [0, 200] as [UInt32])
    func waking(busyPollMicroseconds: UInt32) throws {
        let (count, counters) = try LiveKernel.inNamespace {
            var configuration = QueueConfiguration(number: 5)
            configuration.busyPollMicroseconds = busyPollMicroseconds
            var queue = try QueueSocket(configuration)
            let waker = try queue.makeWaker()
            let other = BackgroundThread {
                usleep(50_000); waker.wake()
            }
            let count = try queue.receive(timeoutMilliseconds: -1)
            try other.join()
            return (count, queue.counters())
        }
        #expect(count == 0)
        #expect(counters.refusedVerdicts == 0 && counters.malformedMessages == 0)
    }

    @Test("takes a batch of the largest packets without cutting one")
    func largestPackets() throws {
        let (lengths, arrived) = try LiveKernel.inNamespace {
            var lab = try QueuedLoopback()
            // What waits in the queue is charged to its sender's buffer: each may have two on their way.
            for value in stride(from: 0, to: 12, by: 2) as StrideTo<UInt8> {
                let sender = UDPSocket(port: 7100 + UInt16(value))
                for each in value...value + 1 {
                    sender.send([UInt8](repeating: each, count: 65_000), to: QueuedLoopback.port)
                }
            }
            var lengths: [UInt32] = []
            while lengths.count < 12, try lab.queue.receive(timeoutMilliseconds: 2000) > 0 {
                while let packet = lab.queue.next() {
                    lengths.append(packet.attributes.copiedLength)
                    packet.settle(.accept)
                }
            }
            lab.queue.flush()
            return (lengths, lab.receiver.firstBytes(2).prefix(2))
        }
        #expect(lengths == [UInt32](repeating: 65_028, count: 12))
        #expect(arrived == [0, 1])
    }
}

extension QueuedLoopback {
    /// Accepts `count` packets, each with its value as mark; value 0 without one.
    fileprivate mutating func judgeWithMarks(_ count: Int) throws {
        var judged = 0
        while judged < count, case let came = try queue.receive(timeoutMilliseconds: 2000), came > 0 {
            judged += came
            while let packet = queue.next() {
                let value = Self.value(packet)
                packet.settle(.accept, mark: value == 0 ? nil : UInt32(value))
            }
        }
        queue.flush()
    }
}
