// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
public import FirewallPolicy
public import PacketWire

/// One step of a packet's way, with what decided it, as the function that took the step has recorded it.
public enum Step: Sendable {
    /// Where the packet is: its direction and the interface that rules look at (index 0: none is known).
    case placed(Direction, interface: UInt32, KnownInterface)
    /// The packet passes, and nothing is asked.
    case untouched(Untouched)
    /// Its headers were read.
    case decoded(PacketHeaders)
    /// Stage V has nothing against it.
    case sane
    /// Stage F has nothing against it: what the fragment is of its datagram.
    case fragment(FragmentPlace)
    /// The connection that the packet may be of: its stage, the direction of its opening, and what the rules say of that (nil of
    /// the agent's own); without a stage: none is known.
    case lookedUp(ConnectionStage?, opening: Direction, RuleDecision?)
    /// No such look-up: what has no state here.
    case stateless
    /// What the rules said of the packet seen so. `isKept`: they said so of an earlier packet of its connection.
    case ruled(RuleSubject, RuleDecision, isKept: Bool)
    /// The agent's own traffic needs no rule.
    case ownTraffic
    /// The known connection was refused at its opening.
    case refusedBefore
    /// It is of no known connection and opens none, but a connection older than the agent may go on: who opened it, in the
    /// direction given.
    case takenOver(opening: Direction)
    /// The segment fits its connection: the stage before and after it.
    case tracked(ConnectionStage, ConnectionStage)
    /// It opens a connection.
    case opened
    /// The listener is flooded, and no entry is kept before this host has said whether a connection is open.
    case byCookies(Cookies)
    /// It is the last step: refused.
    case refused(Refused)
    /// It is the last step: passed.
    case passed

    public enum Untouched: Sendable, BitwiseCopyable {
        /// By `interfaces.ignore`.
        case ignoredInterface
        /// Forwarded, and `interfaces.inside` names nothing, or both its interfaces are ignored.
        case forwarded
        /// The copy of this host's own packet to a group.
        case ownGroupPacket
        /// The agent's own answer to a refused packet.
        case ownAnswer
        /// The datagram by which the tool tries the rules.
        case rulesTrial
    }

    public enum Cookies: Sendable, BitwiseCopyable {
        /// A SYN, which has no entry.
        case opening
        /// What answers one, or ends what it opened.
        case answer
        /// An ACK, which waits for what this host makes of it.
        case acknowledgement
    }

    public enum FragmentPlace: Sendable, BitwiseCopyable {
        case first
        /// A later one, whose datagram was decided by its first.
        case later
        /// A later one, before its datagram's first.
        case early
    }

    /// Why a packet is refused.
    public struct Refused: Sendable, BitwiseCopyable {
        public var reason: DropReason
        public var cause: Cause
        /// Index in `Policy.rules`, or -1.
        public var rule: Int32
        /// All that has to be turned for it to pass; empty where nothing helps.
        public var remedy: CauseSet
        public var remedyRule: Int32
        /// It passes all the same: tap mode, or a failure setting.
        public var passes: Bool
        /// How it is answered, and why it is not although the policy says so.
        public var reply: Reply
        public var silence: Silence?
    }
}

extension Engine {
    /// Whether the steps of this packet are wanted. What is only tried is no step.
    @inline(__always)
    func records(_ p: inout Inspection) -> Bool { steps != nil && !p.isRehearsal }

    mutating func record(_ step: Step) { steps?.append(step) }

    /// The last step of a refused packet.
    mutating func recordRefusal(_ p: inout Inspection, _ finding: Finding, passes: Bool, _ bytes: RawSpan) {
        explain(&p, finding, bytes)
        let answer = answerPlan(&p, finding, bytes)
        record(
            .refused(
                Step.Refused(
                    reason: finding.reason, cause: finding.cause, rule: finding.rule, remedy: p.remedy,
                    remedyRule: p.remedyRule, passes: passes, reply: answer.reply, silence: answer.silence)))
    }
}
