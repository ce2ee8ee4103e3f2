// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport

@testable import ConnectionTracking

/// How one end of a modelled connection behaves.
struct TCPModelTraits {
    var scale: UInt8
    var buffer: UInt32
    var segmentSize: UInt32
    /// Segments per packet that leaves, as with segmentation offload.
    var offload: UInt32
    var congestionWindow: UInt32
    var bytesToSend: UInt32
    /// Microseconds between two reads of the application, and bytes per read; a lazy reader closes its window.
    var readInterval: Int64
    var readSize: UInt32
    var delayedACK: Bool
    var sack: Bool
    /// Offset of the time stamp clock, if it sends time stamps.
    var timestampOffset: UInt32?
    /// Probes a closed window with one new byte, as in BSD, or one byte below it, as in Linux.
    var probesWithData: Bool
    /// Counts a FIN against the peer's window.
    var holdsFIN: Bool
    var keepAliveInterval: Int64?
    var keepAliveGarbage: UInt32
    /// Takes back window that it has offered, when its buffer fills.
    var shrinksWindow: Bool
    /// Closes as soon as its data is sent; otherwise waits for the peer's FIN.
    var closesFirst: Bool
    /// Answers data that comes after it has closed with a RST.
    var closesBothWays: Bool
    /// Resets the connection this many microseconds after it is open.
    var abortsAfter: Int64?
    var fastOpen: Bool
    /// Takes a SYN+ACK that crosses its own for an answer; otherwise answers with an ACK.
    var takesCrossedSYNACK: Bool

    /// An end that sends a little, reads at once, and closes when it has sent.
    init() {
        scale = 7
        buffer = 65_535
        segmentSize = 1_460
        offload = 1
        congestionWindow = 14_600
        bytesToSend = 500
        readInterval = 0
        readSize = 65_535
        delayedACK = false
        sack = true
        probesWithData = false
        holdsFIN = false
        keepAliveGarbage = 0
        shrinksWindow = false
        closesFirst = true
        closesBothWays = false
        fastOpen = false
        takesCrossedSYNACK = true
    }

    init(_ random: inout SeededRandom) {
        scale = Bool.random(using: &random) ? TCPFields.noWindowScale : UInt8.random(in: 0...14, using: &random)
        let sizes: [UInt32] = [1_000, 5_840, 65_535, 200_000, 1_000_000]
        buffer = sizes.randomElement(using: &random) ?? 65_535
        segmentSize = [536, 1_460, 8_960].randomElement(using: &random) ?? 1_460
        offload = [1, 1, 7, 44].randomElement(using: &random) ?? 1
        congestionWindow = [10, 40, 1_000].randomElement(using: &random).map { $0 * 1_460 } ?? 14_600
        bytesToSend = [0, 1, 500, 8_000, 60_000].randomElement(using: &random) ?? 500
        readInterval =
            Int.random(in: 0..<3, using: &random) == 0 ? Int64.random(in: 1_000...2_000_000, using: &random) : 0
        readSize = [1, 300, 5_000, 1_000_000].randomElement(using: &random) ?? 5_000
        delayedACK = Bool.random(using: &random)
        sack = Bool.random(using: &random)
        timestampOffset = Bool.random(using: &random) ? UInt32.random(in: 1...UInt32.max, using: &random) : nil
        probesWithData = Bool.random(using: &random)
        holdsFIN = Bool.random(using: &random)
        keepAliveInterval =
            Int.random(in: 0..<3, using: &random) == 0 ? Int64.random(in: 50_000...3_000_000, using: &random) : nil
        keepAliveGarbage = UInt32.random(in: 0...1, using: &random)
        shrinksWindow = Int.random(in: 0..<6, using: &random) == 0
        closesFirst = Bool.random(using: &random)
        closesBothWays = Int.random(in: 0..<4, using: &random) == 0
        abortsAfter =
            Int.random(in: 0..<5, using: &random) == 0 ? Int64.random(in: 0...1_500_000, using: &random) : nil
        fastOpen = Int.random(in: 0..<5, using: &random) == 0
        takesCrossedSYNACK = Bool.random(using: &random)
    }
}
