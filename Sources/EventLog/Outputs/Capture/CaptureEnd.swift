// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// Where the last whole block of a capture file ends: an agent that was killed in the middle of one left it without its end, and
/// nothing could be read behind it.
enum CaptureEnd {
    /// - Returns: bytes of whole blocks; nil where the file is no capture of this host's order of bytes.
    static func find(in descriptor: Int32, size: Int64) -> Int64? {
        var window: [UInt8] = []
        var windowStart: Int64 = 0
        var place: Int64 = 0
        /// Eight bytes at a place of the file, read in larger pieces.
        func words(at place: Int64) -> (UInt32, UInt32)? {
            if place < windowStart || place + 12 > windowStart + Int64(window.count) {
                window = [UInt8](repeating: 0, count: 1 << 16)
                windowStart = place
                let count = unsafe pread(descriptor, &window, window.count, off_t(place))
                window.removeSubrange(max(0, count)...)
            }
            let offset = Int(place - windowStart)
            guard offset + 8 <= window.count else { return nil }
            return (PCAPNG.number(window[...], offset), PCAPNG.number(window[...], offset + 4))
        }
        while place < size, let (type, length) = words(at: place) {
            if place == 0, type != PCAPNG.sectionType { return nil }
            guard length >= 12, length % 4 == 0, place + Int64(length) <= size,
                let (_, end) = words(at: place + Int64(length) - 8), end == length
            else { break }
            place += Int64(length)
        }
        return place > 0 || size < 12 ? place : nil
    }
}
