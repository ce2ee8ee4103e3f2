// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@testable import EventLog

@Suite("Text that is written in pieces")
struct JSONTextTests {
    /// As RFC 8259 section 7 has it, character by character.
    private static func escaped(_ text: String) -> String {
        var result = "\""
        for byte in text.utf8 {
            switch byte {
            case 0x22, 0x5c: result += "\\" + String(UnicodeScalar(byte))
            case 0x0a: result += "\\n"
            case 0x0d: result += "\\r"
            case 0x09: result += "\\t"
            case 0..<0x20, 0x7f: result += "\\u00" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            default: result += String(UnicodeScalar(byte))
            }
        }
        return result + "\""
    }

    @Test("is the same wherever the borders of its buffer lie, and whatever has to be escaped", arguments: 1...20)
    func borders(_ seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let letters = Array("abcdefgh\"\\\n\r\t\u{01}\u{7f} ~".utf8)
        var expected = "{"
        var json = JSONText()
        json.beginObject()
        for place in 0..<40 {
            // Of ASCII alone, so that the expectation can be made byte by byte.
            let length = Int(random.next() % 3 == 0 ? random.next() % 1_500 : random.next() % 30)
            let text = String(
                decoding: (0..<length).map { _ in letters[Int(random.next() % UInt64(letters.count))] }, as: UTF8.self)
            let number = random.next() >> (random.next() % 64)
            json.field("text", text)
            json.field("number", number)
            json.field("mac", MACAddress(bits: number & 0xffff_ffff_ffff))
            json.field("address", IPAddress(v4: UInt32(truncatingIfNeeded: number)), isIPv6: false)
            expected += (place == 0 ? "" : ",") + "\"text\":" + Self.escaped(text) + ",\"number\":\(number)"
            expected += ",\"mac\":\"\(MACAddress(bits: number & 0xffff_ffff_ffff))\""
            expected +=
                ",\"address\":\"\(IPAddress(v4: UInt32(truncatingIfNeeded: number)).description(isIPv6: false))\""
        }
        json.endObject()
        var bytes: [UInt8] = []
        json.exchange(&bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == expected + "}")
    }
}
