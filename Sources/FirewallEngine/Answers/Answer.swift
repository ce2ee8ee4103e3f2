// SPDX-License-Identifier: GPL-3.0-or-later

public import FirewallPolicy
public import PacketWire

/// A packet that tells who sent a refused one that it was refused. Who sends it puts it on its way as this host's own traffic is
/// routed, after the verdict.
public struct Answer: Sendable, BitwiseCopyable {
    /// What it is; never `none`.
    public var reply: Reply
    public var network: NetworkProtocol
    /// Whose address it bears; zeros: one that the kernel chooses, which then also makes the checksum of ICMPv6.
    public var source: IPAddress
    /// The source is an address of this host, or one that the kernel chooses.
    public var isFromHost: Bool
    public var destination: IPAddress
    /// The interface on whose link one of these addresses is; 0 where both mean the same everywhere.
    public var link: UInt32
    /// The packet from its IP header on, in `Answers.bytes`.
    public internal(set) var offset: Int32 = 0
    public internal(set) var length: UInt16 = 0
}

/// Answers until the worker sends them. Rigid: nothing grows.
public struct Answers: Sendable {
    public private(set) var waiting: [Answer] = []
    public internal(set) var bytes: [UInt8] = []

    /// As many as a batch has packets.
    public static let capacity = 32
    static let bytesCapacity = capacity * PacketEmitter.longest

    public init() {
        waiting.reserveCapacity(Answers.capacity)
        bytes.reserveCapacity(Answers.bytesCapacity)
    }

    public var isEmpty: Bool { waiting.isEmpty }

    public mutating func removeAll() {
        waiting.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
    }

    /// Whether one more fits, however long.
    var hasRoom: Bool { waiting.count < Answers.capacity }

    /// Adds one whose packet is the last so many of `bytes`.
    mutating func append(_ answer: Answer, length: Int) {
        guard length > 0 else { return }
        waiting.append(answer)
        waiting[waiting.count - 1].offset = Int32(bytes.count - length)
        waiting[waiting.count - 1].length = UInt16(length)
    }
}
