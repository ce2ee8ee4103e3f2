// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Testing

@testable import PolicyFile

@Suite("What a newcomer writes and YAML or the format reads otherwise")
struct AdviceTests {
    /// The first error of a policy with one rule, whose `source` is the text.
    private func error(source: String) throws -> Diagnostic {
        let rule = "version: 1\nrules:\n  - name: A\n    action: allow\n    direction: incoming\n    source:\n"
        return try error(rule + source + "\n")
    }

    private func error(_ text: String) throws -> Diagnostic {
        let outcome = parse(text)
        #expect(outcome.document == nil)
        return try #require(outcome.diagnostics.first)
    }

    @Test(
        "An IPv6 address that YAML takes for its own signs is to be quoted",
        arguments: [
            ("      addresses: [::/0]", "::/0"), ("      addresses: [::1, 10.0.0.1]", "::1"),
            ("      { addresses: ::1 }", "::1"), ("      addresses: [fd00::, 10.0.0.1]", "fd00::"),
            ("      addresses: [10.0.0.1, 2001:db8::]", "2001:db8::"),
            ("      addresses: [ fd00::/8, fe80:: ]", "fe80::"), ("      addresses: fd00::", "fd00::"),
            ("      addresses:\n        - fd00::", "fd00::"), ("      addresses: { fd00:: }", "fd00::"),
            ("      addresses:\n        - 10.0.0.1\n        - 2001:db8::", "2001:db8::"),
        ])
    func addresses(source: String, address: String) throws {
        let diagnostic = try error(source: source)
        #expect(diagnostic.suggestion == "quote it: \"\(address)\"", "\(diagnostic.rendered())")
        #expect(diagnostic.source?.contains(address) == true)
    }

    @Test("So it is in lists and in the metrics' address")
    func elsewhere() throws {
        let list = try error("version: 1\nlists:\n  a:\n    addresses:\n      - 2001:db8::\n")
        #expect(list.suggestion == "quote it: \"2001:db8::\"")
        #expect(list.found == "\"2001:db8::\", which YAML reads as a mapping")
        #expect(try error("version: 1\nmetrics: { listen: [::1]:9470 }\n").suggestion == "quote it: \"[::1]:9470\"")
        #expect(try error("version: 1\nmetrics:\n  listen: [::1]:9470\n").suggestion == "quote it: \"[::1]:9470\"")
    }

    @Test("A mapping where an address belongs is called a mapping, unless it is an address")
    func mappings() throws {
        let diagnostic = try error(source: "      addresses:\n        - office:")
        #expect(diagnostic.found == "a mapping" && diagnostic.suggestion == nil)
    }

    @Test(
        "Other values that begin or go on with a sign of YAML's",
        arguments: [
            ("version: 1\ninterfaces: { ignore: [eth*, *] }\n", "quote it: \"*\""),
            ("version: 1\ninterfaces: { ignore: *eth }\n", "a value that begins with * takes quotes"),
            ("version: 1\nrules:\n- { name: @home, action: deny }\n", "quote it: \"@home\""),
            ("version: 1\nrules:\n- name: %x\n", "quote it: \"%x\""),
            ("version: 1\nrules:\n- name: SSH: home\n", "a value with a colon and a blank in it takes quotes"),
            ("version: 1\nrules:\n- { name: SSH: home }\n", "a value with a colon and a blank in it takes quotes"),
            ("version: 1\nrules:\n- name: 'don't'\n", "inside single quotes an apostrophe is written twice"),
            ("version: 1\nrules:\n- name: \"say \"hi\"\"\n", "inside double quotes a quote is written \\\""),
            (
                "version: 1\ninterfaces: { ignore: !lo }\n",
                "a criterion is inverted by { not: … }; other values that begin with ! take quotes"
            ),
            ("version: '1'\n", "write it without quotes"), ("version: \"1\"\n", "write it without quotes"),
        ])
    func signs(text: String, suggestion: String) throws {
        let diagnostic = try error(text)
        #expect(diagnostic.suggestion == suggestion, "\(diagnostic.rendered())")
    }

    @Test("Another version than 1 is not to be written without quotes", arguments: ["'2'", "2", "1.0", "'1.0'"])
    func versions(text: String) throws {
        #expect(try error("version: \(text)\n").suggestion == nil)
    }

    @Test(
        "Days as people write them",
        arguments: [
            ("Mon-Fri", "mon-fri"), ("MON", "mon"), ("Monday-Friday", "mon-fri"), ("mon-Fri", "mon-fri"),
            ("monday to friday", "mon-fri"), ("Mon – Fri", "mon-fri"), ("weekend", "sat-sun"), ("Weekdays", "mon-fri"),
            ("daily", "all"), ("thurs", "thu"),
        ])
    func days(written: String, meant: String) throws {
        let diagnostic = try error("version: 1\nschedules: { o: { weekly: { \"\(written)\": [\"08:00-18:00\"] } } }\n")
        #expect(diagnostic.suggestion == "write \(meant)")
    }

    @Test("Days that mean nothing, or several things", arguments: ["xyz", "mon-tue-wed", ""])
    func otherDays(written: String) throws {
        let diagnostic = try error("version: 1\nschedules: { o: { weekly: { \"\(written)\": [\"08:00-18:00\"] } } }\n")
        #expect(diagnostic.suggestion == nil)
    }

    @Test(
        "Times as people write them",
        arguments: [
            ("8:00-18:00", "08:00-18:00"), ("8-18", "08:00-18:00"), ("08:00 - 18:00", "08:00-18:00"),
            ("9-9:30", "09:00-09:30"),
        ])
    func times(written: String, meant: String) throws {
        let diagnostic = try error("version: 1\nschedules: { o: { weekly: { all: [\"\(written)\"] } } }\n")
        #expect(diagnostic.suggestion == "write \"\(meant)\"")
        #expect(try error("version: 1\nschedules: { o: { weekly: { all: [\"25-26\"] } } }\n").suggestion == nil)
    }
}

@Suite("Files as other systems and other lists have them")
struct ForeignFileTests {
    private func list(_ bytes: [UInt8]) -> (texts: [String], diagnostics: [Diagnostic]) {
        var file = AddressFile(name: "f", bytes: bytes)
        return (file.takeRanges().texts, file.diagnostics)
    }

    @Test(
        "A list's lines end as they do on any system; # and ; begin comments; a byte order mark is nothing",
        arguments: [
            "10.0.0.1\n10.0.0.3\n", "10.0.0.1\r\n10.0.0.3\r\n", "10.0.0.1\r10.0.0.3",
            "\u{feff}10.0.0.1\r\n\r\n10.0.0.3",
            "; a list\n10.0.0.1 ; SBL1\n10.0.0.3;SBL2\n;10.0.0.4\n", "# a list\n10.0.0.1 # one ; two\n  10.0.0.3\n",
            "\u{feff}; a list\r\n10.0.0.1 ; SBL1\r\n10.0.0.3\r\n",
        ])
    func lists(text: String) {
        let (texts, diagnostics) = list(Array(text.utf8))
        #expect(texts == ["10.0.0.1", "10.0.0.3"])
        #expect(diagnostics.isEmpty)
    }

    @Test("A wrong line is counted alike", arguments: ["\n", "\r\n", "\r"])
    func wrongLine(end: String) throws {
        let (_, diagnostics) = list(Array("\u{feff}10.0.0.1\(end)\(end) nonsense ; x\(end)10.0.0.3".utf8))
        let diagnostic = try #require(diagnostics.first)
        #expect(diagnostics.count == 1)
        #expect((diagnostic.line, diagnostic.column, diagnostic.found) == (3, 2, "\"nonsense\""))
        let first = try #require(list(Array("\u{feff}nonsense".utf8)).diagnostics.first)
        #expect((first.line, first.column, first.caret) == (1, 1, 1))
    }

    @Test("UTF-16 is called by its name", arguments: [[0xff, 0xfe, 0x31, 0], [0xfe, 0xff, 0, 0x31]] as [[UInt8]])
    func utf16(bytes: [UInt8]) throws {
        #expect(list(bytes).diagnostics.map(\.found) == ["UTF-16"])
        let outcome = PolicyFile.parse([("policy.yaml", bytes)])
        #expect(outcome.diagnostics.first?.found == "UTF-16")
    }

    @Test("A policy with a byte order mark and Windows' line ends is read, and its places are right")
    func policy() throws {
        #expect(parse("\u{feff}version: 1\r\nmode: tap\r\n").document?.mode == .tap)
        let diagnostic = try #require(parse("\u{feff}version: 1\r\nmode: tab\r\n").diagnostics.first)
        #expect((diagnostic.line, diagnostic.column) == (2, 7))
    }
}
