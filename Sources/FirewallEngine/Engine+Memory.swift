// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
public import FirewallPolicy

extension Engine {
    /// Bytes that the tables of all workers take under a policy before the first connection: all that is reserved whole, whether it
    /// is used or not. What `engine.limits.memory` allows beyond is for connections.
    public static func fixedMemory(_ document: PolicyDocument, workers: Int) -> UInt64 {
        let settings = document.stateful
        var bytes =
            ConnectionTable.memoryOfNone
            + FragmentTracker.memory(limit: fragmentedDatagrams(document.engine.limits, workers: workers))
            + FragmentTracker.heldCapacity * MemoryLayout<Inspection>.stride
            + Outbox.capacity * MemoryLayout<Event>.stride + Outbox.bytesCapacity
            + Answers.capacity * MemoryLayout<Answer>.stride + Answers.bytesCapacity + AnswerBudget.memory
        if document.keepsConnectionLog { bytes += ConnectionTable.memoryOfLog }
        if !ScanKinds(document.reconnaissance).isEmpty { bytes += ReconnaissanceWatch.memory }
        if settings.tcpEnabled, document.engine.antiEvasion.evasiveRetransmit != .allow {
            bytes += SentBytes.memory(workers: workers)
        }
        if FTPAdmission(settings.ftp, isTracked: settings.tcpEnabled).isOn {
            bytes += FTPControls.memory + Expectations.memory
        }
        if settings.tcpEnabled, settings.synFlood.usesCookies {
            bytes += ListenerLoads.memory + PendingACKs.memory
            if settings.limits.halfOpen != nil { bytes += UnansweredSYNs.memory }
        }
        let rates = document.rules.contains { $0.rate != nil && $0.isEnabled } ? OpeningRates.memory : 0
        return UInt64(bytes) * UInt64(max(1, workers)) + UInt64(BlockedSources.memory + rates)
    }
}
