// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import PacketWire
import PathProbe

/// Which ports a scan probes, and how.
struct ProbeOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: ArgumentHelp("TCP ports, such as 1-1024,3389.", valueName: "ports"))
    var tcp: String?

    @Option(name: .shortAndLong, help: ArgumentHelp("UDP ports.", valueName: "ports"))
    var udp: String?

    @Flag(name: [.customShort("4"), .customLong("ipv4")], help: "IPv4 only.")
    var isIPv4 = false

    @Flag(name: [.customShort("6"), .customLong("ipv6")], help: "IPv6 only.")
    var isIPv6 = false

    @Option(help: ArgumentHelp("Send from this address.", valueName: "address"))
    var source: String?

    @Option(
        name: [.customShort("i"), .customLong("timeout")],
        help: ArgumentHelp("How long each phase of a probe may take.", valueName: "ms"))
    var timeout = 5_000

    @Option(help: ArgumentHelp("Bytes of the payload, 48 to 65507.", valueName: "bytes"))
    var size = ProbePayload.minimumBytes

    @Option(
        help: ArgumentHelp(
            "Probe each TCP port once more for each of these times, silent for so long after the handshake: whether a device on the way "
                + "has forgotten the connection.", valueName: "10s,5m,…"))
    var idle: String?

    @Flag(
        help: ArgumentHelp(
            "Look for the largest packet that reaches the first UDP port, for the largest answer that comes back, and for black holes.",
            discussion: "No packet may be taken apart; that a device does so all the same is not noticed."))
    var mtu = false

    @Option(help: ArgumentHelp("Differentiated services code point of the probes, 0 to 63.", valueName: "number"))
    var dscp: UInt8 = 0

    @Flag(help: "Send datagrams as ones whose ends take part in explicit congestion notification, ECT(0).")
    var ecn = false

    @Option(
        help: ArgumentHelp("What should come of each probe: allow, deny or reject.", valueName: "outcome"),
        completion: .list(["allow", "deny", "reject"]))
    var expect: String?

    var family: HostName.Family { isIPv4 == isIPv6 ? .any : isIPv6 ? .v6 : .v4 }

    func validate() throws {
        guard (1...600_000).contains(timeout) else { throw ValidationError("-i: expected 1 to 600000 milliseconds") }
        guard (ProbePayload.minimumBytes...ProbePayload.maximumBytes).contains(size) else {
            throw ValidationError("--size: expected 48 to 65507 bytes")
        }
        guard dscp < 64 else { throw ValidationError("--dscp: expected 0 to 63") }
        guard expect.map({ Expectation.Kind(rawValue: $0) != nil }) ?? true else {
            throw ValidationError("--expect: found \"\(expect ?? "")\", expected allow, deny or reject")
        }
    }

    func resolve(_ host: String) throws -> Endpoint {
        switch HostName.resolve(host, family) {
        case .success(let endpoint): return endpoint
        case .failure(let reason): throw fail("\(host.harmless): \(reason)", status: .usage)
        }
    }

    /// The ports that were named, at one target.
    func tests(of target: Endpoint, hasReflector: Bool) throws -> [PlannedTest] {
        let origin = try origin(to: target)
        let ecnBits: UInt8 = ecn ? 2 : 0
        let payload: ProbeJob.Payload = hasReflector ? .keyed(length: size) : .none(length: size)
        let tests = try [(Transport.tcp, tcp, "-t"), (.udp, udp, "-u")].compactMap { transport, list, option in
            try list.map {
                var test = PlannedTest(
                    target: target, transport, ports: try ports($0, option), source: origin, payload: payload,
                    deadlines: ProbeDeadlines(.milliseconds(Int64(timeout))),
                    expectation: expect.flatMap(Expectation.Kind.init(rawValue:)).map { Expectation($0) })
                test.trafficClass = dscp << 2 | (transport == .udp ? ecnBits : 0)
                return test
            }
        }
        guard !tests.isEmpty else { throw ValidationError("name ports with -t or -u") }
        return try tests + silentTests(tests, hasReflector: hasReflector)
            + sizedTests(of: target, tests, hasReflector: hasReflector)
    }

    /// Packets of many sizes to the first UDP port, none of which may be taken apart.
    private func sizedTests(
        of target: Endpoint, _ tests: [PlannedTest], hasReflector: Bool
    ) throws -> [PlannedTest] {
        guard mtu else { return [] }
        guard size <= 1_232 else {
            throw ValidationError("--mtu: --size is to fit into every packet, 1232 bytes at most")
        }
        guard hasReflector else { throw ValidationError("--mtu: without a reflector nobody says what arrived whole") }
        guard var test = tests.first(where: { $0.transport == .udp }), let port = test.ports.ports.first else {
            throw ValidationError("--mtu: name a UDP port with -u")
        }
        test.ports = PortSet(ports: [port])
        test.expectation = nil
        return PathMTU.sizes(isIPv6: target.isIPv6).map { size in
            test.name = "size \(size)"
            test.packetSize = size
            test.payload = .keyed(length: PathMTU.payload(of: size, isIPv6: target.isIPv6))
            return test
        }
    }

    /// The same connections, silent at first.
    private func silentTests(_ tests: [PlannedTest], hasReflector: Bool) throws -> [PlannedTest] {
        guard let idle else { return [] }
        guard hasReflector else {
            throw ValidationError("--idle: without a reflector nobody answers after the silence")
        }
        let connections = tests.filter { $0.transport == .tcp }
        guard !connections.isEmpty else { throw ValidationError("--idle: name TCP ports with -t") }
        return try idle.split(separator: ",", omittingEmptySubsequences: false).flatMap { word in
            guard let seconds = LengthOfTime.seconds(String(word)), (1...55 * 60).contains(seconds) else {
                throw ValidationError("--idle: found \"\(word)\", expected times up to 55m such as 10s,5m")
            }
            return connections.map {
                var test = $0
                test.name = "idle \(word)"
                test.deadlines.rest = .seconds(seconds)
                return test
            }
        }
    }

    /// The address of --source.
    func origin(to target: Endpoint) throws -> Endpoint? {
        guard let source else { return nil }
        guard let address = Endpoint(address: source), address.isIPv6 == target.isIPv6 else {
            throw ValidationError("--source: found \"\(source)\", expected an address of the target's family")
        }
        return address
    }

    private func ports(_ list: String, _ option: String) throws -> PortSet {
        do throws(PortSet.Fault) {
            return try PortSet(parsing: list)
        } catch {
            throw ValidationError("\(option): \(error)")
        }
    }
}

/// How fast a scan goes.
struct PaceOptions: ParsableArguments {
    @Option(help: ArgumentHelp("TCP probes at a time.", valueName: "count"))
    var parallel = 64

    @Flag(help: "One TCP probe at a time, in the order of the ports.")
    var sequential = false

    @Option(help: ArgumentHelp("Datagrams in a second.", valueName: "count"))
    var udpRate = 50

    @Option(help: ArgumentHelp("How often a probe that nothing answered is repeated, at the end.", valueName: "count"))
    var retries = 1

    @Option(help: ArgumentHelp("The order of the probes: a number that an earlier scan printed.", valueName: "number"))
    var seed: UInt64 = 0

    @Flag(help: "Look for the hop that blocks, by the hop limit, for the first 16 probes that fail; takes no rights.")
    var locate = false

    @Option(help: ArgumentHelp("Ports to send from.", valueName: "first-last"))
    var sourcePorts: String?

    func options() throws -> ScanOptions {
        guard (1...16_384).contains(parallel) else { throw ValidationError("--parallel: expected 1 to 16384") }
        guard (1...1_000_000).contains(udpRate) else { throw ValidationError("--udp-rate: expected 1 to 1000000") }
        guard (0...3).contains(retries) else { throw ValidationError("--retries: expected 0 to 3") }
        var options = ScanOptions()
        options.parallel = sequential ? 1 : parallel
        options.isOrdered = sequential
        options.datagramsPerSecond = udpRate
        options.retries = retries
        options.isLocating = locate
        options.seed = seed
        if let sourcePorts {
            guard let set = try? PortSet(parsing: sourcePorts), set.ranges.count == 1 else {
                throw ValidationError("--source-ports: found \"\(sourcePorts)\", expected a range such as 50000-50999")
            }
            options.sourcePorts = set.ranges[0]
        }
        return options
    }
}
