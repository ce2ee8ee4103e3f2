// SPDX-License-Identifier: GPL-3.0-or-later

/// The checksum of an IPv4 header (RFC 791 section 3.1), which the kernel has verified before any hook.
public enum IPv4Checksum {
    /// False where it is wrong. `bytes` is the span that `headers` was decoded from, without error; true where not all of the
    /// header is in it.
    public static func isValid(_ bytes: RawSpan, _ headers: borrowing PacketHeaders) -> Bool {
        let end = Int(headers.transportOffset)
        guard headers.network == .ipv4, end <= bytes.byteCount else { return true }
        var sum: UInt32 = 0
        for offset in stride(from: Int(headers.networkOffset), to: end, by: 2) {
            sum += UInt32(bytes.bigEndian16(at: offset))
        }
        sum = sum >> 16 + sum & 0xffff
        return (sum >> 16 + sum) & 0xffff == 0xffff
    }
}
