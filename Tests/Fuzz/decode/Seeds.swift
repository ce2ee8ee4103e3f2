// SPDX-License-Identifier: GPL-3.0-or-later

import Foundation
import TestSupport

/// Writes the packets of `PacketCorpus` as inputs into the folder that the first argument names.
@main
enum Seeds {
    static func main() throws {
        let folder = URL(fileURLWithPath: CommandLine.arguments[1])
        for entry in PacketCorpus.all {
            let flags = entry.packet.isFrame ? DecodeInput.frame : 0
            let input: [UInt8] = [flags, 0, 0] + entry.packet.bytes
            try Data(input).write(to: folder.appendingPathComponent(entry.name))
        }
    }
}
