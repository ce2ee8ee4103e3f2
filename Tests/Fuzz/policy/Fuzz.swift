// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PolicyFile

/// Reading of a policy. An input is one file, or several with a record separator (0x1e) between them; whatever list file
/// it names is the input itself. The seeds are the golden policies.
@c(LLVMFuzzerTestOneInput)
func fuzzPolicy(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let surroundings = Surroundings(read: { _ in input }, knowsTimeZone: { $0.hasPrefix("E") })
    let files = input.split(separator: 0x1e, omittingEmptySubsequences: false).enumerated().map {
        (name: "file\($0.offset).yaml", text: Array($0.element))
    }
    let outcome = PolicyFile.parse(files, for: .replay, in: surroundings)
    for diagnostic in outcome.diagnostics { _ = diagnostic.rendered() }
    guard let document = outcome.document else {
        if outcome.diagnostics.isEmpty { fatalError("refused without a reason") }
        return 0
    }
    checkCanonicalForm(of: document, surroundings)
    guard (try? Policy(document, epoch: 1)) != nil else { fatalError("an accepted policy that does not compile") }
    return 0
}

/// The canonical text is read back, and printed again as itself.
private func checkCanonicalForm(of document: PolicyDocument, _ surroundings: Surroundings) {
    let text = PolicyFile.canonical(document)
    let again = PolicyFile.parse([("canonical.yaml", Array(text.utf8))], for: .replay, in: surroundings)
    guard let copy = again.document else {
        fatalError("\(text)\n" + again.diagnostics.map { $0.rendered() }.joined(separator: "\n"))
    }
    if PolicyFile.canonical(copy) != text { fatalError("\(text)\n\(PolicyFile.canonical(copy))") }
}
