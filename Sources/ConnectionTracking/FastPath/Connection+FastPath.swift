// SPDX-License-Identifier: GPL-3.0-or-later

import CFastPath
import PacketWire

extension ConnectionKey {
    /// Whether it is of requests for an echo and their replies (RFC 792): a type of query of its own in ICMPv4, and none elsewhere.
    public var isOfEcho: Bool { protocolNumber == IPProtocol.icmp && queryType == Self.echoRequest }
    fileprivate static var echoRequest: UInt8 { 8 }
    fileprivate static var echoReply: UInt8 { 0 }
}

extension Connection {
    /// Whether one side asks and the other one has answered.
    public var isAnsweredEcho: Bool {
        key.isOfEcho && icmp.onlyAsker != nil && trafficOfLow.packets > 0 && trafficOfHigh.packets > 0
    }

    /// What the program in the kernel has to know of it; what else is in the flow's state is left at 0.
    var fastPathState: FastPathState {
        guard key.isOfEcho else { return key.protocolNumber == IPProtocol.tcp ? tcp.fastPathState : FastPathState() }
        var state = FastPathState()
        for side in [Side.low, .high] {
            state[side].message = side == icmp.onlyAsker ? ConnectionKey.echoRequest : ConnectionKey.echoReply
        }
        return state
    }

    /// Takes up what has passed in the kernel since the last time, the last of it then.
    mutating func takeUp(_ state: FastPathState, at last: Instant) {
        if key.protocolNumber == IPProtocol.tcp { tcp.takeUp(state, at: last) }
        for side in [Side.low, .high] where state[side].packets > 0 {
            count(packets: state[side].packets, bytes: state[side].bytes, from: side)
        }
        if last > lastSeen { lastSeen = last }
    }
}
