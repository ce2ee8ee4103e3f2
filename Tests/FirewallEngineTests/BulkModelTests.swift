// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import Foundation
import TestSupport
import Testing

@Suite("Honest streams")
struct BulkModelTests {
    /// `make model-bulk` plays a million.
    private static let count =
        ProcessInfo.processInfo.environment["PORTREEVE_BULK_SEGMENTS"].flatMap(Int.init) ?? 100_000
    private static let strict = """
        stateful:
          ftp: { incoming-active: true, outgoing-active: true, incoming-passive: true, outgoing-passive: true }
        engine: { anti-evasion: strict }
        """

    @Test(
        "pass in silence, whatever the path does to them, while all of it is judged strictly",
        arguments: [false, true])
    func pass(isIPv6: Bool) throws {
        var model = BulkModel(try EngineUnderTest(Self.strict), seed: 14, isIPv6: isIPv6)
        model.run(Self.count / 2)
        #expect(model.failure == nil)
        #expect(model.segments >= Self.count / 2 && model.repeated > model.connections, "\(model.segments)")
        let kept = model.host.engine.counters.bytesKept
        print(
            "\(model.segments) segments of \(model.connections) connections, \(model.repeated) of them cut anew: no event, \(kept) bytes kept"
        )
    }
}
