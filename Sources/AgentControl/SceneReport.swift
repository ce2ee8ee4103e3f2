// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallEngine
package import FirewallPolicy
package import PacketWire

/// What judging one packet would read of the present, beside the policy: for an engine of the tool's own.
package struct SceneReport: Hashable, Sendable {
    /// Of the policy in force, and the file by which it is known.
    package var policyEpoch: UInt32
    package var policyPath: String
    /// The packet's interface, where there is one of that name, and those by which its connections were opened.
    package var interfaces: [Interface] = []
    /// Nanoseconds on the agent's clock, as all times here.
    package var now: Int64
    package var started: Int64
    package var booted: Int64
    package var unseenAt: Int64?
    package var generation: UInt32
    /// A bit for each schedule of the policy that holds now.
    package var schedules: UInt64
    /// Whole records (`ConnectionRecord.whole`).
    package var connections: [[UInt8]]
    /// The numbers of each of them (`ConnectionACKs.numbers`).
    package var acknowledgements: [[UInt32]]
    package var forgotten: [[UInt8]]
    package var full: [TrackedProtocol]
    package var lacksMemory: Bool
    package var memoryLimit: UInt64?
    package var block: Block?
    package var cookies: Cookies
    package var computers: [ComputerStanding]
    package var rates: [RateStanding]
    package var announced: [Direction]
    package var own: [IPAddress]
    package var linkLocal: [LinkAddress]
    package var broadcasts: [IPAddress]
    package var listeningTCP: [UInt16]
    package var listeningUDP: [UInt16]
    package var knowsListeningTCP: Bool
    package var routes: [ReversePaths.Route]
    package var unitMarks: [UnitMark]

    /// Of the packet's source.
    package struct Block: Hashable, Sendable {
        package var source: BlockedAddress
        package var until: Int64
        package var isOfScanner: Bool

        init(source: BlockedAddress, until: Int64, isOfScanner: Bool) {
            self.source = source
            self.until = until
            self.isOfScanner = isOfScanner
        }

        init(_ block: SourceBlock) {
            self.init(source: block.source, until: block.until.nanoseconds, isOfScanner: block.isOfScanner)
        }

        var block: SourceBlock {
            SourceBlock(source, until: Instant(nanoseconds: until), isOfScanner: isOfScanner)
        }
    }

    package struct Interface: Hashable, Sendable {
        package var index: UInt32
        package var name: String
        package var isLoopback: Bool

        package init(index: UInt32, name: String, isLoopback: Bool) {
            self.index = index
            self.name = name
            self.isLoopback = isLoopback
        }
    }

    package init(policyEpoch: UInt32, policyPath: String, _ told: Circumstances) {
        self.policyEpoch = policyEpoch
        self.policyPath = policyPath
        now = told.now.nanoseconds
        started = told.clock.agentStarted.nanoseconds
        booted = told.clock.kernelBooted.nanoseconds
        unseenAt = told.unseenAt?.nanoseconds
        generation = told.generation
        schedules = told.activeSchedules
        connections = told.connections.map { ConnectionRecord.whole($0) }
        acknowledgements = told.acknowledgements.map(\.numbers)
        forgotten = told.forgotten.map { ConnectionRecord.whole($0) }
        full = told.full
        lacksMemory = told.lacksMemory
        memoryLimit = told.memoryLimit
        block = told.block.map { Block($0) }
        cookies = Cookies(told.cookies)
        computers = told.computers
        rates = told.rates
        announced = told.announced
        own = told.own
        linkLocal = told.linkLocal
        broadcasts = told.broadcasts
        listeningTCP = told.listeningTCP
        listeningUDP = told.listeningUDP
        knowsListeningTCP = told.knowsListeningTCP
        routes = told.routes
        unitMarks = told.unitMarks
    }
}

extension SceneReport {
    /// No clock of a kernel goes further: 146 years.
    private static let times = 0...(Int64.max / 2)

    /// For an engine.
    ///
    /// - Throws: where records or times are none that an agent can have.
    package func circumstances() throws(ControlFailure) -> Circumstances {
        let instants = [now, started, booted, unseenAt ?? 0, block?.until ?? 0] + rates.map(\.full.nanoseconds)
        guard instants.allSatisfy({ Self.times.contains($0) }), started <= now else {
            throw ControlFailure(.malformed, "times that no clock shows")
        }
        let present = Instant(nanoseconds: now)
        var told = Circumstances(
            now: present,
            clock: EngineClock(
                agentStarted: Instant(nanoseconds: started), kernelBooted: Instant(nanoseconds: booted)))
        told.unseenAt = unseenAt.map { Instant(nanoseconds: $0) }
        told.generation = generation
        told.activeSchedules = schedules
        told.connections = try Self.decoded(connections, at: present)
        told.forgotten = try Self.decoded(forgotten, at: present)
        told.acknowledgements = try acknowledgements.map { numbers throws(ControlFailure) in
            guard let counted = ConnectionACKs(numbers: numbers) else {
                throw ControlFailure(.malformed, "acknowledgements that nobody has counted")
            }
            return counted
        }
        told.full = full
        told.lacksMemory = lacksMemory
        told.memoryLimit = memoryLimit
        told.block = block?.block
        told.cookies = try cookies.circumstances(at: present)
        told.computers = computers
        told.rates = rates
        told.announced = announced
        told.own = own
        told.linkLocal = linkLocal
        told.broadcasts = broadcasts
        told.listeningTCP = listeningTCP
        told.listeningUDP = listeningUDP
        told.knowsListeningTCP = knowsListeningTCP
        told.routes = routes
        told.unitMarks = unitMarks
        return told
    }

    static func decoded(_ records: [[UInt8]], at now: Instant) throws(ControlFailure) -> [Connection] {
        var connections: [Connection] = []
        for record in records {
            guard let connection = unsafe ConnectionRecord.decodeWhole(record.span.bytes, now: now) else {
                throw ControlFailure(.malformed, "a record that describes no connection")
            }
            connections.append(connection)
        }
        return connections
    }
}
