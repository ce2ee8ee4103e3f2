// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// Packets of which the copy range (`queue.copy-bytes`) left less than what has to be judged: extension headers or options as
/// long as the sender likes push the rest beyond it. What is there is judged; only what that does not decide is Invalid Packet
/// Info, and passes where the agent fails open.
extension Engine {
    /// Stages R to C, of a cut packet as far as can be.
    mutating func judgeWhatIsThere(_ p: inout Inspection, _ bytes: RawSpan) -> Finding? {
        lacksBytes(&p) ? judgeCut(&p, bytes) : judge(&p, bytes)
    }

    /// Whether headers, TCP options or the quoted packet were cut off. A capture is judged on what is there, and nothing is missing
    /// from a later fragment.
    private mutating func lacksBytes(_ p: inout Inspection) -> Bool {
        p.headers.isCut && p.metadata.hook != .none && p.headers.fragment.offset == 0 && p.isSubject(to: .copyRange)
    }

    /// A refusal, always: sanity has not seen what is missing.
    private mutating func judgeCut(_ p: inout Inspection, _ bytes: RawSpan) -> Finding {
        let lack = Finding(.invalidPacketInfo, .copyRange)
        guard p.headers.isIP else { return lack }
        switch p.headers.transport {
        case .none: return refusalWithoutTransport(&p) ?? lack
        case .icmp, .icmpv6: return refusalWithoutQuote(&p, bytes) ?? lack
        case .tcp: return judgeWithoutOptions(&p, lack, bytes)
        case .udp, .other: return judgeWithoutChange(&p, bytes) ?? lack
        }
    }

    /// By addresses, interface and perhaps the protocol: as of a fragment that comes before its datagram's first one.
    private mutating func refusalWithoutTransport(_ p: inout Inspection) -> Finding? {
        var s = subject(&p)
        s.hidesTransport = true
        ask(&p, s)
        return isSettledByRules(&p, s) ? refusalByRules(&p) : nil
    }

    /// What quotes nothing that can be read may still be about a connection; a Deny rule asks for nothing but the error itself.
    private mutating func refusalWithoutQuote(_ p: inout Inspection, _ bytes: RawSpan) -> Finding? {
        let found = judgeWithoutChange(&p, bytes)
        return found?.reason == .deny ? found : nil
    }

    /// The tracker cannot follow a segment without its options. What passes for want of them is noted, so that the rest of its
    /// connection passes with it.
    private mutating func judgeWithoutOptions(_ p: inout Inspection, _ lack: Finding, _ bytes: RawSpan) -> Finding {
        if let found = judgeWithoutChange(&p, bytes), found.reason.stage == .rules || found.reason == .outOfConnection {
            return judge(&p, bytes) ?? lack
        }
        guard hot.tcpEnabled, !p.leavesNoTrace, overrides(lack) != nil,
            let packet = ConnectionKey.make(p.headers)
        else { return lack }
        if let i = connection(packet.key, at: p.now) {
            follow(&p, i, packet.sender, lack, bytes)
        } else if TCPTracker.isOpening(p.headers.tcp) {
            rememberRefusedOpening(&p, packet, lack)
        } else {
            rememberRefused(&p, midstream(&p, packet, opener: packet.sender), lack)
        }
        return lack
    }

    private mutating func judgeWithoutChange(_ p: inout Inspection, _ bytes: RawSpan) -> Finding? {
        var again = p
        again.isRehearsal = true
        return judge(&again, bytes)
    }
}
