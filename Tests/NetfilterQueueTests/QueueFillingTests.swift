// SPDX-License-Identifier: GPL-3.0-or-later

import Testing

@testable import NetfilterQueue

@Suite("Whether a queue may have been full")
struct QueueFillingTests {
    /// After these batches, and these serial numbers.
    private func mayHaveOverflowed(batches: [Int], held: Int = 0, ids: [UInt32] = []) -> Bool {
        var filling = QueueFilling(length: 100)
        for count in batches { filling.note(batch: count, held: held) }
        for id in ids { filling.note(id) }
        let answer = filling.takeOverflow()
        return answer && !filling.takeOverflow()
    }

    @Test("As many packets as it holds without having been empty: perhaps; one fewer: no")
    func length() {
        #expect(mayHaveOverflowed(batches: [32, 32, 32, 4]))
        #expect(!mayHaveOverflowed(batches: [32, 32, 32, 3]))
    }

    @Test("Quiet between the batches empties it, but for what is held or not yet settled")
    func quiet() {
        let batches = [Int](repeating: 31, count: 100)
        #expect(!mayHaveOverflowed(batches: batches))
        #expect(!mayHaveOverflowed(batches: batches, held: 37))
        #expect(mayHaveOverflowed(batches: batches, held: 38))
    }

    @Test("A missing serial number tells of a full socket buffer; the first and the wrapping one tell nothing")
    func gap() {
        #expect(!mayHaveOverflowed(batches: [], ids: [.max - 1, .max, 0, 1]))
        #expect(mayHaveOverflowed(batches: [], ids: [7, 9]))
    }
}
