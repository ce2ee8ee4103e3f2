// SPDX-License-Identifier: GPL-3.0-or-later

/// What both sides say to each other over a port, in place of the keyed payload: alternating messages, of which either side
/// may send the first.
package struct PayloadScript: Hashable, Sendable {
    package enum Sender: String, Sendable { case client, reflector }

    package struct Step: Hashable, Sendable {
        package var sender: Sender
        package var bytes: [UInt8]

        package init(_ sender: Sender, _ bytes: [UInt8]) {
            self.sender = sender
            self.bytes = bytes
        }
    }

    /// Bytes of all steps: a script is sent over the control channel in one message.
    package static let maximumBytes = 16 << 10
    package static let maximumSteps = 64

    package private(set) var steps: [Step]

    /// Why a script cannot be played.
    package enum Fault: Error, Hashable, Sendable {
        case empty
        case tooLong
        /// A reflector never sends a longer datagram than it was sent.
        case longerAnswer(step: Int)
        case noFirstDatagram
    }

    package init(_ steps: [Step], over transport: Transport) throws(Fault) {
        guard !steps.isEmpty, steps.allSatisfy({ !$0.bytes.isEmpty }) else { throw .empty }
        guard steps.count <= Self.maximumSteps, steps.reduce(0, { $0 + $1.bytes.count }) <= Self.maximumBytes else {
            throw .tooLong
        }
        self.steps = steps
        if transport == .udp { try checkDatagrams() }
    }

    /// A question and its answer, of any length.
    init(asking question: [UInt8], expecting answer: [UInt8]) {
        steps = [Step(.client, question), Step(.reflector, answer)]
    }

    /// Each answer needs a datagram of its own that asks for it and is at least as long.
    private func checkDatagrams() throws(Fault) {
        guard steps[0].sender == .client else { throw .noFirstDatagram }
        var asked: Int?
        for (index, step) in steps.enumerated() {
            if step.sender == .client {
                asked = step.bytes.count
            } else {
                guard let room = asked, step.bytes.count <= room else { throw .longerAnswer(step: index) }
                asked = nil
            }
        }
    }
}

/// One side's way through a script over a stream.
package struct ScriptPosition: Sendable {
    private let steps: [PayloadScript.Step]
    private let side: PayloadScript.Sender
    private var step = 0
    /// Bytes of the present step that came or went.
    private var done = 0

    package init(_ script: PayloadScript, as side: PayloadScript.Sender) {
        steps = script.steps
        self.side = side
    }

    package var isComplete: Bool { step == steps.count }
    private var isMine: Bool { step < steps.count && steps[step].sender == side }

    /// What this side has to send now.
    package var outgoing: ArraySlice<UInt8> { isMine ? steps[step].bytes[done...] : [] }

    /// What this side waits for.
    package var awaited: ArraySlice<UInt8> { !isMine && step < steps.count ? steps[step].bytes[done...] : [] }

    package mutating func sent(_ count: Int) { advance(count) }

    /// Whether a part of the awaited message has come.
    package var isInsideMessage: Bool { !isMine && done > 0 }

    /// Takes bytes that came, up to the first one that is not awaited. Returns how many it took.
    package mutating func take(_ bytes: ArraySlice<UInt8>) -> Int {
        var rest = bytes
        while !rest.isEmpty {
            let expected = awaited
            let common = zip(rest, expected).prefix { $0 == $1 }.count
            guard common > 0 else { break }
            advance(common)
            rest = rest.dropFirst(common)
        }
        return bytes.count - rest.count
    }

    private mutating func advance(_ count: Int) {
        done += count
        guard step < steps.count, done == steps[step].bytes.count else { return }
        step += 1
        done = 0
    }
}
