// SPDX-License-Identifier: GPL-3.0-or-later

import EventReader
import FirewallEngine
import Glibc
import PathProbe

/// What an agent on the path dropped of a scan's probes, by its events file: the events that were written while it ran, by the
/// endpoints of their packets.
final class ProbeDrops {
    private struct Ends: Hashable {
        var transport: Transport
        var source: String
        var destination: String
    }

    private var reader: LineReader
    private var found: [Ends: [String]] = [:]

    /// Drops that are the same are written together, at the latest after this long; microseconds.
    private static let patience: useconds_t = 1_500_000

    /// What stands in the file by now is of earlier times.
    init(file: String) throws(ReadError) {
        reader = try LineReader(path: file)
        while try reader.next() != nil {}
    }

    /// Reads what was written meanwhile.
    func read() throws(ReadError) {
        usleep(Self.patience)
        while let line = try reader.next() {
            if let event = LoggedEvent(line: line) { note(event) }
        }
    }

    private func note(_ event: LoggedEvent) {
        guard let transport = Transport(rawValue: event.protocolName.lowercased()), let source = event.source,
            let destination = event.destination
        else { return }
        let ends = Ends(transport: transport, source: source.text, destination: destination.text)
        let reason = event.reason.row.slug
        if found[ends]?.contains(reason) != true { found[ends, default: []].append(reason) }
    }

    /// Of packets between the two, either way.
    func reasons(_ transport: Transport, _ source: PathProbe.Endpoint, _ destination: PathProbe.Endpoint) -> [String] {
        let there = Ends(transport: transport, source: "\(source)", destination: "\(destination)")
        let back = Ends(transport: transport, source: "\(destination)", destination: "\(source)")
        return (found[there] ?? []) + (found[back] ?? []).filter { found[there]?.contains($0) != true }
    }
}
