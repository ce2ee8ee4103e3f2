// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
import FirewallEngine
import PacketWire

/// What a record says of a connection that ended, or of all those that it stands for.
package struct FlowAccount: Sendable {
    /// nil where they ended in different ways.
    package let ending: ConnectionEnding?
    /// The setting whose time was over.
    package let timeout: String?
    /// Of a single one: whether it was ever answered, when it was opened, and when its last packet came; nanoseconds since 1970.
    package let times: (isEstablished: Bool, opened: Int64, lastPacket: Int64)?
    /// From who opened it, and back; the sums, where there are several.
    package let ofOriginator: Traffic
    package let ofResponder: Traffic
    private let count: UInt64

    init?(_ summary: EventSummary, clockOffset: Instant.Span) {
        guard let account = summary.event.account else { return nil }
        let isOfOne = summary.shared.contains(.packet)
        ending = summary.shared.contains(.cause) ? account.ending : nil
        timeout = summary.shared.contains(.cause) ? account.timeout?.setting : nil
        times =
            isOfOne
            ? (
                account.ofResponder.packets > 0, account.opened.nanoseconds &+ clockOffset.nanoseconds,
                account.lastPacket.nanoseconds &+ clockOffset.nanoseconds
            ) : nil
        ofOriginator = account.ofOriginator
        ofResponder = account.ofResponder
        count = summary.count
    }

    /// From its first packet to its last, in nanoseconds.
    package var duration: Int64? { times.map { max(0, $0.lastPacket &- $0.opened) } }
    /// As far apart as the two are in milliseconds, each rounded down.
    var durationMilliseconds: UInt64? {
        times.map { UInt64(max(0, $0.lastPacket / 1_000_000 - $0.opened / 1_000_000)) }
    }
    package var bytes: UInt64 { ofOriginator.bytes &+ ofResponder.bytes }
    package var packets: UInt64 { ofOriginator.packets &+ ofResponder.packets }

    /// "fin after 1.204 s: 5 packets (420 bytes) there, 4 (800) back".
    var note: String {
        let how = [ending?.words, timeout.map { "(\($0))" }].compactMap { $0 }.joined(separator: " ")
        let time = duration.map { " after \(seconds($0)) s" } ?? ""
        let what = how.isEmpty ? "\(count) connections" : how + time
        return "\(what): \(ofOriginator.packets) packets (\(ofOriginator.bytes) bytes) there, "
            + "\(ofResponder.packets) (\(ofResponder.bytes)) back"
    }

    private func seconds(_ nanoseconds: Int64) -> String {
        let milliseconds = nanoseconds / 1_000_000
        let rest = String(milliseconds % 1000)
        return "\(milliseconds / 1000)." + String(repeating: "0", count: 3 - rest.count) + rest
    }
}

extension ConnectionEnding {
    /// As events say it.
    package var text: String {
        switch self {
        case .fin: "fin"
        case .resetByOriginator: "reset-by-originator"
        case .resetByResponder: "reset-by-responder"
        case .idle: "idle"
        case .policy: "policy"
        case .evicted: "evicted"
        case .limit: "limit"
        case .agent: "agent"
        case .replaced: "replaced"
        }
    }

    fileprivate var words: String {
        switch self {
        case .resetByOriginator: "reset by originator"
        case .resetByResponder: "reset by responder"
        default: text
        }
    }

    /// One of the two has said that it is done.
    var isReset: Bool { self == .resetByOriginator || self == .resetByResponder }
}
