// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
public import PacketWire

extension Engine {
    /// Judges one packet: the order of the stages is the order of this function (docs/design.md 2).
    ///
    /// - Parameters:
    ///   - bytes: the packet from its IP header on, as far as it was copied; borrowed for the call.
    ///   - metadata: what the kernel says about it. `direction` is set here from the hook, unless there is none.
    ///   - now: the worker's clock; never goes backwards between calls.
    ///   - relation: for an ICMP error that was answered `.askOtherWorkers` before: what they said.
    /// - Returns: The verdict. `.hold` and `.askOtherWorkers` ask the worker to come back with the packet.
    public mutating func inspect(
        _ bytes: RawSpan, _ metadata: PacketMetadata, at now: Instant, relation: ErrorRelation = .notAsked
    ) -> Decision {
        var p = Inspection(metadata, at: now)
        p.relation = relation
        guard place(&p) else { return passUntouched(&p, isForwarded(&p) ? .forwarded : .ignoredInterface) }
        if records(&p) { recordPlace(&p) }
        if let finding = unusable(&p, bytes) ?? decode(&p, bytes) { return conclude(&p, finding, bytes) }
        return inspectDecoded(&p, bytes)
    }

    /// The same for a whole Ethernet frame, as captures and the frame guard have it.
    public mutating func inspectFrame(_ frame: RawSpan, _ metadata: PacketMetadata, at now: Instant) -> Decision {
        var p = Inspection(metadata, at: now)
        guard place(&p) else { return passUntouched(&p, .ignoredInterface) }
        if records(&p) { recordPlace(&p) }
        if let finding = decodeFrame(&p, frame) { return conclude(&p, finding, frame) }
        return inspectDecoded(&p, frame)
    }

    private mutating func inspectDecoded(_ p: inout Inspection, _ bytes: RawSpan) -> Decision {
        if records(&p) { record(.decoded(p.headers)) }
        if isOwnGroupPacket(&p, bytes) { return passUntouched(&p, .ownGroupPacket) }
        if p.isOwnTraffic || p.isLoopback, isOwnAnswer(&p, bytes) { return passUntouched(&p, .ownAnswer) }
        if RulesTrial.isOne(&p.headers, p.metadata.hook) { return passUntouched(&p, .rulesTrial) }
        if let finding = SanityCheck.finding(&p, bytes, &hot) { return conclude(&p, finding, bytes) }
        if hot.examinesOrigin, let finding = findingOfOrigin(&p) { return conclude(&p, finding, bytes) }
        if records(&p) { record(.sane) }
        if p.now < blocked.lastEnd, let finding = blockOfSource(&p) { return conclude(&p, finding, bytes) }
        if p.headers.fragment.isFragment { return inspectFragment(&p, bytes) }
        let finding = judgeWhatIsThere(&p, bytes)
        if p.mustAsk { return Decision(verdict: .askOtherWorkers) }
        return conclude(&p, finding, bytes)
    }

    /// Finds the interface and the direction; false for a packet that is none of the engine's business.
    private mutating func place(_ p: inout Inspection) -> Bool {
        if p.metadata.hook.isKnown && p.relation == .notAsked { counters.hooks[Int(p.metadata.hook.rawValue)] &+= 1 }
        let entered = interfaces[p.metadata.inInterface] ?? .unknown
        let leaves = interfaces[p.metadata.outInterface] ?? .unknown
        switch p.metadata.hook {
        case .prerouting, .input: p.metadata.direction = .incoming
        case .output, .postrouting:
            p.metadata.direction = .outgoing
            if p.metadata.mark != 0 { p.isOwnTraffic = isSentByAgent(&p) }
        case .forward:
            guard hot.judgesForwarded, !(entered.traits.isIgnored && leaves.traits.isIgnored) else { return false }
            p.metadata.direction = entered.traits.isInside ? .outgoing : .incoming
        case .none, .unknown: break
        }
        let incoming = p.metadata.direction == .incoming
        let known = incoming ? entered : leaves
        p.interface = incoming ? p.metadata.inInterface : p.metadata.outInterface
        p.traits = known.traits
        p.isLoopback = known.isLoopback
        return !known.traits.isIgnored || p.metadata.hook == .forward
    }

    /// What the kernel delivered cannot be judged at all: no packet, or a hook that says nothing about the direction.
    private mutating func unusable(_ p: inout Inspection, _ bytes: RawSpan) -> Finding? {
        let isEmpty = bytes.byteCount == 0 && p.metadata.hook != .none
        return isEmpty || p.metadata.hook == .unknown ? Finding(.invalidPacketInfo, .malformed) : nil
    }

    private mutating func decode(_ p: inout Inspection, _ bytes: RawSpan) -> Finding? {
        do {
            try p.headers.decodePacket(bytes, etherType: p.metadata.etherType, PacketTraits(p.metadata))
        } catch {
            complete(&p)
            return Finding(DropReason(error), .malformed)
        }
        complete(&p)
        return nil
    }

    private mutating func decodeFrame(_ p: inout Inspection, _ frame: RawSpan) -> Finding? {
        do {
            try p.headers.decodeFrame(frame, PacketTraits(p.metadata))
        } catch {
            return Finding(DropReason(error), .malformed)
        }
        return nil
    }

    /// What the kernel says of the link, where there was no frame to decode.
    private mutating func complete(_ p: inout Inspection) {
        p.headers.sourceMAC = p.metadata.sourceMAC
        p.headers.destinationMAC = p.metadata.destinationMAC
        if p.metadata.vlan != PacketHeaders.noVLAN { p.headers.vlan = p.metadata.vlan }
        if p.headers.etherType == 0 { p.headers.etherType = p.metadata.etherType }
    }

    private mutating func isForwarded(_ p: inout Inspection) -> Bool { p.metadata.hook == .forward }

    private mutating func recordPlace(_ p: inout Inspection) {
        let known = KnownInterface(traits: p.traits, isLoopback: p.isLoopback)
        record(.placed(p.direction, interface: p.interface, known))
    }

    private mutating func passUntouched(_ p: inout Inspection, _ why: Step.Untouched) -> Decision {
        if records(&p) { record(.untouched(why)) }
        counters.inspected &+= 1
        counters.untouched &+= 1
        counters.passed &+= 1
        return .pass
    }
}

extension PacketTraits {
    init(_ m: PacketMetadata) {
        self.init(
            fullLength: m.fullLength, isSegmentationOffload: m.isSegmentationOffload, isCapture: m.hook == .none)
    }
}
