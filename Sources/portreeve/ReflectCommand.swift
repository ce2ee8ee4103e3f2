// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import CServiceShim
import Glibc
import PacketWire
import PathProbe

struct ReflectCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "reflect", abstract: "Answer the probes of `portreeve scan`.",
        discussion: discussion(
            """
            Waits for a scan that has the key, listens on the ports that it asks for, answers its probes and nothing else, \
            and says what it saw. The ports are closed when the scan's control connection ends, when it was silent for a \
            minute, or after the time of --lease. Whatever does not authenticate gets not one byte, and no answer is longer \
            than its request. An ordinary user can run it; ports below 1024 then are refused, one by one, and the rest goes on.

            Run with the right to open packet sockets (CAP_NET_RAW) it tells whether the SYN of a connection arrived at this \
            host; without it scans say "direction unknown" where that is the question.

            A connection that says nothing is closed after 30 seconds, at a port that a scan with --idle probes after 30 seconds and \
            its longest silence, and at the end of the lease in any case: until it speaks, nothing tells the scan's own connection \
            from another. One scan has 4,096 connections at a time at most; what comes beyond is closed at once, counted, and makes \
            the scan call its silences unreliable.

            With --stdio it serves one scan on its standard input and output, as `portreeve scan --control-via ssh` starts it.
            """))

    static let examples = [
        Example("portreeve reflect --new-key reflect.key", "A key, for both ends."),
        Example("portreeve reflect --listen any --key reflect.key", "Wait for scans on all addresses."),
        Example(
            "portreeve reflect --listen any --key reflect.key --agent",
            "Let scans know which rule of this host's policy dropped their probes."),
        Example("portreeve reflect --print-rules policy -t 8000-8009", "The rules that let a scan in here."),
    ]

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "An address of this host where probes are awaited, or any. Repeatable.", valueName: "address"))
    var listen: [String] = []

    @Option(help: ArgumentHelp("The port of the control channel, on the same addresses.", valueName: "port"))
    var controlPort = Reflector.defaultControlPort

    @Option(help: ArgumentHelp("The file of the pre-shared key.", valueName: "file"), completion: .file())
    var key: String?

    @Flag(help: "Serve one scan on standard input and output, which are trusted.")
    var stdio = false

    @Flag(help: "Without a control channel: listen on the ports of --plan, for scans that have it and the key.")
    var offline = false

    @Option(
        help: ArgumentHelp("With --offline: the plan, the same file as the scan's.", valueName: "file"),
        completion: .file())
    var plan: String?

    @Option(help: ArgumentHelp("Who may ask for a lease: an address or prefix. Repeatable.", valueName: "prefix"))
    var allow: [String] = []

    @Option(help: ArgumentHelp("Ports that one scan may have.", valueName: "count"))
    var maxPorts = ReflectorLimits().probes

    @Option(help: ArgumentHelp("Scans at a time.", valueName: "count"))
    var maxScans = ReflectorLimits().leases

    @Option(help: ArgumentHelp("After how long a scan's ports are closed in any case.", valueName: "seconds"))
    var lease = 3_600

    @Option(help: ArgumentHelp("After how long a scan that says nothing has lost its ports.", valueName: "seconds"))
    var silence = 60

    @Flag(
        help:
            "Tell scans what the Portreeve agent on this host did to their own packets: reason, rule, and where the rule stands."
    )
    var agent = false

    @OptionGroup var control: ControlOptions

    @Flag(
        help: "With --print-rules: print a JSON object. What an offline reflector saw is printed as such in any case.")
    var json = false

    @Option(help: "Print the rules that let a scan's ports (-t, -u) and the control channel in, and end.")
    var printRules: ReflectRules.Form?

    @Option(name: .shortAndLong, help: ArgumentHelp("With --print-rules: TCP ports.", valueName: "ports"))
    var tcp: String?

    @Option(name: .shortAndLong, help: ArgumentHelp("With --print-rules: UDP ports.", valueName: "ports"))
    var udp: String?

    @Option(help: ArgumentHelp("Write a new key to a file, and end.", valueName: "file"), completion: .file())
    var newKey: String?

    func validate() throws {
        guard newKey == nil, printRules == nil else { return }
        guard !listen.isEmpty else {
            throw ValidationError("--listen: name the addresses where probes are awaited, or any")
        }
        guard stdio != (key != nil) else {
            throw ValidationError("either --key FILE for scans over the network, or --stdio for one that is trusted")
        }
        guard offline == (plan != nil), !offline || !stdio else {
            throw ValidationError("--offline and --plan go together")
        }
        guard (1...86_400).contains(lease), (1...86_400).contains(silence) else {
            throw ValidationError("--lease, --silence: expected 1 to 86400 seconds")
        }
        guard (1...1_048_576).contains(maxPorts), (1...1_024).contains(maxScans), controlPort > 0 else {
            throw ValidationError("expected --max-ports up to 1048576, --max-scans up to 1024, --control-port above 0")
        }
    }

    func run() throws {
        do {
            if let printRules { return show(try rules().text(printRules), printRules) }
            if let newKey { return try KeyFile.create(newKey) }
            let reflector = try Reflector(try options(), agent: openAgent) { complain($0.harmless) }
            if offline { return try serveOffline(reflector) }
            if stdio {
                try reflector.serve(input: STDIN_FILENO, output: STDOUT_FILENO)
            } else {
                try listen(reflector)
                Self.tellManager()
            }
            try reflector.run()
        } catch let fault as KeyFile.Fault {
            throw fail("\(fault)")
        } catch let fault as SystemFault {
            throw fail("\(fault)")
        }
    }

    private func show(_ rules: String, _ form: ReflectRules.Form) {
        guard json else { return print(rules, terminator: "") }
        let value: JSONValue = ["v": .integer(1), "form": .text(form.rawValue), "rules": .text(rules)]
        print(value.printed)
    }

    /// The agent from now on, for one scan; nil where scans are not to know, or it cannot be asked, which is said.
    private func openAgent() -> (any DropSource)? {
        guard agent else { return nil }
        do throws(AgentEvents.Absence) {
            return try AgentEvents(control, .there)
        } catch {
            switch error {
            case .notRunning: complain("--agent: there is no agent at \(control.path)")
            case .silent(let reason): complain("--agent: \(reason)")
            }
            return nil
        }
    }

    private func rules() throws -> ReflectRules {
        func ports(_ list: String?, _ option: String) throws -> PortSet {
            do throws(PortSet.Fault) {
                return try list.map { list throws(PortSet.Fault) in try PortSet(parsing: list) } ?? PortSet()
            } catch {
                throw ValidationError("\(option): \(error)")
            }
        }
        return ReflectRules(
            controlPort: controlPort, tcp: try ports(tcp, "-t"), udp: try ports(udp, "-u"), sources: allow)
    }

    /// Says at the end what arrived.
    private func serveOffline(_ reflector: Reflector) throws {
        guard let plan else { return }
        let file = try PlannedFile.load(plan)
        guard let sessions = try PlannedFile.sessions(of: file, key, true) else { return }
        let tests = ScanPlan(try PlannedFile.tests(of: file, ProbeOptions.parse([])))
        for port in reflector.serve(tests, sessions) { complain("port \(port.port): \(port.reason)") }
        try reflector.run()
        for line in reflector.offlineRecords { print(line) }
    }

    /// Every address that was named must do; of `any`, one family.
    private func listen(_ reflector: Reflector) throws {
        var count = 0
        for address in try addresses() {
            let endpoint = address.with(port: controlPort)
            do throws(SystemFault) {
                try reflector.listen(endpoint)
                count += 1
                complain("\(endpoint): awaiting scans")
            } catch {
                if address.isAny && ["EAFNOSUPPORT", "EADDRNOTAVAIL"].contains(error.name) { continue }
                throw fail("\(endpoint): \(error)")
            }
        }
        guard count > 0 else { throw fail("this host has neither IPv4 nor IPv6") }
    }

    /// Whoever waits for the service to be started may scan now (sd_notify(3)).
    private static func tellManager() {
        guard let address = unsafe getenv("NOTIFY_SOCKET") else { return }
        let message = Array("READY=1".utf8)
        _ = unsafe cservice_send(address, message, message.count, nil, 0)
    }

    private func addresses() throws -> [Endpoint] {
        try listen.flatMap { text -> [Endpoint] in
            if text == "any" { return [.any(isIPv6: false), .any(isIPv6: true)] }
            guard let endpoint = Endpoint(address: text) else {
                throw ValidationError("--listen: found \"\(text)\", expected an address of this host, or any")
            }
            return [endpoint]
        }
    }

    private func options() throws -> ReflectorOptions {
        var options = ReflectorOptions(addresses: try addresses(), key: try key.map { try KeyFile.read($0) })
        options.peers = try allow.map { text in
            guard let prefix = AddressPrefix(parsing: text) else {
                throw ValidationError(
                    "--allow: found \"\(text)\", expected an address or a prefix such as 192.0.2.0/24")
            }
            return prefix
        }
        options.limits.probes = maxPorts
        options.limits.leases = maxScans
        options.limits.lease = .seconds(Int64(lease))
        options.limits.silence = .seconds(Int64(silence))
        return options
    }
}
