// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Testing

@testable import PolicyFile

@Suite("Golden policies")
struct GoldenTests {
    @Test("There are at least sixty of each kind")
    func count() {
        #expect(Fixtures.names(in: "accepted").count >= 60)
        #expect(Fixtures.names(in: "refused").count >= 60)
    }

    @Test("An accepted policy is printed in its canonical form", arguments: Fixtures.names(in: "accepted"))
    func accepted(_ name: String) throws {
        let outcome = try Fixtures.outcome(name, in: "accepted")
        let document = try #require(outcome.document, "\(outcome.rendered)")
        let warnings = outcome.rendered.split(separator: "\n").map { "# \($0)\n" }.joined()
        let text = PolicyFile.canonical(document) + warnings
        #expect(try text == Fixtures.expected("accepted/\(name).ok", actual: text))
    }

    @Test("A refused policy gives exactly its diagnostics", arguments: Fixtures.names(in: "refused"))
    func refused(_ name: String) throws {
        let outcome = try Fixtures.outcome(name, in: "refused")
        #expect(outcome.document == nil)
        let text = outcome.rendered
        #expect(try text == Fixtures.expected("refused/\(name).err", actual: text))
    }

    @Test(
        "The canonical form is read back as the same policy, and printed again as the same text",
        arguments: Fixtures.names(in: "accepted"), [false, true])
    func fixedPoint(_ name: String, complete: Bool) throws {
        let document = try #require(try Fixtures.outcome(name, in: "accepted").document)
        let text = PolicyFile.canonical(document, complete: complete)
        let again = PolicyFile.parse(
            [("\(name).yaml", Array(text.utf8))], for: .replay, in: Fixtures.surroundings(of: "accepted"))
        let copy = try #require(again.document, "\(again.rendered)\n\(text)")
        #expect(again.diagnostics.isEmpty)
        #expect(PolicyFile.canonical(copy, complete: complete) == text)
        #expect(dumpText(copy.withoutPlaces) == dumpText(document.withoutPlaces))
    }
}

extension PolicyDocument {
    /// Without what belongs to the text and not to the policy, and with lists by their values.
    fileprivate var withoutPlaces: PolicyDocument {
        var copy = self
        let nowhere = SourcePosition(file: "", line: 0, column: 0)
        copy.files = []
        for index in copy.addressLists.indices { copy.addressLists[index].position = nowhere }
        for index in copy.portLists.indices { copy.portLists[index].position = nowhere }
        for index in copy.macLists.indices { copy.macLists[index].position = nowhere }
        for index in copy.schedules.indices { copy.schedules[index].position = nowhere }
        for index in copy.rules.indices { copy.rules[index].position = nowhere }
        return copy
    }
}

private func dumpText(_ document: PolicyDocument) -> String {
    var text = ""
    dump(document, to: &text)
    return text
}
