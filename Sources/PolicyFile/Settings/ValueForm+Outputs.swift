// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

extension ValueForm where Value == EventFormat {
    static let eventFormat = ValueForm.words(["json": .json, "cef": .cef, "leef": .leef, "ecs": .ecs, "ocsf": .ocsf])
}

extension ValueForm where Value == [SyslogSettings] {
    /// `off`, one receiver, or a sequence of several.
    static let syslog = ValueForm(
        expectedReceivers,
        schema: SchemaText.anyOf(
            SchemaText.words(["off"]), receiver.schema,
            "{\"type\":\"array\",\"items\":\(receiver.schema),\"maxItems\":\(SyslogSettings.mostReceivers)}"),
        print: { $0.isEmpty ? "off" : flowSequence($0.map(receiver.print)) },
        read: { node, sink in
            switch node.content {
            case .mapping: return readReceiver(node, &sink).map { [$0] }
            case .sequence(let nodes): return readReceivers(nodes, at: node, &sink)
            default:
                if node.text == "off" { return [] }
                sink.mismatch(node, expected: expectedReceivers)
                return nil
            }
        })
}

extension ValueForm where Value == CaptureSettings? {
    /// `off`, or a mapping with a path.
    static let capture = ValueForm(
        "off, or \(captureFile.expected)", schema: SchemaText.anyOf(SchemaText.words(["off"]), captureFile.schema),
        print: { $0.map(captureFile.print) ?? "off" },
        read: { node, sink in
            if node.text == "off" { return .some(nil) }
            return captureFile.read(node, &sink).map { .some($0) }
        })
}

private let expectedReceivers = "off, \(receiver.expected), or a sequence of these"

private let receiver = MappingForm(
    place: "a receiver of events.syslog",
    expected: "a mapping with a target, such as { target: \"tls://logs.example.org:6514\", format: json }",
    members: [
        Member("target", \SyslogSettings.target, .syslogTarget),
        Member("format", \SyslogSettings.format, .eventFormat),
        Member("facility", \SyslogSettings.facility, .facility),
        Member("severity", \SyslogSettings.severity, .severity),
        Member("app-name", \SyslogSettings.appName, .appName),
        Member("message-size", \SyslogSettings.messageSize, .number(480...65_507, of: "bytes")),
        Member("byte-order-mark", \SyslogSettings.hasByteOrderMark, .flag),
        Member("spool", \SyslogSettings.spool, .size((4 << 20)...(1 << 40), or: "off")),
        Member("budget", \SyslogSettings.budget, .budget),
        Member("tls", \SyslogSettings.tls, .nested(tls)),
    ], start: SyslogSettings(.local(path: "")), needsFirst: true)

private let tls = MappingForm(
    place: "tls of a receiver of events.syslog",
    expected: "a mapping with keys among ca, certificate, key and name",
    members: [
        Member("ca", \SyslogTLS.authorities, .optional(.absolutePath)),
        Member("certificate", \SyslogTLS.certificate, .optional(.absolutePath)),
        Member("key", \SyslogTLS.key, .optional(.absolutePath)),
        Member("name", \SyslogTLS.name, .optional(.hostName)),
    ], start: SyslogTLS(), needsFirst: false,
    more: [#""dependentRequired":{"certificate":["key"],"key":["certificate"]}"#])

private let captureFile = MappingForm(
    place: "events.capture",
    expected: "a mapping with a path, such as { path: /var/log/portreeve/dropped.pcapng, size: 64MiB, files: 4 }",
    members: [
        Member("path", \CaptureSettings.path, .absolutePath),
        Member("size", \CaptureSettings.size, .size((1 << 20)...(1 << 40))),
        Member("files", \CaptureSettings.files, .number(2...999, of: "files")),
        Member("budget", \CaptureSettings.budget, .budget),
    ], start: CaptureSettings(path: ""), needsFirst: true)

private func readReceivers(
    _ nodes: [YAMLNode], at node: YAMLNode, _ sink: inout DiagnosticSink
) -> [SyslogSettings]? {
    guard nodes.count <= SyslogSettings.mostReceivers else {
        sink.error(
            at: node.place, found: "\(nodes.count) receivers", expected: "at most \(SyslogSettings.mostReceivers)")
        return nil
    }
    var receivers: [SyslogSettings] = []
    for node in nodes where sink.hasRoom {
        guard let receiver = readReceiver(node, &sink) else { continue }
        if receivers.contains(where: { $0.target == receiver.target }) {
            sink.error(
                at: node.place, found: "a second receiver at \(receiver.target)", expected: "each target once",
                suggestion: "one of the two is enough")
        } else {
            receivers.append(receiver)
        }
    }
    return receivers.count == nodes.count ? receivers : nil
}

/// With what its keys say of each other.
private func readReceiver(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> SyslogSettings? {
    guard let settings = receiver.read(node, &sink) else { return nil }
    if case .tls = settings.target {
        guard (settings.tls.certificate == nil) == (settings.tls.key == nil) else {
            sink.error(
                at: node.place, found: settings.tls.key == nil ? "a certificate without its key" : "a key alone",
                expected: "tls with certificate and key, or with neither")
            return nil
        }
    } else if settings.tls != SyslogTLS() {
        sink.error(
            at: node.place, found: "tls with the target \(settings.target)", expected: "a target tls://HOST:PORT",
            suggestion: "for TLS write tls:// and the receiver's port for it, 6514 as a rule")
        return nil
    }
    return settings
}
