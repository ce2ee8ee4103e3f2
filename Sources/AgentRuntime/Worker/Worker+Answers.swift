// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine

extension Worker {
    /// Sends what was taken from the engine: after the verdicts, and without the engine's lock, so that none waits for an answer.
    func sendAnswers(_ turn: inout Turn) {
        guard !turn.answers.isEmpty else { return }
        answers.send(turn.answers)
        turn.answers.removeAll()
    }
}

extension Turn {
    /// Takes the answers of a batch; the engine goes on with the empty buffers of the batch before.
    mutating func take(_ waiting: inout Answers) {
        guard !waiting.isEmpty else { return }
        swap(&waiting, &answers)
    }
}
