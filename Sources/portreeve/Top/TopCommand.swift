// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import CTerminalShim
import EventReader
import FirewallPolicy
import Glibc
import PolicyFile

struct TopCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Watch drops, talkers, connections and queues as they are now.",
        discussion: discussion(
            """
            Asks the agent and reads its events every second. 1 to 4 turn to drops by reason and rule, to those who sent what was \
            dropped, to connections and to queues; s sorts by another column, / shows only rows with a text, Enter explains the \
            selected row, h lists all keys, q quits. /S is what came in the last ten seconds. Drops are those of the events since \
            --since: rules with log: false are not among them, and an event of several packets comes when they have been put \
            together. With --json, or where standard output is no terminal, one object or text is printed and that is all.
            """))

    static let examples = [
        Example("portreeve top", "What goes on, beginning with the last quarter of an hour."),
        Example("portreeve top --since 2h", "The sums of the last two hours."),
        Example("portreeve top --json", "Everything that the pages would show, once, as one JSON object."),
    ]

    static let ends: [ExitStatus] = [
        .done.when("it was quit, or what was asked was printed"),
        .failed.when("the terminal cannot be drawn on, or nothing could be read"),
    ]

    @OptionGroup var policy: PolicyOptions
    @OptionGroup var control: ControlOptions

    @Option(help: "The events file.", completion: .file())
    var file: String?

    @Option(help: "Count the events from this time on: 15m, 2h, 2026-11-21.")
    var since = "15m"

    @Flag(help: "Print everything once, as one JSON object.")
    var json = false

    func validate() throws { _ = try EventsCommand.time(since, .now) }

    func run() throws {
        let known = file == nil ? KnownPolicy.inForce(policy, control) : nil
        let path = file ?? known?.document.events.path ?? ""
        var query = EventQuery()
        query.since = try EventsCommand.time(since, .now)
        var view = TopView(control: control, path: path, host: ReportOptions.host)
        var source: EventSource?
        do {
            var opened = try EventSource(path: path, query: query)
            try opened.all { found in view.take(found) }
            source = consume opened
        } catch {
            view.note("events file: \(error)")
        }
        if json || isatty(STDOUT_FILENO) == 0 || isatty(STDIN_FILENO) == 0 {
            view.look(connections: true)
            if json { return print(view.json.printed) }
            return view.text(width: terminalWidth).forEach { print($0) }
        }
        try watch(&view, &source)
    }

    private func watch(_ view: inout TopView, _ source: inout EventSource?) throws {
        guard let screen = TopScreen(colours: Palette.output.hasColours) else {
            throw fail("this terminal cannot be drawn on (TERM names none that is known): --json prints the same")
        }
        var state = TopState()
        var due = Int64.min
        while true {
            let now = WallTime.now.microseconds
            if now >= due || due - now > 2_000_000 {
                if !state.isPaused {
                    try? source?.more { found in view.take(found) }
                    view.look(connections: state.page == .connections)
                }
                due = now + 1_000_000
            }
            view.draw(screen, &state)
            guard case .key(let key) = screen.next(milliseconds: 250) else { continue }
            let table = view.table(state.page)
            switch state.press(key, table, room: view.room(screen)) {
            case .nothing: if state.page == .connections, view.hasNoConnections { due = .min }
            case .quit: return
            case .explain: state.overlay = view.explanation(state, table)
            }
        }
    }
}
