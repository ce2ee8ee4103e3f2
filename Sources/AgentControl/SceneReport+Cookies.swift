// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
import FirewallEngine
import PacketWire

extension SceneReport {
    /// Of openings without entries (`CookieCircumstances`).
    package struct Cookies: Hashable, Sendable {
        package var hasSYNCookies = false
        package var halfOpen: UInt32 = 0
        package var listeners: [ListenerStanding] = []
        package var waiting: Waiting?
        package var lacksRoomToWait = false
        package var unanswered: UnansweredSYNs.Standing?

        /// An ACK that has passed; its connection as a whole record.
        package struct Waiting: Hashable, Sendable {
            package var connection: [UInt8]
            package var acknowledged: UInt32
            package var lastAcknowledged: UInt32
        }
    }
}

extension SceneReport.Cookies {
    init(_ told: CookieCircumstances) {
        hasSYNCookies = told.hasSYNCookies
        halfOpen = told.halfOpen
        listeners = told.listeners
        waiting = told.waiting.map {
            Waiting(
                connection: ConnectionRecord.whole($0.connection), acknowledged: $0.acknowledged,
                lastAcknowledged: $0.lastAcknowledged)
        }
        lacksRoomToWait = told.lacksRoomToWait
        unanswered = told.unanswered
    }

    func circumstances(at now: Instant) throws(ControlFailure) -> CookieCircumstances {
        var told = CookieCircumstances()
        told.hasSYNCookies = hasSYNCookies
        told.halfOpen = halfOpen
        told.listeners = listeners
        if let waiting, let connection = try SceneReport.decoded([waiting.connection], at: now).first {
            told.waiting = WaitingACK(
                connection: connection, acknowledged: waiting.acknowledged,
                lastAcknowledged: waiting.lastAcknowledged)
        }
        told.lacksRoomToWait = lacksRoomToWait
        told.unanswered = unanswered
        return told
    }

    var json: JSONValue {
        [
            "sent": .bool(hasSYNCookies), "half_open": .count(halfOpen),
            "listeners": .list(listeners.map(\.json)), "waiting": waiting.map(\.json) ?? .null,
            "lacks_room": .bool(lacksRoomToWait), "unanswered": unanswered.map(\.json) ?? .null,
        ]
    }

    init(_ reader: MessageReader) throws(ControlFailure) {
        hasSYNCookies = try reader.bool("sent")
        halfOpen = try reader.integer("half_open")
        listeners = try reader.list("listeners", ListenerStanding.init)
        waiting = try reader.optional("waiting") { name throws(ControlFailure) in try Waiting(reader.object(name)) }
        lacksRoomToWait = try reader.bool("lacks_room")
        unanswered = try reader.optional("unanswered") { name throws(ControlFailure) in
            try UnansweredSYNs.Standing(reader.object(name))
        }
    }
}

extension SceneReport.Cookies.Waiting {
    fileprivate var json: JSONValue {
        [
            "connection": .text(connection.hexText), "acknowledged": .count(acknowledged),
            "last_acknowledged": .count(lastAcknowledged),
        ]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        self.init(
            connection: try reader.word("connection") { [UInt8](hexText: $0) },
            acknowledged: try reader.integer("acknowledged"),
            lastAcknowledged: try reader.integer("last_acknowledged"))
    }
}

extension UnansweredSYNs.Standing {
    fileprivate var json: JSONValue { ["count": .count(count), "counted": .bool(isCounted)] }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        self.init(count: try reader.integer("count"), isCounted: try reader.bool("counted"))
    }
}

extension ListenerStanding {
    fileprivate var json: JSONValue {
        [
            "address": .text(address.description), "port": .count(port), "version": .count(version),
            "mode": .text(mode.word), "unseen": .bool(isUnseen), "half_open": .count(halfOpen),
        ]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        self.init(
            address: try reader.address("address"), port: try reader.integer("port"),
            version: try reader.integer("version"), mode: try reader.word("mode", ListenerLoads.Mode.init(word:)),
            isUnseen: try reader.bool("unseen"), halfOpen: try reader.integer("half_open"))
    }
}

extension ListenerLoads.Mode {
    fileprivate var word: String {
        switch self {
        case .ordinary: "ordinary"
        case .cookies: "cookies"
        case .lingering: "lingering"
        }
    }

    fileprivate init?(word: String) {
        guard let mode = ListenerLoads.Mode.allCases.first(where: { $0.word == word }) else { return nil }
        self = mode
    }
}
