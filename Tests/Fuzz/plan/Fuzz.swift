// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import PathProbe
import PolicyFile

/// Plans. A file that a plan names has the bytes of its own name. What is understood can be asked of a reflector, in messages
/// that it understands; what is not is located.
@c(LLVMFuzzerTestOneInput)
func fuzzPlan(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let text = Array(UnsafeBufferPointer(start: start, count: count))
    let outcome = PlanFile.parse(name: "plan", text) { path throws(FileFault) in Array(path.utf8) }
    for diagnostic in outcome.diagnostics {
        if diagnostic.line == 0 || diagnostic.found.isEmpty { fatalError("not located: \(diagnostic)") }
        _ = diagnostic.rendered()
    }
    guard let plan = outcome.plan else {
        if outcome.diagnostics.isEmpty { fatalError("refused without a reason") }
        return 0
    }
    ask(plan)
    return 0
}

private func ask(_ plan: PlanFile) {
    var tests: [PlannedTest] = []
    for entry in plan.tests.prefix(16) {
        for (transport, payload) in entry.payloads {
            tests.append(
                PlannedTest(
                    target: .any(isIPv6: entry.family == 6), transport, ports: entry.ports, payload: payload,
                    deadlines: ProbeDeadlines(entry.timeout ?? .seconds(1)), expectation: entry.expectation))
        }
    }
    let scan = ScanPlan(tests).resolved(SecretKey([1]))
    for request in scan.requests(source: { _ in nil }) {
        guard (try? ProbeRequest(message: request.message)) == request else { fatalError("\(request)") }
    }
}
