// SPDX-License-Identifier: GPL-3.0-or-later

/// One endpoint of a connection, by its place in the canonical order of `ConnectionKey`.
public enum Side: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case low, high

    public var opposite: Side { self == .low ? .high : .low }
}
