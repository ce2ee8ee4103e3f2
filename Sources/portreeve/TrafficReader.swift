// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import CaptureReplay
import ConnectionTracking
import EventReader
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import PolicyFile

/// Reads events and captures into what was tried.
struct TrafficReader {
    private(set) var traffic = SeenTraffic()
    /// For standard error.
    private(set) var complaints: [String] = []
    private(set) var hasFailed = false
    private(set) var events: UInt64 = 0
    private(set) var packets: UInt64 = 0
    private let tellsInterfacesApart: Bool

    init(tellsInterfacesApart: Bool) { self.tellsInterfacesApart = tellsInterfacesApart }

    /// The records of one file, or of standard input.
    mutating func addEvents(_ path: String) {
        do throws(ReadError) {
            var records = try EventRecords(path: path)
            do throws(ReadError) {
                while let event = try records.next() { add(event) }
            } catch {
                failed("\(error)")
            }
            note(foreign: records.foreign, in: path == "-" ? "standard input" : path)
        } catch {
            failed("\(error)")
        }
    }

    /// A file of events with all that rotations have left of it.
    mutating func addHistory(_ path: String) {
        do throws(ReadError) {
            var source = try EventSource(path: path, query: EventQuery())
            try source.all { found in for (_, event) in found { add(event) } }
            for error in source.errors { failed("\(error)") }
            for (path, count) in source.foreign.sorted(by: { $0.key < $1.key }) { note(foreign: count, in: path) }
        } catch {
            failed("\(error)")
        }
    }

    private mutating func failed(_ text: String) {
        complaints.append(text.harmless)
        hasFailed = true
    }

    private mutating func note(foreign: Int, in path: String) {
        if foreign > 0 {
            complaints.append("\(foreign) lines of \(path.harmless) are no events of this format, and were left out")
        }
    }

    // MARK: - Events

    /// One packet makes the others, and anybody can send one in another's name.
    private static let scans: Set<DropReason> = [.portScan]
    private static let notices: Set<DropReason> = [.portScan, .nullScan, .synfinScan, .xmasScan, .osFingerprint]
    /// What a rule could have admitted.
    private static let curable: Set<DropReason> = [
        .deny, .outOfAllowedPolicy, .outOfAllowedPolicyOpenPort, .unsolicitedUDP, .unsolicitedICMP,
    ]

    mutating func add(_ event: LoggedEvent) {
        let count = UInt64(clamping: max(1, event.count))
        if Self.notices.contains(event.reason) {
            if Self.scans.contains(event.reason), let source = event.source {
                traffic.addNotice(ofScanBy: source.address, times: count)
            }
            return
        }
        guard ["deny", "tap:deny", "fail-open", "observed"].contains(event.action) else { return }
        events += 1
        guard Self.curable.contains(event.reason), event.action != "observed" else {
            return traffic.addUncurable(event.reason, packets: count)
        }
        guard let words = PacketWords(event), event.hasPortsWhereNeeded else {
            return traffic.addNameless(packets: count)
        }
        add(event, words, count)
    }

    private mutating func add(_ event: LoggedEvent, _ words: PacketWords, _ count: UInt64) {
        let interface = tellsInterfacesApart ? words.interface.flatMap(Self.plain) : nil
        let (isTapped, isOfKnown) = (event.action == "tap:deny", event.note == "refused connection")
        func attempt(_ service: Attempt.Service) -> Attempt {
            Attempt(
                words.direction, service, from: words.source, to: words.destination, isIPv6: words.isIPv6,
                interface: interface)
        }
        func opened(_ service: Attempt.Service) {
            traffic.add(
                attempt(service), packets: count, first: event.first, last: event.last, event.outcome, tapped: isTapped)
        }
        func loose(_ isTCP: Bool, _ source: UInt16, _ destination: UInt16, isReset: Bool = false) {
            let packet = SeenTraffic.Loose(
                words.direction, isTCP: isTCP, isIPv6: words.isIPv6, from: (words.source, source),
                to: (words.destination, destination), interface: interface)
            traffic.add(packet, packets: count, first: event.first, last: event.last, isReset: isReset)
        }
        switch words.transport {
        case .tcp(let source, let destination, let flags):
            let isEnd = flags.contains(.rst) || flags.contains(.fin)
            if flags.contains(.syn), !isEnd, !flags.contains(.ack) { return opened(.tcp(destination)) }
            loose(true, source, destination, isReset: flags.contains(.rst))
        case .udp(let source, let destination):
            if isOfKnown { return loose(false, source, destination) }
            if SeenTraffic.isLateAnswer(from: source, to: destination) { return traffic.addLateAnswer(packets: count) }
            opened(.udp(destination))
        case .icmp(let type, let code):
            if isOfKnown, let request = Attempt.request(of: type, isIPv6: words.isIPv6) {
                var asked = attempt(.icmp(type: request, code: code))
                asked.direction = words.direction.opposite
                swap(&asked.source, &asked.destination)
                return traffic.addAnswer(to: asked, packets: count)
            }
            opened(.icmp(type: type, code: code))
        case .other(let number): opened(.other(number))
        case .frame: traffic.addNameless(packets: count)
        }
    }

    /// A name that may stand in a policy file as it is; others are forged, or are left out.
    private static func plain(_ name: String) -> String? {
        let isPlain =
            1...15 ~= name.utf8.count
            && name.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                    || [0x2d, 0x2e, 0x5f, 0x3a].contains(byte)
            }
        return isPlain ? name : nil
    }

    // MARK: - Captures

    mutating func addCapture(_ path: String, _ policy: Policy, local: [AddressRange]) {
        var guess: HostGuess?
        if local.isEmpty, path != "-" {
            var survey = HostSurvey()
            survey.add(path)
            let found = survey.guess
            guess = found
            let addresses = found.addresses.sorted().prefix(8).map(\.description).joined(separator: ", ")
            complaints.append(
                "\(path.harmless): this host is \(addresses.isEmpty ? "not found" : "taken to be \(addresses)") (\(found.sureness.rawValue)): "
                    + "\(found.why); --local says otherwise")
        }
        var replay = CaptureReplay(
            policy: policy, local: local, guess: guess, folds: true, zones: SystemTimeZones.zones(of: policy.document))
        var exchanges = CapturedExchanges(addingTo: traffic)
        traffic = SeenTraffic()
        var (count, reasons) = (UInt64(0), [DropReason: UInt64]())
        do {
            try replay.judge(path) { packet in
                count += 1
                if let reason = packet.reasonBesideRules { reasons[reason, default: 0] += 1 }
                guard !packet.isUntouched else { return }
                exchanges.add(packet.headers, packet.direction, at: packet.time / 1_000)
            }
        } catch {
            failed("\(error)")
        }
        packets += count
        traffic = exchanges.ended()
        for (reason, count) in reasons { traffic.addUncurable(reason, packets: count) }
    }
}

extension JudgedPacket {
    fileprivate var isUntouched: Bool {
        if case .untouched? = steps.last { return true }
        return false
    }

    /// Why it is refused, where no rule decides that.
    fileprivate var reasonBesideRules: DropReason? {
        for case .refused(let refused) in steps where ![.rules, .unsolicited].contains(refused.reason.stage) {
            return refused.reason
        }
        return nil
    }
}

extension LoggedEvent {
    fileprivate var hasPortsWhereNeeded: Bool {
        guard protocolName == "TCP" || protocolName == "UDP" else { return true }
        return [source, destination].allSatisfy { $0?.port.map { 0...0xffff ~= $0 } ?? false }
    }

    /// What the record tells of the port: the agent looks whether a socket listens there where that is one of this host's.
    fileprivate var outcome: AttemptOutcome {
        if reason == .outOfAllowedPolicyOpenPort { return .listening }
        let isHere = ["prerouting", "input"].contains(json["portreeve"]?["hook"]?.asText ?? "")
        let hasListeners = protocolName == "TCP" || protocolName == "UDP"
        return reason == .outOfAllowedPolicy && isHere && hasListeners && direction == "incoming"
            && json["out_iface"] == nil ? .nobodyListens : .unknown
    }
}
