// SPDX-License-Identifier: GPL-3.0-or-later

import TestSupport
import Testing

@testable import AgentControl

@Suite("JSON texts")
struct JSONValueTests {
    @Test(
        "A text is read and printed again in its shortest form",
        arguments: [
            ("null", "null"), ("true", "true"), (" false\n", "false"), ("0", "0"), ("-0", "0"), ("-12", "-12"),
            ("9223372036854775807", "9223372036854775807"), ("-9223372036854775808", "-9223372036854775808"),
            ("1.5", "1.5"), ("1e3", "1000.0"), ("9223372036854775808", "9.223372036854776e+18"),
            (#""a\/b\"\\\b\f\n\r\t""#, #""a/b\"\\\u0008\u000c\n\u000d\t""#), (#""\u00e9 \ud83d\ude00""#, "\"é 😀\""),
            (#""\u0000""#, #""\u0000""#), ("[ ]", "[]"), ("[1, [2] ,3]", "[1,[2],3]"), ("{ }", "{}"),
            (#"{ "a" : 1 , "b" : { "c" : [ ] } }"#, #"{"a":1,"b":{"c":[]}}"#),
        ])
    func readAndPrinted(text: String, printed: String) throws {
        let value = try JSONValue(parsing: text)
        #expect(value.printed == printed)
        #expect(try JSONValue(parsing: value.printed) == value)
    }

    @Test(
        "What is no JSON text is refused, with the place",
        arguments: [
            ("", 0), ("   ", 3), ("nul", 3), ("nulL", 3), ("tru e", 3), ("01", 0), ("-", 1), ("-a", 1), ("1.", 2),
            ("1.e3", 2), ("1e", 2), ("1e+", 3), ("1e999", 0), ("+1", 0), (".5", 0), ("NaN", 0), ("\"", 1), ("\"a", 2),
            ("\"\n\"", 1), (#""\x""#, 2), (#""\u12g4""#, 5), (#""\ud800""#, 3), (#""\ud800\u0041""#, 3),
            (#""\udc00""#, 3), ("[", 1), ("[1", 2), ("[1,]", 3), ("[,1]", 1), ("[1 2]", 3), ("{", 1), ("{a:1}", 1),
            (#"{"a"}"#, 4), (#"{"a":}"#, 5), (#"{"a":1,}"#, 7), (#"{"a":1 "b":2}"#, 7), ("1 2", 2), ("[]]", 2),
            ("'a'", 0), ("//", 0),
        ])
    func refused(text: String, offset: Int) {
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
        #expect(error?.offset == offset)
    }

    @Test("Bytes that are no UTF-8 are refused in a string")
    func invalidUTF8() {
        #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0xc0, 0xaf, 0x22]) }
        #expect(throws: JSONError.self) { try JSONValue(parsing: [0xff]) }
    }

    @Test("Nesting is refused beyond the limit and read up to it", arguments: ["[", "{\"a\":"])
    func nesting(opening: String) {
        let closing = opening == "[" ? "]" : "}"
        func nested(_ depth: Int) -> String {
            String(repeating: opening, count: depth) + "1" + String(repeating: closing, count: depth)
        }
        #expect(throws: Never.self) { try JSONValue(parsing: nested(JSONValue.depthLimit - 1)) }
        #expect(throws: JSONError.self) { try JSONValue(parsing: nested(JSONValue.depthLimit)) }
        #expect(throws: JSONError.self) { try JSONValue(parsing: String(repeating: opening, count: 50_000)) }
    }

    @Test("The first of two members with one name counts")
    func sameName() throws {
        #expect(try JSONValue(parsing: #"{"a":1,"a":2}"#)["a"] == .integer(1))
    }

    @Test("A printed text never contains a line feed or another control character")
    func oneLine() throws {
        let controls = String(String.UnicodeScalarView((0..<0x20).compactMap { Unicode.Scalar($0) }))
        let value: JSONValue = ["\n": .text(controls + "\u{7f}")]
        #expect(value.printed.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f })
        #expect(try JSONValue(parsing: value.printed) == value)
    }

    @Test("Random bytes of JSON's alphabet give a value or an error, never a trap", arguments: [UInt64(1), 2, 3])
    func randomBytes(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let alphabet = Array(#"{}[]",:\u0123eE+-.tfn "#.utf8) + [0x80, 0xff, 0x00]
        for _ in 0..<5_000 {
            let count = Int.random(in: 0..<40, using: &random)
            let bytes = (0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] }
            if let value = try? JSONValue(parsing: bytes) {
                #expect((try? JSONValue(parsing: value.printed)) == value, "seed \(seed), bytes \(bytes)")
            }
        }
    }
}
