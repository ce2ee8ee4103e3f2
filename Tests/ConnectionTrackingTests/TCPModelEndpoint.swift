// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport

@testable import ConnectionTracking

/// One end of a TCP connection after RFC 9293, with enough of what real stacks do on top to produce every segment that the
/// tracker must not refuse. It models sequence numbers, not bytes.
struct TCPModelEndpoint {
    enum Mode { case closed, listen, synSent, synReceived, open, timeWait }

    var traits: TCPModelTraits
    var random: SeededRandom
    /// Goes back to listening after a connection.
    let isServer: Bool
    var mode: Mode
    /// Segments to send, in order.
    var output: [TCPFields] = []
    var hasConnected = false

    // Sending (RFC 9293 section 3.3.1)
    var initial: UInt32 = 0
    var unacknowledged: UInt32 = 0
    var next: UInt32 = 0
    var highest: UInt32 = 0
    var window: UInt32 = 0
    var windowSequence: UInt32 = 0
    var windowAcknowledgement: UInt32 = 0
    var peerScale: UInt8 = 0
    var ownScale: UInt8 = 0
    var isScaled = false
    var sendLimit: UInt32 = 0
    var hasClosed = false
    var finSent = false
    var duplicates = 0
    var retries = 0

    // Receiving
    var expected: UInt32 = 0
    var edge: UInt32 = 0
    /// The farthest that `edge` has been.
    var farthestEdge: UInt32 = 0
    var peerInitial: UInt32 = 0
    var unread: UInt32 = 0
    var islands: [(start: UInt32, end: UInt32)] = []
    var finAt: UInt32?
    var peerFinished = false
    var lastDuplicate: (start: UInt32, end: UInt32)?
    var crossed = false
    var answersFastOpen = false

    // Timers, in microseconds of the model
    var retransmitAt: Int64?
    var acknowledgeAt: Int64?
    var readAt: Int64?
    var keepAliveAt: Int64?
    var abortAt: Int64?
    var endAt: Int64?

    init(_ traits: TCPModelTraits, isServer: Bool, seed: UInt64) {
        self.traits = traits
        self.isServer = isServer
        random = SeededRandom(seed: seed)
        mode = isServer ? .listen : .closed
    }

    /// How far back the tracker may believe that a segment for this end comes from: two of its largest windows.
    var reach: UInt32 { 2 * max(traits.buffer &+ 1 << UInt32(ownScale), 65_535) }

    var nextDeadline: Int64? {
        [retransmitAt, acknowledgeAt, readAt, keepAliveAt, abortAt, endAt].compactMap(\.self).min()
    }
}
