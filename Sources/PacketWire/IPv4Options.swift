// SPDX-License-Identifier: GPL-3.0-or-later

/// Which of the options that lead a packet, or write down its way, an IPv4 header has (RFC 791 section 3.1).
public struct IPv4Options: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public var rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Loose or strict source route: the sender says by which routers the packet goes.
    @inlinable public static var sourceRoute: IPv4Options { IPv4Options(rawValue: 1) }
    /// Record route: each router writes its address down.
    @inlinable public static var recordRoute: IPv4Options { IPv4Options(rawValue: 2) }

    @inlinable public var isEmpty: Bool { rawValue == 0 }
    @inlinable public func contains(_ other: IPv4Options) -> Bool { rawValue & other.rawValue == other.rawValue }
}

/// Option types, with the copied flag and class that they have on the wire.
private enum OptionType {
    static let endOfList: UInt8 = 0
    static let noOperation: UInt8 = 1
    static let recordRoute: UInt8 = 7
    static let looseSourceRoute: UInt8 = 131
    static let strictSourceRoute: UInt8 = 137
}

extension IPv4Options {
    /// Those between the fixed header and the header's end. What follows an option whose length is impossible is none: the
    /// kernel refuses such a header itself.
    init(_ bytes: RawSpan, from start: Int, to end: Int) {
        self.init(rawValue: 0)
        var offset = start
        while offset < end {
            let type = bytes.byte(at: offset)
            if type == OptionType.endOfList { return }
            if type == OptionType.noOperation {
                offset += 1
                continue
            }
            switch type {
            case OptionType.looseSourceRoute, OptionType.strictSourceRoute: rawValue |= IPv4Options.sourceRoute.rawValue
            case OptionType.recordRoute: rawValue |= IPv4Options.recordRoute.rawValue
            default: break
            }
            guard offset + 1 < end else { return }
            let length = Int(bytes.byte(at: offset + 1))
            guard length >= 2 else { return }
            offset += length
        }
    }
}
