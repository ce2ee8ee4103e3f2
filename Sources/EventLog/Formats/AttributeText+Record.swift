// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// What CEF and LEEF say under the same keys.
extension AttributeText {
    /// The packet beside its addresses. Which of `in` and `out` there is tells the direction.
    mutating func appendPacket(_ fields: RecordFields) {
        if let length = fields.length { field(fields.direction == .outgoing ? "out" : "in", length) }
        field("cs2", fields.tcp?.flags.longText, label: "cs2Label", "TCP Flags")
        field("cs3", fields.fragmentText, label: "cs3Label", "Fragmentation Bits")
        field("cs4", fields.icmp.map { "\($0.type) \($0.code)" }, label: "cs4Label", "ICMP Type and Code")
        field("portreeveFrameType", ifPresent: fields.frameType)
        field("suid", ifPresent: fields.senderUID)
        field("suser", ifPresent: fields.senderUser)
        field("portreeveUnit", ifPresent: fields.senderUnit)
        field("externalId", ifPresent: fields.flowID)
        if let identifier = fields.communityID { field("portreeveCommunityID", identifier) }
        if !fields.packetData.isEmpty { field("portreevePacketData", base64: fields.packetData) }
    }

    /// How a connection ended.
    mutating func appendEnding(_ account: FlowAccount) {
        field("portreeveEnded", ifPresent: account.ending?.text)
        field("portreeveTimeout", ifPresent: account.timeout)
        field("portreeveDurationMilliseconds", ifPresent: account.durationMilliseconds)
    }

    /// Under which policy, what is noted, what would let it pass, and the record's place in the output.
    mutating func appendCircumstances(_ fields: RecordFields, at place: RecordPlace) {
        field("portreevePolicyEpoch", ifPresent: fields.policyEpoch)
        field("portreeveReply", ifPresent: fields.reply)
        field("msg", ifPresent: fields.note)
        if let explain = fields.explain, !explain.isEmpty {
            field("portreeveExplain", explain.joined(separator: "; "))
        }
        field("portreeveSequence", place.sequence)
        if place.lost > 0 { field("portreeveLost", place.lost) }
    }
}
