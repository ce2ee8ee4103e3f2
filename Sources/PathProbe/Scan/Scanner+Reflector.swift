// SPDX-License-Identifier: GPL-3.0-or-later

internal import PacketWire

// The reflector's side of a scan.
extension Scanner {
    func counters() -> ReflectorCounters? {
        guard let channel, case .alive(let counters) = try? channel.ask(.alive) else { return nil }
        return counters
    }

    func collect(into result: inout ScanResult, _ before: ReflectorCounters?) {
        guard let channel, channel.fault == nil else { return }
        do {
            var more = true
            while more {
                guard
                    case .witness(let records, let strangers, let isMore) = try channel.ask(
                        .witness(from: result.records.count, strangersFrom: result.strangers.count)),
                    !isMore || !records.isEmpty || !strangers.isEmpty,
                    result.records.count + records.count <= result.outcomes.count + Self.mostTold,
                    result.strangers.count + strangers.count <= Self.mostTold
                else { throw channel.unexpected() }
                result.records += records
                result.strangers += strangers
                more = isMore
            }
            if let before, let after = counters() { result.counters = after.since(before) }
            try collectSightings(channel, into: &result)
            try collectDrops(channel, into: &result)
        } catch {
            if interruption == nil { interruption = .controlLost("\(error)") }
        }
    }

    private func collectSightings(_ channel: ControlChannel, into result: inout ScanResult) throws(ControlFault) {
        var found: [OpeningSighting] = []
        while true {
            guard case .sightings(let page, let isComplete, let more) = try channel.ask(.sightings(from: found.count)),
                !more || !page.isEmpty, found.count + page.count <= Self.mostTold
            else { throw channel.unexpected() }
            guard let isComplete else { return }
            found += page
            result.sightings = found
            result.areSightingsComplete = isComplete
            guard more else { return }
        }
    }

    /// The agent there writes like events together, so it is asked again once it has written all.
    private func collectDrops(_ channel: ControlChannel, into result: inout ScanResult) throws(ControlFault) {
        guard case .drops(_, let settling, _) = try channel.ask(.drops(from: 0)) else { throw channel.unexpected() }
        guard let settling else { return }
        result.isFarAgentAsked = true
        guard result.outcomes.contains(where: { $0.finding.category != .open }) else { return }
        let span = Instant.Span.milliseconds(Int64(min(settling, Self.longestSettling) + Self.margin))
        try wait(until: Poller.now + span, channel)
        var drops: [AgentDrop] = []
        while true {
            guard case .drops(let page, _, let more) = try channel.ask(.drops(from: drops.count)),
                !more || !page.isEmpty, drops.count + page.count <= Self.mostTold
            else { throw channel.unexpected() }
            drops += page
            guard more else { break }
        }
        result.drops = drops
    }

    private func wait(until limit: Instant, _ channel: ControlChannel) throws(ControlFault) {
        while Poller.now < limit {
            if let fault = channel.fault { throw fault }
            do throws(SystemFault) { try poller.turn(until: limit) } catch { throw ControlFault("\(error)") }
        }
    }

    /// More than a reflector keeps of anything: one that goes on is not to be believed.
    private static let mostTold = 1 << 18

    /// Milliseconds.
    private static let longestSettling = 10_000
    private static let margin = 500
}
