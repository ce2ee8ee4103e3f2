// SPDX-License-Identifier: GPL-3.0-or-later

internal import Glibc

/// Settings of the kernel for this network namespace, as sysctl(8) has them.
enum KernelSetting {
    /// The number in a file under /proc/sys; nil where it cannot be read, or is none.
    static func number(_ name: String) -> Int? {
        let descriptor = unsafe open("/proc/sys/\(name)", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { _ = close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = unsafe read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return nil }
        return Int(String(decoding: bytes[..<count].prefix { $0 != 10 }, as: UTF8.self))
    }
}
