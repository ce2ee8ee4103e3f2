// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire
package import PolicyFile

/// A plan: YAML like the policy's, read by the same reader, with everything that is wrong said at its place.
package struct PlanFile: Sendable {
    /// "host[:port]" of the control channel, where the plan names one.
    package var reflector: String?
    package var tests: [PlannedEntry] = []
    /// The bytes of the file: offline, both sides must have the same.
    package var text: [UInt8] = []

    package static let maximumSize = 4 << 20

    /// A plan, and what was noticed on the way. There is none if any diagnostic is an error.
    package struct Outcome: Sendable {
        package var plan: PlanFile?
        package var diagnostics: [Diagnostic]
    }

    package static func read(_ path: String) -> Outcome {
        do throws(FileFault) {
            return parse(name: path, try readFile(path, atMost: maximumSize), in: directory(of: path))
        } catch {
            let fault = Diagnostic.wholeFile(path, .error, found: error.reason, expected: "a readable plan")
            return Outcome(plan: nil, diagnostics: [fault])
        }
    }

    /// Reads a text as a plan. Payload files are looked for in `directory` and read by `reading`.
    package static func parse(
        name: String, _ text: [UInt8], in directory: String = "",
        reading: @escaping @Sendable (String) throws(FileFault) -> [UInt8] = { path throws(FileFault) in
            try readFile(path, atMost: PayloadScript.maximumBytes)
        }
    ) -> Outcome {
        var sink = DiagnosticSink(sources: [SourceText(name: name, bytes: text)])
        var reader = PlanReader(directory: directory, reading: reading)
        if let root = YAMLComposer.compose(0, reportingTo: &sink) {
            reader.read(root, &sink)
        } else if sink.errorCount == 0 {
            sink.error(
                at: SourcePlace(source: 0, offset: 0), found: "an empty file", expected: PlanReader.expectedVersion)
        }
        reader.plan.text = text
        return Outcome(plan: sink.errorCount == 0 ? reader.plan : nil, diagnostics: sink.sorted())
    }

    private static func directory(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    }
}

/// One entry of `tests`: names of hosts are not looked up yet.
package struct PlannedEntry: Sendable {
    package var name: String?
    package var targets: [String] = []
    package var transports: [Transport] = []
    package var ports = PortSet()
    /// 4 or 6, for targets that are names.
    package var family: Int?
    package var source: Endpoint?
    /// For each protocol: a script must be playable over it.
    package var payloads: [Transport: ProbeJob.Payload] = [:]
    package var timeout: Instant.Span?
    package var expectation: Expectation?
}
