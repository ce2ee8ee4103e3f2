// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

extension Engine {
    mutating func judgeKnownTCP(
        _ p: inout Inspection, _ i: ConnectionIndex, _ side: Side, _ bytes: RawSpan
    ) -> Finding? {
        let isOpening = TCPTracker.isOpening(p.headers.tcp)
        rejudgeIfOutdated(&p, i, side)
        if isOpening && table.standing(of: i).refusal.isRefused { return judgeAgain(&p, i, side) }
        switch standing(&p, i, side) {
        case .bypass: return nil
        case .refused(let finding):
            follow(&p, i, side, finding, bytes)
            return finding
        case .goesOn: break
        }
        if p.isLoopback, table[i].key.isOfOneEndpoint { return judgeOfOneEndpoint(&p, i, side) }
        if isOpening && needsAdmission(&p, i, side) { return judgeFurtherOpening(&p, i, side, bytes) }
        return flagTraits(&p, i, side, bytes) ?? track(&p, i, side, bytes)
    }

    /// A pure SYN for a refused entry is an opening of its own: it replaces the entry, unless the rules drop it.
    private mutating func judgeAgain(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Finding? {
        ask(&p)
        if let finding = refusalOfOpening(&p), overrides(finding) == nil {
            if !p.leavesNoTrace { table[i].lastSeen = p.now }
            return finding
        }
        let packet = KeyedPacket(key: table[i].key, sender: side)
        vacate(&p, i)
        return judgeUnknown(&p, .tcp, packet)
    }

    /// Whether a pure SYN has to be put to the rules of its own direction. The side that it comes from is not enough: on its way
    /// through the loopback interface one SYN goes out and comes in, and a router may see that of somebody outside come from
    /// inside, where it was forged.
    private mutating func needsAdmission(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Bool {
        p.direction != table[i].openingDirection
            || TCPTracker.needsAdmission(table[i].tcp, p.headers.tcp, from: side)
    }

    /// A pure SYN against the opener's direction, or on a connection that is over, is an opening of its own: the rules of its
    /// own direction and the limits are asked.
    private mutating func judgeFurtherOpening(
        _ p: inout Inspection, _ i: ConnectionIndex, _ side: Side, _ bytes: RawSpan
    ) -> Finding? {
        let isOver = table[i].tcp.phase.isOver
        let refusal =
            refusalOfOpening(&p, i) ?? flagTraits(&p)
            ?? (isOver ? excessOfRate(&p) ?? reopen(&p, i, side) : nil)
        guard let finding = refusal else { return track(&p, i, side, bytes) }
        guard isOver, !p.leavesNoTrace, overrides(finding) != nil else {
            follow(&p, i, side, finding, bytes)
            return finding
        }
        explain(&p, finding)
        let packet = KeyedPacket(key: table[i].key, sender: side)
        vacate(&p, i)
        rememberRefusedOpening(&p, packet, finding)
        return finding
    }

    /// A segment of a port that has connected to itself: nothing tells which side sent it, so no window is known. Its entry
    /// lasts as that of any connection until it closes.
    private mutating func judgeOfOneEndpoint(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Finding? {
        if let finding = flagTraits(&p) { return finding }
        guard !p.leavesNoTrace else { return nil }
        if p.headers.tcp.flags.contains(.syn) {
            table[i].tcp = TCPTracker.open(p.headers.tcp, from: side, at: p.now)
        } else if !p.headers.tcp.flags.isDisjoint(with: .fin | .rst) {
            table[i].tcp.closeOfOneEndpoint(isReset: p.headers.tcp.flags.contains(.rst))
        } else if table[i].tcp.isHalfOpen {
            table[i].tcp = TCPTracker.remember(opener: side, at: p.now)
        }
        seen(&p, i, side)
        return nil
    }

    private mutating func flagTraits(
        _ p: inout Inspection, _ i: ConnectionIndex, _ side: Side, _ bytes: RawSpan
    ) -> Finding? {
        guard let finding = flagTraits(&p) else { return nil }
        follow(&p, i, side, finding, bytes)
        return finding
    }

    /// One step of the state machine, and what follows from it for the table and the limits. Where the data of a segment are
    /// read, the step is tried on a copy before: it is made only of what passes.
    private mutating func track(
        _ p: inout Inspection, _ i: ConnectionIndex, _ side: Side, _ bytes: RawSpan
    ) -> Finding? {
        if isMisdirected(&p, i, side), !p.headers.tcp.flags.contains(.syn), table[i].tcp.isClaimed { return nil }
        if hot.ackStormThreshold != .max, let finding = ackStorm(&p, i, side, bytes) {
            follow(&p, i, side, finding, bytes)
            return finding
        }
        if hot.readsPayload, let finding = objection(&p, i, side, bytes) {
            follow(&p, i, side, finding, bytes)
            return finding
        }
        let before = records(&p) ? table[i].stage : .closed
        let step = p.leavesNoTrace ? rehearseStep(&p, i, side) : step(&p, i, side)
        guard let refusal = step.refusal else {
            if step.reopened, hot.readsPayload, p.headers.tcp.dataLength == 0, !p.leavesNoTrace {
                forgetPayload(of: table[i].key)
            }
            if hot.keepsLog, step.reopened, !TCPTracker.isOpening(p.headers.tcp), !p.leavesNoTrace {
                noteReplaced(&p, i)
            }
            if let logged = step.logged { p.notices.insert(DropReason(logged)) }
            if records(&p) { record(.tracked(before, table[i].stage)) }
            if step.isLate { count(&p, i, side) } else { seen(&p, i, side) }
            return nil
        }
        if mayFollowFromUnseen(step, &p, i) || isOfOlderOpening(step, &p, i, side) { return catchUp(&p, i, side) }
        if mayBeOfUnseenOpening(step, &p, i) {
            count(&p, i, side)
            return nil
        }
        if table.listeners.isActive, let passage = passageOfUnseenOpening(&p, i, side) { return passage.finding }
        let finding = Finding(DropReason(refusal), Cause(step), posture: step.isSilent ? .denySilent : .deny)
        if !p.leavesNoTrace { table.recordChange(of: i) }
        follow(&p, i, side, finding, bytes)
        return finding
    }

    private mutating func step(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> TCPStep {
        table.stepTCP(i, p.headers.tcp, from: side, at: p.now, hot.posture, unseenBytes: p.unseenBytes)
    }

    private mutating func rehearseStep(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> TCPStep {
        var state = table[i].tcp
        return step(&p, &state, side, idle: p.now - table[i].lastSeen)
    }

    /// State follows what the packet really did: one that is refused and passes all the same (tap mode, a failure setting)
    /// moves the windows on. What would let it pass is asked first, of the windows that refused it.
    mutating func follow(
        _ p: inout Inspection, _ i: ConnectionIndex, _ side: Side, _ finding: Finding, _ bytes: RawSpan
    ) {
        guard !p.leavesNoTrace, overrides(finding) != nil else { return }
        explain(&p, finding, bytes)
        TCPTracker.follow(&table[i].tcp, p.headers.tcp, from: side, at: p.now)
        if table[i].tcp.phase.isOver { count(&p, i, side) } else { seen(&p, i, side) }
    }

    /// A packet that passes and renews nothing.
    private mutating func count(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) {
        if !p.leavesNoTrace { table[i].count(bytes: p.headers.length, from: side) }
    }

    mutating func seen(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) {
        if p.leavesNoTrace { return }
        let isMoved = table.noteSeen(i, from: side, direction: p.direction, bytes: p.headers.length, at: p.now)
        if isMoved, hot.watchesScans { noteStage(&p, i) }
    }

    /// What is no opening may still belong to a connection, which needs no Allow rule; a Deny rule is for each packet.
    mutating func judgeUnknownTCP(_ p: inout Inspection, _ packet: KeyedPacket) -> Finding? {
        if p.ruling.outcome == .deny, let finding = refusalByRules(&p) {
            rememberRefusedOpening(&p, packet, finding)
            return finding
        }
        if TCPTracker.isOpening(p.headers.tcp) { return open(&p, packet) }
        if table.listeners.isActive || pendingACKs.count > 0, let passage = passage(&p, packet) {
            return passage.finding
        }
        return judgeOutOfConnection(&p, packet)
    }

    private mutating func open(_ p: inout Inspection, _ packet: KeyedPacket) -> Finding? {
        if let finding = refusalOfOpening(&p) ?? flagTraits(&p) {
            rememberRefusedOpening(&p, packet, finding)
            return finding
        }
        var opening = newConnection(&p, packet)
        opening.tcp = TCPTracker.open(p.headers.tcp, from: packet.sender, at: p.now)
        return hot.synFlood.usesCookies || pendingACKs.count > 0
            ? insertOrPass(&p, opening, packet) : insertWithinRate(&p, opening)
    }

    mutating func rememberRefusedOpening(
        _ p: inout Inspection, _ packet: KeyedPacket, _ finding: Finding
    ) {
        guard !p.leavesNoTrace, overrides(finding) != nil, TCPTracker.isOpening(p.headers.tcp) else { return }
        var opening = newConnection(&p, packet)
        opening.tcp = TCPTracker.open(p.headers.tcp, from: packet.sender, at: p.now)
        rememberRefused(&p, opening, finding)
    }

    /// Stage T on the flags alone: the strictest posture row of the traits that the segment shows.
    mutating func flagTraits(_ p: inout Inspection) -> Finding? {
        var traits = TCPTracker.traits(p.headers.tcp)
        if p.headers.fragment.isFragment && TCPTracker.isOpening(p.headers.tcp) && !p.headers.tcp.fastOpen {
            // The first fragment of more: what it does not show of the SYN's data is in the others.
            traits.insert(.synData)
        }
        if traits.isEmpty { return nil }
        for trait in FlagTraits.each where traits.contains(trait) {
            let action = hot.posture.action(trait)
            let reason: DropReason = trait == .congestion ? .ceFlags : .invalidFlags
            if action.drops, p.isSubject(to: Cause(trait)) { return Finding(reason, Cause(trait), posture: action) }
            if trait == .congestion, hot.congestionDenied, p.isSubject(to: .congestionSetting) {
                return Finding(reason, .congestionSetting)
            }
            if action == .log { p.notices.insert(reason) }
        }
        return nil
    }
}
