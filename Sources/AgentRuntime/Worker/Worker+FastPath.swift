// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FastPath
import FirewallEngine
import Locking
import PacketWire

extension Worker {
    /// Tells the kernel which flows pass there from now on, and which no more, those of a batch at once.
    func tellKernel(_ engine: inout Engine, _ turn: inout Turn, at now: Instant) {
        guard let maps = fastPath.withLock({ $0 }) else { return }
        var refused: [ConnectionKey] = []
        turn.fastPathBatch.carryOut(engine.fastPath.changes, in: maps) { refused.append($0) }
        engine.removeFastPathChanges()
        for key in refused { engine.refuseFastPath(key, at: now) }
    }
}
