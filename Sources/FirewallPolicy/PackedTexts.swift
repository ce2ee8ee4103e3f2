// SPDX-License-Identifier: GPL-3.0-or-later

/// Texts one behind the other in one block of memory. What outlives a policy keeps its names so: one short text that was
/// allocated among the policy's own parts would keep their whole page of memory when they are gone.
public struct PackedTexts: Hashable, Sendable {
    private var bytes: [UInt8] = []
    /// Behind the last byte of each.
    private var ends: [Int] = []

    public init(_ texts: [String]) {
        ends.reserveCapacity(texts.count)
        bytes.reserveCapacity(texts.reduce(0) { $0 + $1.utf8.count })
        for text in texts {
            bytes += text.utf8
            ends.append(bytes.count)
        }
    }

    public var count: Int { ends.count }

    public subscript(index: Int) -> String {
        String(decoding: bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]], as: UTF8.self)
    }

    public var texts: [String] { ends.indices.map { self[$0] } }
}
