// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import PacketWire
import PathProbe
import PolicyFile

/// The plan of a scan or of a reflector that works offline.
enum PlannedFile {
    /// The plan, or the end of the program with everything that is wrong with it.
    static func load(_ path: String) throws -> PlanFile {
        let isInput = path == StandardInput.name
        let outcome =
            isInput ? PlanFile.parse(name: StandardInput.title, StandardInput.bytes) : PlanFile.read(path)
        for diagnostic in outcome.diagnostics { complain(diagnostic.rendered()) }
        guard let plan = outcome.plan else { throw ExitStatus.usage.exit }
        return plan
    }

    /// Its tests, one for each target and protocol. The options stand for what the plan leaves open. Names are looked up, unless
    /// nothing is to be sent.
    static func tests(of plan: PlanFile, _ options: ProbeOptions, resolving: Bool = true) throws -> [PlannedTest] {
        var tests: [PlannedTest] = []
        for entry in plan.tests {
            for target in entry.targets {
                if !resolving, Endpoint(address: target) == nil {
                    tests += self.tests(of: entry, at: .any(isIPv6: entry.family == 6), named: target, options)
                } else {
                    tests += self.tests(of: entry, at: try resolve(target, entry, options), named: nil, options)
                }
            }
        }
        return tests
    }

    private static func tests(
        of entry: PlannedEntry, at address: Endpoint, named host: String?, _ options: ProbeOptions
    ) -> [PlannedTest] {
        entry.transports.compactMap { transport in
            entry.payloads[transport].map { payload in
                var test = PlannedTest(
                    name: entry.name, target: address, transport, ports: entry.ports, source: entry.source,
                    payload: payload,
                    deadlines: ProbeDeadlines(entry.timeout ?? .milliseconds(Int64(options.timeout))),
                    expectation: entry.expectation)
                test.host = host
                return test
            }
        }
    }

    /// Nil where there is a control channel. Without one a payload of one's own is played only with addresses that the plan names:
    /// nothing else tells the reflector who may play it.
    static func sessions(of plan: PlanFile, _ key: String?, _ isOffline: Bool) throws -> OfflineSessions? {
        guard isOffline, let key else { return nil }
        for entry in plan.tests where entry.source == nil && !entry.payloads.values.allSatisfy(\.isKeyed) {
            throw fail(
                "\(entry.name ?? entry.targets.joined(separator: ", ")): found a payload without a source, expected source: "
                    + "and the address that probes come from, because the reflector is offline", status: .usage)
        }
        do throws(KeyFile.Fault) {
            return OfflineSessions(try KeyFile.read(key), plan: plan.text)
        } catch {
            throw fail("\(error)", status: .usage)
        }
    }

    private static func resolve(_ target: String, _ entry: PlannedEntry, _ options: ProbeOptions) throws -> Endpoint {
        let family: HostName.Family = entry.family.map { $0 == 6 ? .v6 : .v4 } ?? options.family
        let address: Endpoint
        switch HostName.resolve(target, family) {
        case .success(let endpoint): address = endpoint
        case .failure(let reason): throw fail("\(target.harmless): \(reason)", status: .usage)
        }
        if let source = entry.source, source.isIPv6 != address.isIPv6 {
            throw fail(
                "\(entry.name ?? target): found the source \(source.host) for the target \(address.host), expected "
                    + "addresses of one family", status: .usage)
        }
        return address
    }
}
