// SPDX-License-Identifier: GPL-3.0-or-later

import NetfilterQueue

/// What the kernel had counted as lost of a queue when it was last reported.
struct KernelLosses: Hashable {
    var queueFull: UInt32
    var socketFull: UInt32

    init(queueFull: UInt32, socketFull: UInt32) {
        self.queueFull = queueFull
        self.socketFull = socketFull
    }

    init(_ row: QueueRow) { self.init(queueFull: row.droppedQueueFull, socketFull: row.droppedSocketFull) }
}

/// The file by which one run of the agent tells the next how much of a kept queue's losses it has reported: the kernel goes
/// on counting while nobody reads. Nothing but numbers of reports depends on it. A line for each queue: "0 queue-full 12
/// socket-full 0".
struct LossFile {
    let path: String

    /// Nil where there is none of this boot.
    func read() -> [UInt16: KernelLosses]? {
        guard let boot = BootIdentity.text, let text = SmallFile.read(path) else { return nil }
        let lines = text.split(separator: "\n")
        guard lines.first == "boot \(boot)" else { return nil }
        var losses: [UInt16: KernelLosses] = [:]
        for line in lines.dropFirst() {
            let words = line.split(separator: " ")
            guard words.count == 5, let number = UInt16(words[0]), let full = UInt32(words[2]),
                let buffer = UInt32(words[4])
            else { return nil }
            losses[number] = KernelLosses(queueFull: full, socketFull: buffer)
        }
        return losses
    }

    /// A file that cannot be written costs a report after a restart, and nothing else.
    func write(_ losses: [UInt16: KernelLosses]) {
        guard let boot = BootIdentity.text else { return }
        let lines = losses.sorted { $0.key < $1.key }.map {
            "\($0.key) queue-full \($0.value.queueFull) socket-full \($0.value.socketFull)"
        }
        SmallFile.replace(path, with: (["boot \(boot)"] + lines).map { $0 + "\n" }.joined())
    }
}
