// SPDX-License-Identifier: GPL-3.0-or-later

import Foundation
import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

/// The tracker's state machine as a table: from the first SYN on, what becomes of each kind of segment in each state that is
/// reached so, and which state follows. The low side opens and is called C, the high side S.
private struct TCPMachine {
    /// What tells one state from another here; numbers and times do not.
    struct Name: Hashable, CustomStringConvertible {
        let phase: TCPPhase
        let windows: TCPState.Windows
        let stage: TCPHandshake.Stage
        let opener: Side
        let fins: [Bool]

        init(_ state: TCPState) {
            (phase, windows, stage) = (state.phase, state.windows, state.handshake.stage)
            opener = state.handshake.isUnderWay ? state.handshake.opener : .low
            let isOpen = !state.phase.isOver && !state.phase.isHalfOpen && !state.handshake.isUnderWay
            fins = [state.low, state.high].flatMap {
                [isOpen && $0.marks.contains(.fin), isOpen && $0.marks.contains(.finAcknowledged)]
            }
        }

        var description: String {
            let sides = zip(["C", "S"], [fins[0..<2], fins[2..<4]]).compactMap { name, marks -> String? in
                let (sent, acknowledged) = (marks.first ?? false, marks.last ?? false)
                return sent ? "FIN of \(name)\(acknowledged ? " acknowledged" : "")" : nil
            }
            let details = ["windows \(windows)", "opening \(stage)\(opener == .high ? " by S" : "")"] + sides
            return "\(phase) (\(details.joined(separator: ", ")))"
        }
    }

    struct Row {
        let number: Int
        let state: TCPState
        /// By outcome, the segments that have it, in the order of the kinds.
        var outcomes: [(outcome: String, segments: [String])] = []
    }

    private(set) var rows: [Row] = []
    private var numbers: [Name: Int] = [:]
    private static let now = Instant(nanoseconds: 1_000_000_000_000)
    private static let most = 300

    init() {
        enter(TCPTracker.open(Self.syn(1_000), from: .low, at: Self.now))
        var next = 0
        while next < rows.count, rows.count < Self.most {
            explore(next)
            next += 1
        }
    }

    @discardableResult
    private mutating func enter(_ state: TCPState) -> Int {
        if let known = numbers[Name(state)] { return known }
        let number = rows.count + 1
        numbers[Name(state)] = number
        rows.append(Row(number: number, state: state))
        return number
    }

    private mutating func explore(_ index: Int) {
        let start = rows[index].state
        var outcomes: [(outcome: String, segments: [String])] = []
        for (name, side, segment) in Self.segments(in: start) {
            var state = start
            let step = TCPTracker.step(&state, segment, from: side, at: Self.now, .normal)
            let outcome: String
            if let refusal = step.refusal {
                outcome = "refused: \(refusal)" + (step.fault.map { ", \($0)" } ?? step.row.map { ", row \($0)" } ?? "")
            } else {
                let number = enter(state)
                let kind = step.reopened ? "passes, anew" : step.isLate ? "passes, late" : "passes"
                outcome = number == index + 1 ? kind : "\(kind) → \(number)"
            }
            if let place = outcomes.firstIndex(where: { $0.outcome == outcome }) {
                outcomes[place].segments.append(name)
            } else {
                outcomes.append((outcome, [name]))
            }
        }
        rows[index].outcomes = outcomes
    }

    private static func syn(_ sequence: UInt32) -> TCPFields {
        var s = TCPFields()
        s.flags = .syn
        s.sequence = sequence
        s.window = 8_000
        return s
    }

    /// What each side may send in a state: right by its numbers, or wrong in one way.
    private static func segments(in state: TCPState) -> [(String, Side, TCPFields)] {
        var list: [(String, Side, TCPFields)] = []
        for side in [Side.low, .high] {
            let who = side == .low ? "C" : "S"
            let (next, expected) = numbers(of: side, in: state)
            func add(
                _ name: String, _ flags: TCPFlags, by shift: UInt32 = 0, acknowledging: UInt32 = 0, data: UInt32 = 0
            ) {
                var s = syn(next &+ shift)
                s.flags = flags
                s.acknowledgement = flags.contains(.ack) ? expected &+ acknowledging : 0
                s.dataLength = data
                list.append(("\(who) \(name)", side, s))
            }
            add("SYN", .syn, by: UInt32.max)
            add("SYN other", .syn, by: 50_000_000)
            add("SYN+ACK", [.syn, .ack], by: UInt32.max)
            add("SYN+ACK of nothing", [.syn, .ack], by: UInt32.max, acknowledging: 40_000_000)
            add("ACK", .ack)
            add("ACK of nothing", .ack, acknowledging: 40_000_000)
            add("data", .ack, data: 10)
            add("data far ahead", .ack, by: 1 << 24, data: 10)
            add("FIN", [.fin, .ack])
            add("RST", .rst)
            add("RST in window", .rst, by: 100)
            add("RST far ahead", .rst, by: 1 << 24)
            add("RST+ACK", [.rst, .ack])
            add("no ACK", .psh, data: 10)
        }
        return list
    }

    /// What a side sends next, and what it expects next.
    private static func numbers(of side: Side, in state: TCPState) -> (UInt32, UInt32) {
        func next(_ side: Side) -> UInt32 {
            if state.hasWindows, !state.isHalfOpen { return state[side].end }
            let offer = side == state.handshake.opener ? state.handshake.offer : state.handshake.answer
            if side != state.handshake.opener, !state.handshake.hasAnswer { return 70_001 }
            return offer.end
        }
        return (next(side), next(side.opposite))
    }

    var text: String {
        var text = "The state machine of TCPTracker. C opens, S answers; posture normal.\n"
        for row in rows {
            text += "\n\(row.number)  \(Name(row.state))\n"
            for (outcome, segments) in row.outcomes {
                text += "    \(outcome)  :  \(segments.joined(separator: ", "))\n"
            }
        }
        return text
    }
}

@Suite("The state machine of TCP")
struct TCPMachineTests {
    private static let path =
        "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Fixtures/tcp-machine.txt"

    /// With TCP_MACHINE_WRITE=1 in the environment the table is written anew.
    @Test("It is the one that is kept in the repository: a change of it shows in a diff")
    func table() throws {
        let text = TCPMachine().text
        if ProcessInfo.processInfo.environment["TCP_MACHINE_WRITE"] == "1" {
            try text.write(toFile: Self.path, atomically: true, encoding: .utf8)
        }
        let kept = try String(contentsOfFile: Self.path, encoding: .utf8)
        let differing = zip(text.split(separator: "\n"), kept.split(separator: "\n")).first { $0 != $1 }
        #expect(
            text == kept, "first: \(differing?.0 ?? "") instead of \(differing?.1 ?? ""); TCP_MACHINE_WRITE=1 writes it"
        )
    }

    @Test("A state changes only by a segment that passes, and every state leads on to one that is over")
    func sound() {
        let machine = TCPMachine()
        #expect((10..<300).contains(machine.rows.count))
        #expect(
            machine.rows.contains { $0.state.phase == .timeWait }
                && machine.rows.contains { $0.state.phase == .established })
        for row in machine.rows where !row.state.phase.isOver {
            #expect(row.outcomes.contains { $0.outcome.contains("→") }, "state \(row.number) is a dead end")
        }
    }
}
