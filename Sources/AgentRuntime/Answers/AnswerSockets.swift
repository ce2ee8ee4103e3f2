// SPDX-License-Identifier: GPL-3.0-or-later

import CAnswerShim
import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import Synchronization

/// Sends answers to refused packets, for all workers: raw sockets, whose packets bear the mark of the agent's own traffic.
///
/// What is sent here waits for nothing. What the kernel does not take at once is given up and counted.
final class AnswerSockets: Sendable {
    private let ipv4: Int32
    private let ipv6: Int32
    private let icmpv6: Int32
    /// Answers that were given up, and the error of the last one.
    let unsent = Atomic<UInt64>(0)
    private let lastError = Atomic<Int32>(0)
    /// Why no answer can be sent, where that is so.
    let trouble: String?

    /// Opens the sockets. A host without IPv6 does without those for it.
    init() {
        ipv4 = canswer_open(Int32(CANSWER_IPV4.rawValue))
        ipv6 = canswer_open(Int32(CANSWER_IPV6.rawValue))
        icmpv6 = canswer_open(Int32(CANSWER_ICMPV6.rawValue))
        trouble = ipv4 < 0 ? AnswerSockets.text(-ipv4) : nil
    }

    /// Gives up the right to open more, for this thread and those that it starts; says what keeps it from that.
    func giveUpRight() -> String? {
        let error = canswer_give_up_right()
        return error == 0 ? nil : AnswerSockets.text(error)
    }

    /// Has the packets bear this mark.
    func setMark(_ mark: UInt32) {
        for descriptor in [ipv4, ipv6, icmpv6] where descriptor >= 0 { _ = canswer_mark(descriptor, mark) }
    }

    /// Sends all of them.
    func send(_ answers: borrowing Answers) {
        guard !answers.isEmpty else { return }
        unsafe answers.bytes.withUnsafeBufferPointer { bytes in
            for answer in answers.waiting { unsafe send(answer, bytes) }
        }
    }

    private func send(_ answer: Answer, _ bytes: UnsafeBufferPointer<UInt8>) {
        let kind =
            answer.network == .ipv4 ? CANSWER_IPV4 : answer.reply == .reset ? CANSWER_IPV6 : CANSWER_ICMPV6
        let descriptor = kind == CANSWER_IPV4 ? ipv4 : kind == CANSWER_IPV6 ? ipv6 : icmpv6
        // The kernel writes the header of an ICMPv6 message.
        let skipped = kind == CANSWER_ICMPV6 ? AnswerSockets.ipv6HeaderLength : 0
        guard descriptor >= 0, let start = bytes.baseAddress, Int(answer.length) > skipped else {
            return note(descriptor < 0 ? -descriptor : EINVAL)
        }
        var way = canswer_way(answer)
        let error = unsafe canswer_send(
            descriptor, Int32(kind.rawValue), start + Int(answer.offset) + skipped, Int(answer.length) - skipped, &way)
        if error != 0 { note(error) }
    }

    private static let ipv6HeaderLength = 40

    private func note(_ error: Int32) {
        unsent.add(1, ordering: .relaxed)
        lastError.store(error, ordering: .relaxed)
    }

    /// Why the last one was given up.
    var lastTrouble: String { AnswerSockets.text(lastError.load(ordering: .relaxed)) }

    private static func text(_ error: Int32) -> String { unsafe String(cString: strerror(error)) }
}

extension canswer_way {
    /// IPv4 routes may depend on any source; over IPv6 the kernel takes only one of the host's own.
    fileprivate init(_ answer: Answer) {
        self.init()
        link = answer.link
        let isIPv4 = answer.network == .ipv4
        let source = isIPv4 || answer.isFromHost ? answer.source : .zero
        unsafe withUnsafeMutableBytes(of: &destination) { unsafe $0.put(answer.destination, isIPv4: isIPv4) }
        unsafe withUnsafeMutableBytes(of: &self.source) { unsafe $0.put(source, isIPv4: isIPv4) }
    }
}

extension UnsafeMutableRawBufferPointer {
    fileprivate func put(_ address: IPAddress, isIPv4: Bool) {
        if isIPv4 {
            unsafe storeBytes(of: address.v4.bigEndian, as: UInt32.self)
        } else {
            unsafe storeBytes(of: address.high.bigEndian, as: UInt64.self)
            unsafe storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
    }
}
