// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

extension Engine {
    mutating func judgeTCP(_ p: inout Inspection) -> Finding? {
        guard let packet = ConnectionKey.make(p.headers) else { return judgeByRulesAlone(&p) }
        if let i = table.find(packet.key, at: p.now) { return judgeKnownTCP(&p, i, packet.sender) }
        return judgeUnknownTCP(&p, packet)
    }

    private mutating func judgeKnownTCP(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Finding? {
        let isOpening = TCPTracker.isOpening(p.headers.tcp)
        if isOpening && table[i].refusal.isRefused { return judgeAgain(&p, i, side) }
        switch standing(&p, i, side) {
        case .bypass: return nil
        case .refused(let finding):
            follow(p, i, side, finding)
            return finding
        case .goesOn: break
        }
        if isOpening && TCPTracker.needsAdmission(table[i].tcp, p.headers.tcp, from: side),
            let finding = readmit(p, i, side)
        {
            return finding
        }
        return flagTraits(&p) ?? track(&p, i, side)
    }

    /// A pure SYN against the opener's direction, or on a connection that is over, is an opening of its own: the rules of its
    /// own direction and the limits are asked.
    private mutating func readmit(_ p: Inspection, _ i: ConnectionIndex, _ side: Side) -> Finding? {
        if let finding = refusalByRules(p) { return finding }
        guard table[i].stage == .closed || table[i].stage == .timeWait else { return nil }
        do {
            try table.reopen(i, opener: side, direction: p.direction, at: p.now)
        } catch {
            return Finding(DropReason(error))
        }
        table[i].openingInterface = p.interface
        table[i].openingMAC = p.headers.sourceMAC
        return nil
    }

    /// A pure SYN for a refused entry is an opening of its own: it replaces the entry if the rules let it.
    private mutating func judgeAgain(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Finding? {
        let packet = KeyedPacket(key: table[i].key, sender: side)
        table.remove(i)
        return judgeUnknownTCP(&p, packet)
    }

    /// One step of the state machine, and what follows from it for the table and the limits.
    private mutating func track(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Finding? {
        let step = TCPTracker.step(
            &table[i].tcp, p.headers.tcp, from: side, at: p.now, hot.posture, unseenBytes: p.unseenBytes)
        if let refusal = step.refusal {
            return Finding(DropReason(refusal), posture: step.isSilent ? .denySilent : .deny)
        }
        if let logged = step.logged { p.logged = DropReason(logged) }
        seen(p, i, side, step)
        return nil
    }

    /// State follows what the packet really did: one that a rule refuses and that passes all the same (tap) moves the
    /// windows on. One that the tracker refuses moves nothing: its receiver discards it too.
    private mutating func follow(_ p: Inspection, _ i: ConnectionIndex, _ side: Side, _ finding: Finding) {
        guard overrides(finding) != nil, !table[i].refusal.isRefused else { return }
        let step = TCPTracker.step(
            &table[i].tcp, p.headers.tcp, from: side, at: p.now, hot.posture, unseenBytes: p.unseenBytes)
        if step.refusal == nil { seen(p, i, side, step) }
    }

    private mutating func seen(_ p: Inspection, _ i: ConnectionIndex, _ side: Side, _ step: TCPStep) {
        if step.reopened {
            table[i].opener = table[i].tcp.opener
            table[i].openingDirection = table[i].opener == side ? p.direction : p.direction.opposite
        }
        table[i].lastSeen = p.now
        table[i].count(bytes: p.headers.length, from: side)
        table.recordChange(of: i)
    }

    private mutating func judgeUnknownTCP(_ p: inout Inspection, _ packet: KeyedPacket) -> Finding? {
        p.ruling = policy.classify(subject(p))
        if p.ruling.outcome == .bypass { return nil }
        if p.ruling.outcome == .deny {
            let finding = refusalByRules(p)
            rememberRefusedOpening(p, packet, finding)
            return finding
        }
        if TCPTracker.isOpening(p.headers.tcp) { return open(&p, packet) }
        return judgeOutOfConnection(&p, packet)
    }

    private mutating func open(_ p: inout Inspection, _ packet: KeyedPacket) -> Finding? {
        if let finding = refusalByRules(p) ?? flagTraits(&p) {
            rememberRefusedOpening(p, packet, finding)
            return finding
        }
        var opening = newConnection(p, packet)
        opening.tcp = TCPTracker.open(p.headers.tcp, from: packet.sender, at: p.now)
        return insert(p, opening)
    }

    private mutating func rememberRefusedOpening(
        _ p: Inspection, _ packet: KeyedPacket, _ finding: Finding?
    ) {
        guard let finding, TCPTracker.isOpening(p.headers.tcp) else { return }
        var opening = newConnection(p, packet)
        opening.tcp = TCPTracker.open(p.headers.tcp, from: packet.sender, at: p.now)
        rememberRefused(p, opening, finding)
    }

    /// Stage T on the flags alone: the strictest posture row of the traits that the segment shows.
    func flagTraits(_ p: inout Inspection) -> Finding? {
        let traits = TCPTracker.traits(p.headers.tcp)
        if traits.isEmpty { return nil }
        var worst: (action: PostureAction, reason: DropReason)?
        for trait in FlagTraits.each where traits.contains(trait) {
            let action = hot.posture.action(trait)
            let reason: DropReason = trait == .congestion ? .ceFlags : .invalidFlags
            if action.drops { return Finding(reason, posture: action) }
            if action == .log && worst == nil { worst = (action, reason) }
        }
        p.logged = worst?.reason
        return nil
    }
}
