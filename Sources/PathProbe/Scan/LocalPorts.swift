// SPDX-License-Identifier: GPL-3.0-or-later

internal import Glibc

/// The ports that probes are sent from: each probe its own, so that any packet of it can be told by its address and port alone.
/// Outside the range that the kernel gives to others first; a port comes round again only after all others.
struct LocalPorts {
    let ranges: [ClosedRange<UInt16>]
    private let count: Int
    private var next = 0

    /// Of a range of the user's choice, or of what is left beside the kernel's.
    init(_ chosen: ClosedRange<UInt16>? = nil, kernel: ClosedRange<UInt16> = LocalPorts.kernelRange) {
        if let chosen {
            ranges = [chosen]
        } else {
            var ranges: [ClosedRange<UInt16>] = []
            if kernel.upperBound < 65_535 { ranges.append(kernel.upperBound + 1...65_535) }
            if kernel.lowerBound > 10_000 { ranges.append(10_000...kernel.lowerBound - 1) }
            ranges.append(kernel)
            self.ranges = ranges
        }
        count = ranges.reduce(0) { $0 + $1.count }
    }

    /// How many ports in turn may be found taken before there is none. A chosen range is tried whole.
    var attempts: Int { min(count, 512) }

    mutating func take() -> UInt16 {
        var index = next
        next = (next + 1) % count
        for range in ranges {
            if index < range.count { return range.lowerBound + UInt16(index) }
            index -= range.count
        }
        return ranges[0].lowerBound
    }

    /// net.ipv4.ip_local_port_range
    static var kernelRange: ClosedRange<UInt16> {
        let usual: ClosedRange<UInt16> = 32_768...60_999
        let file = unsafe open("/proc/sys/net/ipv4/ip_local_port_range", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return usual }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
        let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { UInt16($0) }
        guard numbers.count == 2, numbers[0] <= numbers[1] else { return usual }
        return numbers[0]...numbers[1]
    }
}

extension ScanOptions {
    /// The ports that probes may be sent from.
    package var localPorts: [ClosedRange<UInt16>] { LocalPorts(sourcePorts).ranges }
}
