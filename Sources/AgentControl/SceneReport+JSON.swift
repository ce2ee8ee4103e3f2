// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire

extension SceneReport {
    var members: [JSONValue.Member] {
        [
            .init("policy_epoch", .count(policyEpoch)), .init("policy", .text(policyPath)),
            .init("interfaces", .list(interfaces.map(\.json))),
            .init("now", .integer(now)), .init("started", .integer(started)), .init("booted", .integer(booted)),
            .init("unseen_at", unseenAt.map { .integer($0) } ?? .null),
            .init("generation", .count(generation)), .init("schedules", .text(String(schedules, radix: 16))),
            .init("connections", .texts(connections.map(\.hexText))),
            .init("acknowledgements", .texts(acknowledgements.map(\.text))),
            .init("forgotten", .texts(forgotten.map(\.hexText))),
            .init("full", .texts(full.map(\.word))), .init("lacks_memory", .bool(lacksMemory)),
            .init("memory_limit", memoryLimit.map { .count($0) } ?? .null),
            .init("block", block.map(\.json) ?? .null),
            .init("cookies", cookies.json),
            .init("rates", .list(rates.map(\.json))),
            .init("computers", .list(computers.map(\.json))), .init("announced", .texts(announced.map(\.word))),
            .init("own", .texts(own.map(\.description))), .init("link_local", .list(linkLocal.map(\.json))),
            .init("broadcasts", .texts(broadcasts.map(\.description))),
            .init("listening_tcp", .list(listeningTCP.map { .count($0) })),
            .init("listening_udp", .list(listeningUDP.map { .count($0) })),
            .init("knows_listening_tcp", .bool(knowsListeningTCP)),
            .init("routes", .list(routes.map(\.json))),
            .init("unit_marks", .list(unitMarks.map(\.json))),
        ]
    }

    init(_ reader: MessageReader) throws(ControlFailure) {
        policyEpoch = try reader.integer("policy_epoch")
        policyPath = try reader.text("policy")
        interfaces = try reader.list("interfaces", Interface.init)
        now = try reader.integer("now")
        started = try reader.integer("started")
        booted = try reader.integer("booted")
        unseenAt = try reader.optional("unseen_at") { name throws(ControlFailure) in try reader.integer(name) }
        generation = try reader.integer("generation")
        schedules = try reader.word("schedules") { UInt64($0, radix: 16) }
        connections = try reader.words("connections") { [UInt8](hexText: $0) }
        acknowledgements = try reader.words("acknowledgements", [UInt32].init(text:))
        forgotten = try reader.words("forgotten") { [UInt8](hexText: $0) }
        full = try reader.words("full", TrackedProtocol.init(word:))
        lacksMemory = try reader.bool("lacks_memory")
        memoryLimit = try reader.optional("memory_limit") { name throws(ControlFailure) in try reader.integer(name) }
        block = try reader.optional("block") { name throws(ControlFailure) in try Block(reader.object(name)) }
        cookies = try Cookies(reader.object("cookies"))
        rates = try reader.list("rates", RateStanding.init)
        computers = try reader.list("computers", ComputerStanding.init)
        announced = try reader.words("announced", Direction.init(word:))
        own = try reader.words("own") { IPAddress(parsing: $0) }
        linkLocal = try reader.list("link_local", LinkAddress.init)
        broadcasts = try reader.words("broadcasts") { IPAddress(parsing: $0) }
        listeningTCP = try reader.integers("listening_tcp")
        listeningUDP = try reader.integers("listening_udp")
        knowsListeningTCP = try reader.bool("knows_listening_tcp")
        routes = try reader.list("routes", ReversePaths.Route.init)
        unitMarks = try reader.list("unit_marks", UnitMark.init)
    }
}

extension SceneReport.Block {
    fileprivate var json: JSONValue {
        [
            "address": .text(source.address.description), "version": .count(source.version), "until": .integer(until),
            "scanner": .bool(isOfScanner),
        ]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        self.init(
            source: BlockedAddress(try reader.address("address"), version: try reader.integer("version")),
            until: try reader.integer("until"), isOfScanner: try reader.bool("scanner"))
    }
}

extension SceneReport.Interface {
    fileprivate var json: JSONValue {
        ["index": .count(index), "name": .text(name), "loopback": .bool(isLoopback)]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        self.init(
            index: try reader.integer("index"), name: try reader.text("name"), isLoopback: try reader.bool("loopback"))
    }
}

extension ComputerStanding {
    fileprivate var json: JSONValue {
        [
            "address": .text(address.description), "version": .count(version), "incoming": .count(incoming),
            "outgoing": .count(outgoing), "half_open": .count(halfOpen),
        ]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        self.init(
            address: try reader.address("address"), version: try reader.integer("version"),
            incoming: try reader.integer("incoming"), outgoing: try reader.integer("outgoing"),
            halfOpen: try reader.integer("half_open"))
    }
}

extension RateStanding {
    fileprivate var json: JSONValue {
        [
            "rule": .text(String(rule, radix: 16)), "address": .text(source.description), "version": .count(version),
            "full": .integer(full.nanoseconds), "digest": .text(String(digest, radix: 16)),
        ]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        self.init(
            rule: try reader.word("rule") { UInt64($0, radix: 16) }, source: try reader.address("address"),
            version: try reader.integer("version"), full: Instant(nanoseconds: try reader.integer("full")),
            digest: try reader.word("digest") { UInt64($0, radix: 16) })
    }
}

extension LinkAddress {
    fileprivate var json: JSONValue { ["address": .text(address.description), "interface": .count(interface)] }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        self.init(try reader.address("address"), on: try reader.integer("interface"))
    }
}

extension ReversePaths.Route {
    fileprivate var json: JSONValue {
        [
            "table": .count(table), "first": .text(first.description), "last": .text(last.description),
            "interface": .count(interface),
        ]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        self.init(
            table: try reader.integer("table"), first: try reader.address("first"), last: try reader.address("last"),
            interface: try reader.integer("interface"))
    }
}

extension UnitMark {
    fileprivate var json: JSONValue { ["unit": .text(unit), "bit": .count(bit)] }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        self.init(unit: try reader.text("unit"), bit: try reader.integer("bit"))
    }
}

extension TrackedProtocol {
    fileprivate var word: String {
        switch self {
        case .tcp: "tcp"
        case .udp: "udp"
        case .icmp: "icmp"
        }
    }

    fileprivate init?(word: String) {
        guard let kind = TrackedProtocol.allCases.first(where: { $0.word == word }) else { return nil }
        self = kind
    }
}

extension MessageReader {
    /// A list of texts, each of which `value` knows.
    fileprivate func words<Value>(_ name: String, _ value: (String) -> Value?) throws(ControlFailure) -> [Value] {
        var values: [Value] = []
        for text in try texts(name) {
            guard let known = value(text) else {
                throw ControlFailure(.malformed, "member \"\(name)\": \"\(text.prefix(80))\" is unknown")
            }
            values.append(known)
        }
        return values
    }

    fileprivate func integers<Number: FixedWidthInteger>(_ name: String) throws(ControlFailure) -> [Number] {
        var numbers: [Number] = []
        for value in try list(name) {
            guard let number = value.asInteger.flatMap({ Number(exactly: $0) }) else {
                throw ControlFailure(.malformed, "member \"\(name)\": expected integers up to \(Number.max)")
            }
            numbers.append(number)
        }
        return numbers
    }
}

extension [UInt32] {
    fileprivate var text: String { map { String($0) }.joined(separator: " ") }

    fileprivate init?(text: String) {
        let numbers = text.split(separator: " ").map { UInt32($0) }
        self = numbers.compactMap { $0 }
        guard count == numbers.count else { return nil }
    }
}

extension [UInt8] {
    private static let digits = Array("0123456789abcdef".utf8)

    /// Two digits for each byte.
    var hexText: String {
        String(decoding: flatMap { [Self.digits[Int($0 >> 4)], Self.digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    init?(hexText: String) {
        let digits = Array(hexText.utf8)
        guard digits.count.isMultiple(of: 2) else { return nil }
        self = []
        reserveCapacity(digits.count / 2)
        for place in stride(from: 0, to: digits.count, by: 2) {
            guard let high = Self.digits.firstIndex(of: digits[place]),
                let low = Self.digits.firstIndex(of: digits[place + 1])
            else { return nil }
            append(UInt8(high << 4 | low))
        }
    }
}
