// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import PacketWire
import Testing

@testable import AgentRuntime

@Suite("An agent that cannot live is not started for ever")
struct StartCountTests {
    private let count = StartCount(path: "/tmp/portreeve-starts-\(getpid())-\(UInt64.random(in: 0...UInt64.max))")

    @Test("The start after five is one too many, and the next is the first again")
    func limit() {
        defer { count.forget() }
        for _ in 0..<2 {
            for _ in 0..<StartCount.limit { #expect(!count.isTooMany()) }
            #expect(count.isTooMany())
        }
    }

    @Test("One that was asked to end does not count")
    func planned() {
        for _ in 0..<3 * StartCount.limit {
            #expect(!count.isTooMany())
            count.forget()
        }
    }

    @Test("Starts of long ago, and of an earlier boot, do not count; nor does nonsense")
    func earlier() {
        defer { count.forget() }
        let now = Clocks.sinceBoot().nanoseconds / 1_000_000_000
        let lines = [now - StartCount.window, now - 1000, now + 5000].map { "\($0)\n" }
        SmallFile.replace(count.path, with: (lines + lines + ["x\n", "\n"]).joined())
        for _ in 0..<StartCount.limit { #expect(!count.isTooMany()) }
        #expect(count.isTooMany())
    }
}
