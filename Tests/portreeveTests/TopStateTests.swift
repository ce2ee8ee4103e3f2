// SPDX-License-Identifier: GPL-3.0-or-later

import EventReader
import Testing

@testable import portreeve

@Suite("The live view's state")
struct TopStateTests {
    private func table(_ counts: [String: Double]) -> TopTable {
        TopTable(
            columns: [.number("PACKETS"), .text("SOURCE", cutTo: 6)],
            rows: counts.map {
                TopTable.Row(key: $0.key, cells: ["\(Int($0.value))", $0.key], numbers: [$0.value, 0])
            })
    }

    private func keys(_ state: TopState, _ table: TopTable) -> [String] { state.rows(of: table).map(\.key) }

    @Test("Rows stand by the first number, the largest first; keys choose another column, and the other way round")
    func sorting() {
        var state = TopState()
        let table = table(["b": 3, "a": 20, "c": 3])
        #expect(keys(state, table) == ["a", "b", "c"])
        _ = state.press(.character("r"), table, room: 5)
        #expect(keys(state, table) == ["b", "c", "a"])
        _ = state.press(.character("s"), table, room: 5)
        #expect(keys(state, table) == ["a", "b", "c"])
        _ = state.press(.character("r"), table, room: 5)
        #expect(keys(state, table) == ["c", "b", "a"])
    }

    @Test("What is selected stays so while numbers change, and stands on the screen however small")
    func selection() {
        var state = TopState()
        let before = table(["a": 9, "b": 8, "c": 7, "d": 6])
        _ = state.press(.end, before, room: 2)
        #expect(state.window(of: state.rows(of: before), room: 2) == 2..<4)
        let after = table(["a": 9, "b": 8, "c": 7, "d": 60, "e": 1])
        let rows = state.rows(of: after)
        #expect(rows[state.selection(in: rows)].key == "d" && state.window(of: rows, room: 2) == 0..<2)
        // It is gone: the first is selected.
        let without = table(["a": 1])
        #expect(state.selection(in: state.rows(of: without)) == 0)
        #expect(state.window(of: state.rows(of: table([:])), room: 2).isEmpty)
        for key: TopState.Key in [.up, .down, .pageUp, .pageDown, .home, .end] {
            #expect(state.press(key, table([:]), room: 1) == .nothing)
        }
        #expect(state.press(.enter, table([:]), room: 1) == .nothing && state.press(.enter, after, room: 1) == .explain)
    }

    @Test("While a filter is typed, letters are letters")
    func filter() {
        var state = TopState()
        let table = table(["quick": 1, "slow": 2])
        for key: TopState.Key in [.character("/"), .character("Q"), .character("x"), .backspace] {
            #expect(state.press(key, table, room: 5) == .nothing)
        }
        #expect(state.isTyping && keys(state, table) == ["quick"])
        _ = state.press(.enter, table, room: 5)
        #expect(!state.isTyping && keys(state, table) == ["quick"])
        _ = state.press(.escape, table, room: 5)
        #expect(keys(state, table) == ["slow", "quick"] && state.press(.character("q"), table, room: 5) == .quit)
    }

    @Test("A page's lines are never wider than the terminal, and wide characters count twice")
    func width() {
        var table = table(["2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff": 1, "漢字漢字漢字漢字漢字": 2, "e\u{301}vil\u{1b}[2J": 3])
        table.rows[0].event = nil
        for width in 1...60 {
            let lines = table.lines(of: table.rows[...], width: width, sortedBy: 0, ascending: false)
            #expect(lines.count == 4 && lines.allSatisfy { $0.displayWidth <= width && !$0.contains("\u{1b}") })
        }
    }
}
