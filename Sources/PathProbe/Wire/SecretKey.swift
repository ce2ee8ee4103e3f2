// SPDX-License-Identifier: GPL-3.0-or-later

internal import CPathShim

/// A key of HMAC-SHA-256 (RFC 2104). It never appears in a text.
package struct SecretKey: Sendable {
    private var inner: SHA256
    private var outer: SHA256

    package init(_ bytes: [UInt8]) {
        var key = bytes.count > SHA256.blockBytes ? SHA256.digest(bytes) : bytes
        key += [UInt8](repeating: 0, count: SHA256.blockBytes - key.count)
        inner = SHA256()
        outer = SHA256()
        inner.update(key.lazy.map { $0 ^ 0x36 })
        outer.update(key.lazy.map { $0 ^ 0x5c })
    }

    /// 32 bytes.
    package func authenticate(_ parts: [UInt8]...) -> [UInt8] {
        var inner = inner
        for part in parts { inner.update(part) }
        var outer = outer
        outer.update(inner.finish())
        return outer.finish()
    }

    /// A key for one purpose, which says nothing about this one or about those for other purposes.
    func derived(for purpose: StaticString, _ context: [UInt8]...) -> SecretKey {
        // The end of the purpose is marked, so that no two of them begin alike.
        let label = Array(purpose.description.utf8) + [0]
        return SecretKey(authenticate(label, context.flatMap(\.self)))
    }
}

extension SecretKey: CustomStringConvertible, CustomReflectable {
    package var description: String { "a key" }
    package var customMirror: Mirror { Mirror(self, children: EmptyCollection<Mirror.Child>()) }
}

/// Compares as long as the longer of both, wherever they differ.
func isSame(_ a: some Collection<UInt8>, _ b: some Collection<UInt8>) -> Bool {
    var difference: UInt8 = a.count == b.count ? 0 : 1
    for (x, y) in zip(a, b) { difference |= x ^ y }
    return difference == 0
}

/// Bytes of the kernel's random generator.
package func randomBytes(_ count: Int) throws(SystemFault) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let result = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe buffer.baseAddress.map { unsafe path_random($0, count) } ?? 0
    }
    try checked(result)
    return bytes
}
