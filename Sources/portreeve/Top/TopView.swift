// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import CTerminalShim
import EventReader

/// What the live view shows, and how it stands on a screen.
struct TopView {
    private let control: ControlOptions
    private let path: String
    private let host: String
    private var activity = TopActivity()
    private var agent = TopAgent()
    /// Packets that the agent had dropped, and when; the last of some seconds.
    private var drops: [(time: Int64, dropped: UInt64)] = []
    private var complaint: String?

    init(control: ControlOptions, path: String, host: String) {
        self.control = control
        self.path = path
        self.host = host
    }

    var hasNoConnections: Bool { agent.connections.isEmpty }

    mutating func take(_ found: [EventSource.Found]) {
        for (line, event) in found { activity.add(line, event) }
    }

    mutating func note(_ complaint: String) { self.complaint = complaint }

    /// Asks the agent.
    mutating func look(connections: Bool) {
        agent.ask(control, connections: connections)
        guard let status = agent.status else { return drops.removeAll() }
        drops.append((WallTime.now.microseconds, status.queues.reduce(0) { $0 + $1.dropped }))
        if drops.count > 10 { drops.removeFirst() }
    }

    private var rate: Double {
        guard let first = drops.first, let last = drops.last, last.time > first.time, last.dropped > first.dropped
        else {
            return 0
        }
        return Double(last.dropped - first.dropped) * 1_000_000 / Double(last.time - first.time)
    }

    func table(_ page: TopState.Page) -> TopTable {
        let now = WallTime.now.microseconds
        return switch page {
        case .drops: activity.drops(at: now)
        case .talkers: activity.talkers(at: now)
        case .connections: agent.connectionTable
        case .queues: agent.queueTable
        }
    }

    private var heading: [(text: String, isBad: Bool)] {
        agent.heading(host: host, now: .now, dropped: rate) + (complaint.map { [($0, true)] } ?? [])
    }

    /// Rows of a table that a screen has room for, beside heading, tabs, titles and the line of keys.
    func room(_ screen: borrowing TopScreen) -> Int { max(1, screen.rows - heading.count - 3) }

    func draw(_ screen: borrowing TopScreen, _ state: inout TopState) {
        let heading = heading
        let room = max(1, screen.rows - heading.count - 3)
        var lines: [(text: String, look: cterm_look, fills: Bool)] = heading.enumerated().map { place, line in
            (line.text, line.isBad ? CTERM_BAD : place == 0 ? CTERM_TITLE : CTERM_PLAIN, false)
        }
        lines.append((tabs(state), CTERM_TITLE, false))
        if let overlay = state.overlay {
            for line in overlay.dropFirst(state.overlayTop).prefix(room + 1) {
                lines.append((line, CTERM_PLAIN, false))
            }
        } else {
            let table = table(state.page)
            let rows = state.rows(of: table)
            let window = state.window(of: rows, room: room)
            let (column, ascending) = state.sorting(of: table)
            let text = table.lines(of: rows[window], width: screen.columns, sortedBy: column, ascending: ascending)
            let selected = state.selection(in: rows) - window.lowerBound
            for (place, line) in text.enumerated() {
                let isSelected = place == selected + 1
                lines.append((line, place == 0 ? CTERM_TITLE : isSelected ? CTERM_SELECTED : CTERM_PLAIN, isSelected))
            }
            if rows.isEmpty { lines.append((nothing(state), CTERM_FAINT, false)) }
        }
        while lines.count < screen.rows - 1 { lines.append(("", CTERM_PLAIN, false)) }
        lines = Array(lines.prefix(max(0, screen.rows - 1))) + [(keys(state), CTERM_FAINT, false)]
        screen.draw(lines)
    }

    private func tabs(_ state: TopState) -> String {
        let tabs = TopState.Page.allCases.map { page in
            page == state.page ? "[\(page.rawValue + 1) \(page.title)]" : " \(page.rawValue + 1) \(page.title) "
        }
        let filter = state.isTyping || !state.filter.isEmpty ? "  /\(state.filter)\(state.isTyping ? "_" : "")" : ""
        return tabs.joined() + filter + (state.isPaused ? "  (paused)" : "")
    }

    private func nothing(_ state: TopState) -> String {
        if !state.filter.isEmpty { return "Nothing has \"\(state.filter)\" in it; Esc shows all." }
        return switch state.page {
        case .drops, .talkers: "Nothing was dropped, or nothing that is logged."
        case .connections: agent.trouble == nil ? "No connection is known." : "Not known."
        case .queues: "Not known."
        }
    }

    private func keys(_ state: TopState) -> String {
        if state.overlay != nil { return "↑ ↓ PgUp PgDn; any other key goes back" }
        if state.isTyping { return "Enter keeps the filter, Esc takes it away" }
        return "1-4 page  s sort  r reverse  / filter  Enter explain  p pause  h help  q quit"
    }

    /// What `portreeve explain` says of the selected row.
    func explanation(_ state: TopState, _ table: TopTable) -> [String] {
        let rows = state.rows(of: table)
        guard let row = rows.dropFirst(state.selection(in: rows)).first else { return [] }
        var words = ["explain", "--control", control.path]
        if let event = row.event {
            words += ["--event", event]
        } else if state.page == .connections, let packet = agent.packet(of: row.key) {
            words += packet
        } else {
            return ["There is nothing to explain here: explain is about one packet, and this row is about none."]
        }
        do {
            let result = try Program.run("/proc/self/exe", words)
            let text = result.output + (result.output.isEmpty ? result.errors : "")
            return text.split(separator: "\n", omittingEmptySubsequences: false).map {
                String($0).replacing("\t", with: " ").harmless
            }
        } catch {
            return ["\(error)"]
        }
    }

    // MARK: - Without a terminal

    /// Every page once.
    func text(width: Int?) -> [String] {
        var lines = heading.map(\.text)
        for page in TopState.Page.allCases {
            let table = table(page)
            let state = TopState()
            let rows = table.shown(
                by: table.columns.firstIndex { $0.isNumber } ?? 0, ascending: false, filter: state.filter)
            var text = TextTable(table.columns)
            for row in rows { text.add(row.cells) }
            lines += ["", page.title] + text.lines(width: width)
        }
        return lines
    }

    var json: JSONValue {
        var members = [JSONValue.Member("host", .text(host)), .init("trouble", .optional(agent.trouble ?? complaint))]
        for page in TopState.Page.allCases {
            let table = table(page)
            let names = table.columns.map {
                $0.title.lowercased().replacing(" ", with: "_").replacing("/s", with: "per_second")
            }
            let rows = table.shown(by: table.columns.firstIndex { $0.isNumber } ?? 0, ascending: false, filter: "")
            members.append(
                .init(
                    page.title.lowercased(),
                    .list(
                        rows.map { row in
                            .object(
                                names.indices.map { index in
                                    .init(
                                        names[index],
                                        table.columns[index].isNumber
                                            ? .number(row.numbers[index]) : .text(row.cells[index]))
                                })
                        })))
        }
        return .object(members)
    }
}
