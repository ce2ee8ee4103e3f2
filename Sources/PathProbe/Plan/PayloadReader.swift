// SPDX-License-Identifier: GPL-3.0-or-later

internal import PolicyFile

/// A payload as a plan writes it, before it is known over what it goes.
enum PlannedPayload: Sendable {
    case keyed(Int)
    case bytes([UInt8])
    case steps([PayloadScript.Step], [SourcePlace])
    /// Reported already.
    case refused

    /// Nil where that was reported.
    func over(_ transport: Transport, at node: YAMLNode, _ sink: inout DiagnosticSink) -> ProbeJob.Payload? {
        switch self {
        case .refused: return nil
        case .keyed(let length): return .keyed(length: length)
        case .bytes(let bytes): return .bytes(bytes)
        case .steps(let steps, let places):
            if transport == .udp, steps.last?.sender == .client, let place = places.last {
                sink.error(
                    at: place, found: "a last message that the client sends, over UDP",
                    expected: "an answer that says that it arrived", suggestion: "end with expect, or use tcp")
                return nil
            }
            do throws(PayloadScript.Fault) {
                return .script(try PayloadScript(steps, over: transport))
            } catch {
                report(error, places, node, &sink)
                return nil
            }
        }
    }

    private func report(
        _ fault: PayloadScript.Fault, _ places: [SourcePlace], _ node: YAMLNode, _ sink: inout DiagnosticSink
    ) {
        switch fault {
        case .empty:
            sink.error(at: node.place, found: "a payload without bytes", expected: "at least one byte in each message")
        case .tooLong:
            sink.error(
                at: node.place, found: "a long sequence",
                expected: "at most \(PayloadScript.maximumSteps) messages and \(PayloadScript.maximumBytes) bytes")
        case .longerAnswer(let step):
            sink.error(
                at: places[step], found: "an answer over UDP that is longer than what asks for it",
                expected: "as many bytes at most: a reflector never amplifies",
                suggestion: "use tcp, or a longer request")
        case .noFirstDatagram:
            sink.error(
                at: places.first ?? node.place, found: "a sequence over UDP in which the reflector begins",
                expected: "a first message that the client sends")
        }
    }
}

/// Reads payloads: `keyed`, `{ keyed: SIZE }`, `{ text: … }`, `{ hex: … }`, `{ file: … }`, or a sequence of `send:` and
/// `expect:`, each with text or one of these mappings.
struct PayloadReader {
    let directory: String
    let reading: @Sendable (String) throws(FileFault) -> [UInt8]

    private static let expected = "keyed, { hex: … }, { text: … }, { file: … }, or a sequence of send and expect"
    private static let size = ValueForm<UInt32>.number(
        UInt32(ProbePayload.minimumBytes)...UInt32(ProbePayload.maximumBytes), of: "bytes")

    func payload(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> PlannedPayload? {
        switch node.content {
        case .scalar where node.text == "keyed": return .keyed(ProbePayload.minimumBytes)
        case .mapping:
            if let size = node.value(of: "keyed") { return Self.size.read(size, &sink).map { .keyed(Int($0)) } }
            return bytes(node, &sink).map { .bytes($0) }
        case .sequence(let nodes): return steps(nodes, of: node, &sink)
        default:
            sink.mismatch(node, expected: Self.expected)
            return nil
        }
    }

    private func steps(_ nodes: [YAMLNode], of node: YAMLNode, _ sink: inout DiagnosticSink) -> PlannedPayload? {
        var steps: [PayloadScript.Step] = []
        for node in nodes where sink.hasRoom {
            guard case .mapping(let entries) = node.content, entries.count == 1,
                let sender = ["send": PayloadScript.Sender.client, "expect": .reflector][entries[0].key]
            else {
                sink.mismatch(node, expected: "send: or expect:, and what")
                return nil
            }
            guard let bytes = message(entries[0].value, &sink) else { return nil }
            steps.append(PayloadScript.Step(sender, bytes))
        }
        return .steps(steps, nodes.map(\.place))
    }

    private func message(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> [UInt8]? {
        guard case .scalar(let scalar) = node.content, !node.isNothing else { return bytes(node, &sink) }
        return Array(scalar.text.utf8)
    }

    /// One of `text`, `hex` and `file`.
    private func bytes(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> [UInt8]? {
        guard case .mapping(let entries) = node.content, entries.count == 1, let text = entries[0].value.scalar?.text,
            !text.isEmpty
        else {
            sink.mismatch(node, expected: "one of text, hex and file, with a value")
            return nil
        }
        let value = entries[0].value
        switch entries[0].key {
        case "text": return Array(text.utf8)
        case "hex":
            guard let bytes = PathProbe.bytes(hexadecimal: text.filter { $0 != " " }), !bytes.isEmpty else {
                sink.mismatch(value, expected: "pairs of hexadecimal digits")
                return nil
            }
            return bytes
        case "file": return file(text, at: value, &sink)
        default:
            sink.unknown(entries[0], in: "a payload", known: ["text", "hex", "file", "keyed"])
            return nil
        }
    }

    private func file(_ name: String, at node: YAMLNode, _ sink: inout DiagnosticSink) -> [UInt8]? {
        do throws(FileFault) {
            let bytes = try reading(name.hasPrefix("/") ? name : directory + name)
            if !bytes.isEmpty { return bytes }
            sink.error(at: node.place, found: "an empty file", expected: "a file with at least one byte")
        } catch {
            sink.error(at: node.place, found: "\(quoted(name)): \(error.reason)", expected: "a readable file")
        }
        return nil
    }
}
