// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import PacketWire
import Testing

@testable import PathProbe

/// The table from observations to categories, row by row. That the kernel reports these observations is shown live.
struct ClassifierTests {
    private let target = Endpoint(IPAddress(v4: 0xc633_6402), isIPv6: false, port: 80)
    private let own = Endpoint(IPAddress(v4: 0xc633_6401), isIPv6: false)
    private let router = Endpoint(IPAddress(v4: 0xc633_64fe), isIPv6: false)

    private func handshake(_ number: Int32, _ icmp: ICMPEvidence?) -> String {
        let verdict = Classifier.handshake(SystemFault(number), icmp, target: target) { $0.address == own.address }
        return "\(verdict.category.rawValue) \(verdict.detail.text)"
    }

    private func icmp(_ version: Int, _ type: UInt8, _ code: UInt8, from: Endpoint? = nil) -> ICMPEvidence {
        ICMPEvidence(version: version, type: type, code: code, offender: from ?? router)
    }

    @Test func lackOnThisHostIsNoVerdict() {
        for number in [EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL, EADDRINUSE] {
            for transport in Transport.allCases {
                #expect(Classifier.local(SystemFault(number), transport).category == .localResource)
            }
        }
    }

    @Test(arguments: [
        (ENETUNREACH, "no_route"), (EHOSTUNREACH, "unreachable_route"), (EINVAL, "blackhole_route"),
        (EAFNOSUPPORT, "family_unsupported"), (ENETDOWN, "network_down"), (EPERM, "local_policy"),
        (EACCES, "local_policy"),
    ])
    func refusalsOfThisHost(number: Int32, word: String) {
        let tcp = Classifier.local(SystemFault(number), .tcp)
        #expect((tcp.category, tcp.detail.text) == (.handshakeInit, word))
        let udp = Classifier.sending(SystemFault(number), .udp)
        #expect((udp.category, udp.detail.text) == (.payloadSend, word))
    }

    @Test func theErrorQueueTellsARefusalFromAnother() {
        #expect(handshake(ECONNREFUSED, nil) == "handshake_refused rst")
        #expect(handshake(ECONNREFUSED, icmp(4, 3, 3)) == "handshake_refused icmp_port")
        #expect(handshake(ECONNREFUSED, icmp(4, 3, 3, from: target)) == "handshake_refused icmp_port_target")
        #expect(handshake(ECONNREFUSED, icmp(6, 1, 4)) == "handshake_refused icmp_port")
        for code in [9, 10, 13] as [UInt8] {
            #expect(handshake(EHOSTUNREACH, icmp(4, 3, code)) == "handshake_refused icmp_filtered")
        }
        for code in [1, 5, 6] as [UInt8] {
            #expect(handshake(EACCES, icmp(6, 1, code)) == "handshake_refused icmp_filtered")
        }
        for code in [0, 1, 2] as [UInt8] {
            #expect(handshake(EHOSTUNREACH, icmp(4, 3, code)) == "handshake_refused icmp_unreachable")
        }
        for code in [0, 3] as [UInt8] {
            #expect(handshake(EHOSTUNREACH, icmp(6, 1, code)) == "handshake_refused icmp_unreachable")
        }
        #expect(handshake(EHOSTUNREACH, icmp(4, 11, 0)) == "handshake_refused ttl_exceeded")
        #expect(handshake(EHOSTUNREACH, icmp(6, 3, 0)) == "handshake_refused ttl_exceeded")
        #expect(handshake(EPROTO, icmp(4, 12, 0)) == "handshake_refused errno_EPROTO")
        #expect(handshake(ECONNABORTED, nil) == "handshake_refused errno_ECONNABORTED")
        #expect(handshake(ECONNRESET, nil) == "payload_refused rst at=send")
        #expect(handshake(ETIMEDOUT, nil).hasPrefix("handshake_timeout"))
    }

    @Test func whatThisHostSaysItselfIsNotThePaths() {
        #expect(handshake(ECONNREFUSED, icmp(4, 3, 3, from: own)) == "handshake_init local_reject")
        #expect(handshake(EHOSTUNREACH, icmp(4, 3, 1, from: own)) == "handshake_init neighbour_unresolved")
        #expect(handshake(EHOSTUNREACH, icmp(6, 1, 3, from: own)) == "handshake_init neighbour_unresolved")
        // A target that is this host itself refuses as any other does.
        let verdict = Classifier.handshake(SystemFault(ECONNREFUSED), icmp(4, 3, 3, from: target), target: target) {
            _ in true
        }
        #expect(verdict.detail == .portUnreachable(byTarget: true))
    }

    @Test func resetsCountAsRefusedUntilTheAnswerBegan() {
        for number in [ECONNRESET, EPIPE] {
            for isSending in [false, true] {
                let verdict = Classifier.established(SystemFault(number), isSending: isSending, hasAnswer: false)
                #expect(verdict?.category == .payloadRefused)
                #expect(verdict?.detail.text == (isSending ? "rst at=send" : "rst at=recv"))
            }
            let late = Classifier.established(SystemFault(number), isSending: false, hasAnswer: true)
            #expect(late?.category == .payloadError)
            #expect(late?.detail == .truncatedByReset)
        }
        for number in [EHOSTUNREACH, ENETUNREACH, EACCES, ENOPROTOOPT] {
            #expect(
                Classifier.established(SystemFault(number), isSending: false, hasAnswer: false)?.detail == .softError)
        }
        #expect(Classifier.established(SystemFault(ETIMEDOUT), isSending: false, hasAnswer: false) == nil)
    }

    @Test func silenceIsToldByWhatWasAcknowledged() {
        #expect(Classifier.deadline(unsent: 1, hasAnswer: false, isAcknowledged: false) == (.payloadSend, .stalled))
        #expect(
            Classifier.deadline(unsent: 0, hasAnswer: false, isAcknowledged: false) == (
                .payloadTimeout, .unacknowledged
            ))
        #expect(
            Classifier.deadline(unsent: 0, hasAnswer: false, isAcknowledged: true) == (.payloadTimeout, .acknowledged))
        #expect(
            Classifier.deadline(unsent: 0, hasAnswer: true, isAcknowledged: true) == (.payloadError, .truncatedByTime))
    }

    @Test func theVendorsCodes() {
        let codes = Category.allCases.map(\.code)
        #expect(codes == [12_110, 12_150, 12_151, 12_152, 12_154, 12_156, 12_155, 12_157, 12_158, 12_112, 12_020])
        #expect(Category.allCases.count { !$0.applies(to: .udp) } == 3)
    }
}

struct ExpectationTests {
    private func finding(_ category: PathProbe.Category, _ detail: Detail) -> ProbeFinding {
        ProbeFinding(category, detail)
    }

    @Test func outcomes() {
        #expect(Expectation(.allow).isMet(by: finding(.open, .answered)) == true)
        #expect(Expectation(.allow).isMet(by: finding(.payloadTimeout, .acknowledged)) == false)
        #expect(Expectation(.deny).isMet(by: finding(.handshakeTimeout, .segmentsSent(3))) == true)
        #expect(Expectation(.deny).isMet(by: finding(.open, .answered)) == false)
        // What this host did not send was not denied by the path.
        #expect(Expectation(.deny).isMet(by: finding(.handshakeInit, .noRoute)) == false)
        #expect(Expectation(.deny, category: .handshakeInit).isMet(by: finding(.handshakeInit, .noRoute)) == true)
        #expect(Expectation(.reject).isMet(by: finding(.handshakeRefused, .reset)) == true)
        #expect(Expectation(.reject).isMet(by: finding(.handshakeTimeout, .segmentsSent(3))) == false)
        #expect(Expectation(.deny, category: .handshakeTimeout).isMet(by: finding(.handshakeRefused, .reset)) == false)
        #expect(Expectation(.reject, detail: "icmp_filtered").isMet(by: finding(.handshakeRefused, .filtered)) == true)
        #expect(Expectation(.reject, detail: "icmp_filtered").isMet(by: finding(.handshakeRefused, .reset)) == false)
        let reasoned = Expectation(.deny, reason: "deny")
        let silence = finding(.handshakeTimeout, .segmentsSent(3))
        #expect(reasoned.isMet(by: silence, reasons: ["deny"]) == true)
        #expect(reasoned.isMet(by: silence, reasons: ["out-of-allowed-policy"]) == false)
        #expect(reasoned.isMet(by: silence) == nil)
        let open = ["out-of-allowed-policy-open-port"]
        #expect(Expectation(.deny, reason: "out-of-allowed-policy").isMet(by: silence, reasons: open) == true)
        #expect(reasoned.isMet(by: silence, reasons: open) == false)
        #expect(reasoned.isMet(by: finding(.open, .answered), reasons: ["deny"]) == false)
        for category in [PathProbe.Category.localResource, .skipped] {
            #expect(Expectation(.deny).isMet(by: finding(category, .notReached)) == nil)
        }
    }
}

struct LoopTests {
    @Test func deadlinesComeInTheirOrder() {
        var heap = DeadlineHeap()
        let at = { (seconds: Int64) in Instant(nanoseconds: seconds) }
        for token in 1...1_000 as ClosedRange<UInt64> { heap.set(token, at(Int64(token * 7919 % 1_009))) }
        for token in 1...1_000 as ClosedRange<UInt64> where token % 3 == 0 { heap.cancel(token) }
        for token in 1...1_000 as ClosedRange<UInt64> where token % 5 == 0 { heap.set(token, at(Int64(token))) }
        var popped: [(UInt64, Instant)] = []
        while let first = heap.first {
            let token = heap.pop(dueBy: first)
            popped.append((token ?? 0, first))
        }
        #expect(zip(popped, popped.dropFirst()).allSatisfy { $0.1 <= $1.1 })
        #expect(Set(popped.map(\.0)).count == popped.count)
        #expect(popped.count == (1...1_000).count { $0 % 3 != 0 || $0 % 5 == 0 })
        #expect(heap.count == 0)
    }

    @Test func localPortsComeRoundAfterAllOthers() {
        var ports = LocalPorts(nil, kernel: 32_768...60_999)
        let first = (0..<65_536 - 10_000).map { _ in ports.take() }
        #expect(Set(first).count == first.count)
        #expect(first[0] == 61_000)
        #expect(ports.take() == 61_000)
        var chosen = LocalPorts(5_000...5_002)
        #expect((0..<4).map { _ in chosen.take() } == [5_000, 5_001, 5_002, 5_000])
    }

    @Test func datagramsArePacedWithoutBursts() {
        let pacer = Pacer(perSecond: 100)
        var now = Instant(nanoseconds: 1_000_000_000_000)
        var sent = 0
        let end = now + .seconds(1)
        while now < end {
            let slot = pacer.take(at: now)
            if slot <= now { sent += 1 } else { now = slot }
        }
        #expect((100...103).contains(sent))
        now = now + .seconds(60)
        var burst = 0
        while pacer.take(at: now) <= now { burst += 1 }
        #expect(burst <= 3)
    }
}
