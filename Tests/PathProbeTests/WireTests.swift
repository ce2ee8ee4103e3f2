// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import Testing

@testable import PathProbe

struct PayloadTests {
    private let key = SecretKey([1, 2, 3])
    private let request = ProbePayload(.request, port: 443, session: 7, probe: 9, attempt: 3, length: 60)

    @Test func whatWasWrittenIsProven() {
        let bytes = request.encoded(key)
        #expect(bytes.count == 60)
        #expect(ProbePayload(unproven: bytes) == request)
        #expect(request.isProven(by: bytes, key))
    }

    @Test func everyChangedBitIsSeen() {
        let bytes = request.encoded(key)
        for index in bytes.indices {
            for bit in 0..<8 {
                var changed = bytes
                changed[index] ^= 1 << UInt8(bit)
                let payload = ProbePayload(unproven: changed)
                #expect(payload.map { !$0.isProven(by: changed, key) } ?? true)
            }
        }
        #expect(!request.isProven(by: bytes.dropLast(), key))
        #expect(!request.isProven(by: bytes + [0], key))
        #expect(!request.isProven(by: bytes, SecretKey([1, 2])))
    }

    @Test func aRequestIsNoAnswer() {
        let answer = request.answer
        #expect(answer.encoded(key).count == request.encoded(key).count)
        #expect(answer.encoded(key) != request.encoded(key))
        #expect(!answer.isProven(by: request.encoded(key), key))
    }

    @Test func beginningsOfOtherThingsAreNoPayloads() {
        let bytes = request.encoded(key)
        #expect(ProbePayload(unproven: bytes.prefix(47)) == nil)
        for (offset, value) in [(0, 0x51), (4, 2), (5, 3), (24, 1), (28, 1), (31, 16)] as [(Int, UInt8)] {
            var other = bytes
            other[offset] = value
            #expect(ProbePayload(unproven: other) == nil)
        }
    }
}

struct PortSetTests {
    @Test(
        "the grammar of Firescan",
        arguments: [
            ("6,5,4445,4,3,2,50-60", "2-6,50-60,4445"), ("80", "80"), ("1-65535", "1-65535"), ("9-9", "9"),
            ("10-20,15-30,31", "10-31"), ("65535,1", "1,65535"),
        ])
    func lists(text: String, canonical: String) throws {
        let ports = try PortSet(parsing: text)
        #expect("\(ports)" == canonical)
        #expect(ports.ports.count == ports.count)
        for (index, port) in ports.ports.enumerated() where index % 97 == 0 { #expect(ports.index(of: port) == index) }
    }

    @Test(arguments: [
        "", ",", "80,", "0", "65536", "1-65536", "9-3", "-", "1-", "-1", " 80", "80 ", "http", "1--2", "٣",
    ])
    func noLists(text: String) { #expect(throws: PortSet.Fault.self) { try PortSet(parsing: text) } }
}

struct FrameTests {
    private func pair() -> (ControlFrames, ControlFrames) {
        var (client, reflector) = (ControlFrames(.client), ControlFrames(.reflector))
        client.protect(with: SecretKey([1]))
        reflector.protect(with: SecretKey([1]))
        return (client, reflector)
    }

    @Test func linesComeInTheirOrderAndInPieces() throws {
        var (client, reflector) = pair()
        for byte in client.line([97]) + client.line([98]) { reflector.append([byte]) }
        #expect(try reflector.next() == [97])
        #expect(try reflector.next() == [98])
        #expect(try reflector.next() == nil)
    }

    @Test func repeatedLeftOutReflectedAndForeignLinesAreNot() throws {
        let pairs = (0..<4).map { _ in pair() }
        var (client, reflector) = pairs[0]
        let first = client.line([97])
        reflector.append(first[...])
        #expect(try reflector.next() == [97])
        reflector.append(first[...])
        #expect(throws: ControlFrames.Fault.unproven) { try reflector.next() }

        (client, reflector) = pairs[1]
        _ = client.line([97])
        reflector.append(client.line([98])[...])
        #expect(throws: ControlFrames.Fault.unproven) { try reflector.next() }

        (client, reflector) = pairs[2]
        client.append(client.line([97])[...])
        #expect(throws: ControlFrames.Fault.unproven) { try client.next() }

        reflector = pairs[3].1
        reflector.append(Array("{\"ask\":\"end\"}\n".utf8)[...])
        #expect(throws: ControlFrames.Fault.unproven) { try reflector.next() }
    }

    @Test func aLineHasAnEnd() {
        var frames = ControlFrames(.reflector)
        frames.append([UInt8](repeating: 97, count: ControlFrames.maximumBytes)[...])
        #expect(throws: Never.self) { try frames.next() }
        frames.append([97, 97])
        #expect(throws: ControlFrames.Fault.tooLong) { try frames.next() }
    }
}

struct ScriptTests {
    @Test func datagramAnswersAreNoLongerThanWhatAsksForThem() {
        func script(_ steps: [(PayloadScript.Sender, Int)]) throws(PayloadScript.Fault) {
            _ = try PayloadScript(steps.map { .init($0.0, [UInt8](repeating: 1, count: $0.1)) }, over: .udp)
        }
        #expect(throws: Never.self) { try script([(.client, 4), (.reflector, 4), (.client, 1), (.reflector, 1)]) }
        #expect(throws: PayloadScript.Fault.longerAnswer(step: 1)) { try script([(.client, 4), (.reflector, 5)]) }
        // One question, two answers.
        #expect(throws: PayloadScript.Fault.longerAnswer(step: 2)) {
            try script([(.client, 4), (.reflector, 2), (.reflector, 2)])
        }
        #expect(throws: PayloadScript.Fault.noFirstDatagram) { try script([(.reflector, 4), (.client, 4)]) }
        #expect(throws: PayloadScript.Fault.empty) { try script([]) }
        #expect(throws: PayloadScript.Fault.empty) { try script([(.client, 0)]) }
    }

    @Test func aDatagramConversationAnswersWhatStandsInIt() throws {
        let script = try PayloadScript(
            [.init(.client, [1, 1]), .init(.reflector, [2]), .init(.client, [3]), .init(.reflector, [4])], over: .udp)
        var conversations = DatagramConversations()
        let peer = Endpoint.any(isIPv6: false, port: 9)
        #expect(conversations.reply(to: [1, 1], from: peer, script).answer == [2])
        #expect(conversations.reply(to: [3], from: peer, script).answer == [4])
        #expect(conversations.reply(to: [1], from: peer, script) == (false, nil))
        let again = (0..<40).count { _ in conversations.reply(to: [3], from: peer, script).answer != nil }
        #expect(again == 15)
    }
}

struct EndpointTests {
    @Test(arguments: ["192.0.2.1:80", "[2001:db8::1]:443", "[::ffff:192.0.2.1]:1"])
    func texts(text: String) { #expect(Endpoint(parsing: text).map { "\($0)" } == text) }

    @Test(arguments: ["192.0.2.1", "2001:db8::1:80", "192.0.2.1:65536", ":80", "[192.0.2.1:80", "host:80", ""])
    func noEndpoints(text: String) { #expect(Endpoint(parsing: text) == nil) }

    @Test func prefixesHoldTheirOwnFamily() throws {
        let prefix = try #require(AddressPrefix(parsing: "192.0.2.0/25"))
        #expect(prefix.contains(try #require(Endpoint(address: "192.0.2.127"))))
        #expect(!prefix.contains(try #require(Endpoint(address: "192.0.2.128"))))
        #expect(!prefix.contains(try #require(Endpoint(address: "::ffff:192.0.2.1"))))
        let all = try #require(AddressPrefix(parsing: "::/0"))
        #expect(all.contains(try #require(Endpoint(address: "2001:db8::1"))))
        #expect(!all.contains(try #require(Endpoint(address: "192.0.2.1"))))
        for text in ["192.0.2.0/33", "::/129", "192.0.2.0/", "192.0.2.0/1/2", "x"] {
            #expect(AddressPrefix(parsing: text) == nil)
        }
    }
}
