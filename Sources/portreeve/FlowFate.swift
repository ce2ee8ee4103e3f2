// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import CaptureReplay
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import PolicyFile

/// By what packets of one connection know each other: both directions have the same.
enum FlowName: Hashable {
    case connection(ConnectionKey)
    /// What has no connection: by its addresses, the lower first, and its protocol.
    case addresses(IPAddress, IPAddress, UInt8)
    /// No IP packet.
    case frame(UInt16)

    init(_ headers: PacketHeaders) {
        if let key = ConnectionKey.make(headers)?.key {
            self = .connection(key)
        } else if headers.isIP {
            let isOrdered = headers.source < headers.destination
            self = .addresses(
                isOrdered ? headers.source : headers.destination, isOrdered ? headers.destination : headers.source,
                headers.protocolNumber)
        } else {
            self = .frame(headers.etherType)
        }
    }
}

/// What becomes of the packets of one connection by one policy.
struct FlowFate {
    private(set) var packets: UInt64 = 0
    private(set) var dropped: UInt64 = 0
    /// The first packet is dropped: the others would not have come.
    private(set) var isDroppedFromTheFirst = false
    /// Of those that wait for others of their datagram.
    private(set) var held: UInt64 = 0
    /// Of the first one that is dropped.
    private(set) var reason: DropReason?
    /// The rule that refuses the first one that is dropped, or else the first that admits one.
    private var refusing: Int32 = -1
    private var admitting: Int32 = -1

    /// Takes in `count` packets that fare alike.
    mutating func add(_ explanation: Explanation, count: UInt64 = 1) {
        let isFirst = packets == 0
        packets += count
        guard let refusal = explanation.refusal, !refusal.passes else {
            if explanation.passes == nil { held += count }
            if admitting < 0 { admitting = explanation.decidingRule }
            return
        }
        if reason == nil {
            reason = refusal.reason
            refusing = refusal.rule
        }
        if isFirst { isDroppedFromTheFirst = true }
        dropped += count
    }

    /// Whether the first packet is dropped by both for the same reason, or as many packets are and the first of them is.
    func isLike(_ other: FlowFate) -> Bool {
        if isDroppedFromTheFirst, other.isDroppedFromTheFirst { return reason == other.reason }
        return dropped == other.dropped && reason == other.reason && held == other.held
    }

    func text(_ policy: Policy) -> String {
        guard let reason else { return "passes\(place(admitting, policy).map { ": \($0)" } ?? "")" }
        let row = reason.row
        let all = isDroppedFromTheFirst ? "dropped from its first packet on" : "\(dropped.grouped) packets dropped"
        return "\(all): \(row.slug) (\(row.number))\(place(refusing, policy).map { ": \($0)" } ?? "")"
    }

    func json(_ policy: Policy) -> JSONValue {
        [
            "verdict": .text(dropped == 0 ? "pass" : isDroppedFromTheFirst ? "drop" : "drop in part"),
            "dropped": .count(dropped), "reason": .optional(reason?.row.slug),
            "rule": .optional(place(reason == nil ? admitting : refusing, policy)),
        ]
    }

    private func place(_ rule: Int32, _ policy: Policy) -> String? {
        guard rule >= 0, policy.rules.indices.contains(Int(rule)) else { return nil }
        let rule = policy.rules[Int(rule)]
        return "\(rule.action.word) by \(rule.place)"
    }
}

extension Explanation {
    /// The rule that decided about the packet, or about the opening of its connection; -1 where none did.
    fileprivate var decidingRule: Int32 {
        if let rule = ruling?.decision.rule, rule >= 0 { return rule }
        return connection?.rule ?? -1
    }
}
