// SPDX-License-Identifier: GPL-3.0-or-later

/// Writes TZif files (RFC 8536) for tests, well-formed unless a test says otherwise.
struct TZifWriter {
    var version: UInt8 = 2
    /// Seconds east of UTC of each local time type.
    var types: [Int32] = [0]
    /// Unix times and the types that hold from them on.
    var transitions: [(time: Int64, type: UInt8)] = []
    var footer = ""

    var bytes: [UInt8] {
        if version == 1 { return part(timeSize: 4) }
        return part(timeSize: 4) + part(timeSize: 8) + [0x0a] + Array(footer.utf8) + [0x0a]
    }

    private func part(timeSize: Int) -> [UInt8] {
        var bytes = Array("TZif".utf8) + [version == 1 ? 0 : version + 0x30] + [UInt8](repeating: 0, count: 15)
        let names = Array("LMT\0".utf8)
        for count in [0, 0, 0, transitions.count, types.count, names.count] { bytes += bigEndian(Int64(count), 4) }
        for transition in transitions { bytes += bigEndian(transition.time, timeSize) }
        bytes += transitions.map(\.type)
        for type in types { bytes += bigEndian(Int64(type), 4) + [0, 0] }
        return bytes + names
    }

    private func bigEndian(_ value: Int64, _ size: Int) -> [UInt8] {
        (0..<size).reversed().map { UInt8(truncatingIfNeeded: value >> Int64($0 * 8)) }
    }
}
