// SPDX-License-Identifier: GPL-3.0-or-later

/// What a person has chosen to look at; keys change it.
struct TopState {
    enum Page: Int, CaseIterable {
        case drops, talkers, connections, queues

        var title: String {
            switch self {
            case .drops: "Drops"
            case .talkers: "Talkers"
            case .connections: "Connections"
            case .queues: "Queues"
            }
        }
    }

    enum Key: Equatable {
        case character(Character)
        case up, down, pageUp, pageDown, home, end, enter, escape, backspace
    }

    /// What has to be done beside drawing anew.
    enum Wish: Equatable { case nothing, quit, explain }

    private(set) var page = Page.drops
    /// By page: the column that rows are sorted by, and whether the least stand first.
    private var sorting: [Page: (column: Int, ascending: Bool)] = [:]
    private(set) var filter = ""
    /// The filter is being typed.
    private(set) var isTyping = false
    private(set) var isPaused = false
    /// Lines that lie over the page, such as an explanation; nil for none.
    var overlay: [String]?
    private(set) var overlayTop = 0
    /// The key of the selected row; nil selects the first.
    private var selected: String?
    private(set) var top = 0

    func sorting(of table: TopTable) -> (column: Int, ascending: Bool) {
        sorting[page] ?? (table.columns.firstIndex { $0.isNumber } ?? 0, false)
    }

    func rows(of table: TopTable) -> [TopTable.Row] {
        let (column, ascending) = sorting(of: table)
        return table.shown(by: column, ascending: ascending, filter: filter)
    }

    func selection(in rows: [TopTable.Row]) -> Int {
        selected.flatMap { key in rows.firstIndex { $0.key == key } } ?? 0
    }

    /// The rows that stand on a screen with room for so many, with the selected one among them.
    mutating func window(of rows: [TopTable.Row], room: Int) -> Range<Int> {
        let place = selection(in: rows)
        top = max(0, min(top, rows.count - room))
        if place < top { top = place }
        if place >= top + room { top = place - room + 1 }
        return top..<min(rows.count, top + max(0, room))
    }

    mutating func press(_ key: Key, _ table: TopTable, room: Int) -> Wish {
        if let overlay { return pressOverOverlay(key, overlay.count, room) }
        if isTyping { return type(key) }
        let rows = rows(of: table)
        let place = selection(in: rows)
        switch key {
        case .character("q"): return .quit
        case .character("1"): turn(to: .drops)
        case .character("2"): turn(to: .talkers)
        case .character("3"): turn(to: .connections)
        case .character("4"): turn(to: .queues)
        case .character("\t"): turn(to: Page(rawValue: (page.rawValue + 1) % Page.allCases.count) ?? .drops)
        case .character("s"), .character(">"): sort(table, by: 1)
        case .character("<"): sort(table, by: -1)
        case .character("r"):
            let (column, ascending) = sorting(of: table)
            sorting[page] = (column, !ascending)
        case .character("p"), .character(" "): isPaused.toggle()
        case .character("/"): isTyping = true
        case .character("h"), .character("?"): overlay = Self.help
        case .escape: filter = ""
        case .up, .character("k"): select(place - 1, rows)
        case .down, .character("j"): select(place + 1, rows)
        case .pageUp: select(place - room, rows)
        case .pageDown: select(place + room, rows)
        case .home: select(0, rows)
        case .end: select(rows.count - 1, rows)
        case .enter, .character("e"): return rows.isEmpty ? .nothing : .explain
        default: break
        }
        return .nothing
    }

    private mutating func turn(to page: Page) {
        self.page = page
        (selected, top) = (nil, 0)
    }

    private mutating func sort(_ table: TopTable, by step: Int) {
        let count = table.columns.count
        let column = (sorting(of: table).column + step + count) % count
        sorting[page] = (column, !table.columns[column].isNumber)
    }

    private mutating func select(_ place: Int, _ rows: [TopTable.Row]) {
        guard !rows.isEmpty else { return }
        selected = rows[max(0, min(place, rows.count - 1))].key
    }

    private mutating func type(_ key: Key) -> Wish {
        switch key {
        case .enter: isTyping = false
        case .escape: (isTyping, filter) = (false, "")
        case .backspace: if !filter.isEmpty { filter.removeLast() }
        case .character(let character): if filter.count < 100 { filter.append(character) }
        default: break
        }
        return .nothing
    }

    private mutating func pressOverOverlay(_ key: Key, _ lines: Int, _ room: Int) -> Wish {
        switch key {
        case .up, .character("k"): overlayTop -= 1
        case .down, .character("j"): overlayTop += 1
        case .pageUp: overlayTop -= room
        case .pageDown, .character(" "): overlayTop += room
        case .home: overlayTop = 0
        case .end: overlayTop = lines
        default: (overlay, overlayTop) = (nil, 0)
        }
        overlayTop = max(0, min(overlayTop, lines - room))
        return .nothing
    }

    private static let help = [
        "1 2 3 4, Tab    drops, talkers, connections, queues", "s < >           sort by another column",
        "r               the other way round", "/               show only rows with a text; Esc shows all again",
        "↑ ↓ PgUp PgDn   select a row",
        "Enter, e        explain the selected row: why the last such packet was dropped",
        "p, space        stand still, and go on", "q               quit", "", "Any other key goes back.",
    ]
}
