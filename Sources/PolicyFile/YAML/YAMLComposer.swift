// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

/// Makes the tree of one document from libyaml's events, within bounds: a small text must not become a big tree by
/// naming its own parts again and again, and a deep one must not exhaust the stack.
package struct YAMLComposer: ~Copyable {
    /// Levels of nesting; the format itself needs seven.
    static let maximumDepth = 64
    /// Bytes of one value; no key of the format takes a longer one.
    static let maximumScalar = 1_024
    /// Values, keys among them, that a file may write out: more than rules of any usual form have in a file of the largest size.
    static let maximumNodes = 3_000_000
    /// Values that aliases and merge keys may add by naming what is written elsewhere.
    static let maximumAliasedNodes = 1_000_000

    private let source: Int
    private var stream: YAMLEventStream
    private var offsets: CharacterOffsets
    private var frames: [Frame] = []
    private var anchors: [String: Sized] = [:]
    private var root: YAMLNode?
    private var nodes = 0
    private var aliasedNodes = 0

    /// A finished node with its number of nodes and its levels, aliases counted as if written out.
    private struct Sized {
        var node: YAMLNode
        var weight = 1
        var height = 1
    }

    /// A collection that is being read.
    fileprivate struct Frame {
        var place: SourcePlace
        var anchor: String?
        var isMapping: Bool
        var items: [YAMLNode] = []
        var entries: [YAMLEntry] = []
        var keyPlaces: [String: SourcePlace] = [:]
        /// From merge keys, for keys that the mapping itself does not have.
        var merged: [YAMLEntry] = []
        var mergedKeys: Set<String> = []
        var key: Key?
        var weight = 1
        var height = 1
    }

    fileprivate enum Key {
        case named(String, SourcePlace)
        case merge
        /// Reported; its value is read and forgotten.
        case refused
    }

    /// Reading cannot go on; the diagnostic is in the sink.
    private struct Abandoned: Error {}

    /// The document of `sink.sources[source]`; nil where it has none or cannot be read, which is then reported.
    package static func compose(_ source: Int, reportingTo sink: inout DiagnosticSink) -> YAMLNode? {
        if let forbidden = sink.sources[source].firstForbiddenByte() {
            let place = SourcePlace(source: source, offset: forbidden.offset)
            sink.error(at: place, found: forbidden.found, expected: "plain text in UTF-8")
            return nil
        }
        var composer = YAMLComposer(source: source, bytes: sink.sources[source].bytes)
        do throws(Abandoned) {
            while try composer.readEvent(&sink) {}
            return composer.root
        } catch {
            return nil
        }
    }

    private init(source: Int, bytes: [UInt8]) {
        self.source = source
        stream = YAMLEventStream(bytes)
        offsets = CharacterOffsets(bytes)
    }

    /// False at the end of the stream.
    private mutating func readEvent(_ sink: inout DiagnosticSink) throws(Abandoned) -> Bool {
        let event = try nextEvent(&sink)
        let place = SourcePlace(source: source, offset: offsets.offset(of: event.character))
        if event.hasTag {
            sink.error(
                at: place, found: "a YAML tag", expected: "a value without one",
                suggestion: "a criterion is inverted by { not: … }; other values that begin with ! take quotes")
        }
        switch event.kind {
        case .streamStart, .documentEnd: break
        case .streamEnd: return false
        case .documentStart:
            guard root == nil else {
                throw abandon(&sink, place, found: "a second YAML document", expected: "one in each file")
            }
        case .alias(let name):
            try finish(try resolve(name, at: place, &sink), at: place, &sink)
        case .scalar(let scalar):
            try count(place, &sink)
            let sized = Sized(node: YAMLNode(content: content(of: scalar, at: place, &sink), place: place))
            if let anchor = event.anchor { anchors[anchor] = sized }
            try finish(sized, at: place, &sink)
        case .sequenceStart, .mappingStart:
            try count(place, &sink)
            guard frames.count < YAMLComposer.maximumDepth else { throw tooDeep(place, &sink) }
            if case .mappingStart = event.kind {
                frames.append(Frame(place: place, anchor: event.anchor, isMapping: true))
            } else {
                frames.append(Frame(place: place, anchor: event.anchor, isMapping: false))
            }
        case .sequenceEnd, .mappingEnd:
            if let frame = frames.popLast() { try close(frame, &sink) }
        }
        return true
    }

    private func content(
        of scalar: YAMLScalar, at place: SourcePlace, _ sink: inout DiagnosticSink
    ) -> YAMLNode.Content {
        guard scalar.text.utf8.count > YAMLComposer.maximumScalar else { return .scalar(scalar) }
        sink.error(
            at: place, found: "a value of \(scalar.text.utf8.count) bytes",
            expected: "at most \(YAMLComposer.maximumScalar)")
        return .refused
    }

    private mutating func nextEvent(_ sink: inout DiagnosticSink) throws(Abandoned) -> YAMLEvent {
        do throws(YAMLSyntaxError) {
            return try stream.next()
        } catch {
            let place = SourcePlace(source: source, offset: offsets.offset(of: error.character))
            let line = sink.sources[source].excerpt(around: place.offset).text
            let start = SourcePlace(source: source, offset: offsets.offset(of: error.contextCharacter))
            let startLine = sink.position(of: start).line
            let origin = startLine < sink.position(of: place).line ? ", from line \(startLine) on" : ""
            let context = error.context.isEmpty ? "" : " (\(error.context)\(origin))"
            let startsWithTab = line.drop { $0 == " " }.first == "\t"
            throw abandon(
                &sink, place, found: "what is not YAML: \(error.problem)\(context)", expected: "YAML 1.1",
                suggestion: startsWithTab
                    ? "YAML is indented with spaces, not with tabs"
                    : QuotingAdvice.cure(in: sink.sources[source].bytes, at: place.offset))
        }
    }

    private mutating func count(_ place: SourcePlace, _ sink: inout DiagnosticSink) throws(Abandoned) {
        nodes += 1
        guard nodes <= YAMLComposer.maximumNodes else {
            throw abandon(
                &sink, place, found: "more than \(YAMLComposer.maximumNodes) keys and values in one file",
                expected: "at most so many",
                suggestion: "a long list belongs in an addresses-file, and rules may stand in several files of policy.d"
            )
        }
    }

    private func abandon(
        _ sink: inout DiagnosticSink, _ place: SourcePlace, found: String, expected: String, suggestion: String? = nil
    ) -> Abandoned {
        sink.error(at: place, found: found, expected: expected, suggestion: suggestion)
        return Abandoned()
    }

    private func tooDeep(_ place: SourcePlace, _ sink: inout DiagnosticSink) -> Abandoned {
        abandon(
            &sink, place, found: "more than \(YAMLComposer.maximumDepth) levels of nesting", expected: "fewer")
    }
}

extension YAMLComposer {
    /// What the anchor names; counted as if it were written out here.
    private mutating func resolve(
        _ name: String, at place: SourcePlace, _ sink: inout DiagnosticSink
    ) throws(Abandoned) -> Sized {
        guard let target = anchors[name] else {
            let isOpen = frames.contains { $0.anchor == name }
            sink.error(
                at: place, found: "the alias *\(harmless(name))",
                expected: isOpen ? "one that does not stand inside what it names" : "one whose anchor stands before it",
                suggestion: isOpen ? nil : "a value that begins with * takes quotes")
            return Sized(node: YAMLNode(content: .refused, place: place))
        }
        aliasedNodes += target.weight
        guard aliasedNodes <= YAMLComposer.maximumAliasedNodes else {
            throw abandon(
                &sink, place, found: "aliases that expand to more than \(YAMLComposer.maximumAliasedNodes) values",
                expected: "fewer", suggestion: "give the values a name under lists")
        }
        return target
    }

    private mutating func close(_ frame: Frame, _ sink: inout DiagnosticSink) throws(Abandoned) {
        let entries = frame.entries + frame.merged.filter { frame.keyPlaces[$0.key] == nil }
        let content: YAMLNode.Content = frame.isMapping ? .mapping(entries) : .sequence(frame.items)
        let sized = Sized(
            node: YAMLNode(content: content, place: frame.place), weight: frame.weight, height: frame.height)
        if let anchor = frame.anchor { anchors[anchor] = sized }
        try finish(sized, at: frame.place, &sink)
    }

    /// Puts a finished node where it belongs.
    private mutating func finish(
        _ sized: Sized, at place: SourcePlace, _ sink: inout DiagnosticSink
    ) throws(Abandoned) {
        guard var frame = frames.popLast() else {
            root = sized.node
            return
        }
        guard frames.count + 1 + sized.height <= YAMLComposer.maximumDepth + 1 else { throw tooDeep(place, &sink) }
        frame.weight += sized.weight
        frame.height = max(frame.height, sized.height + 1)
        if !frame.isMapping {
            frame.items.append(sized.node)
        } else if let key = frame.key {
            frame.key = nil
            frame.add(sized.node, for: key, at: place, &sink)
        } else {
            frame.key = YAMLComposer.key(sized.node, at: place, &sink)
        }
        frames.append(frame)
    }

    private static func key(_ node: YAMLNode, at place: SourcePlace, _ sink: inout DiagnosticSink) -> Key {
        guard let scalar = node.scalar else {
            sink.mismatch(node, expected: "a key that is a word")
            return .refused
        }
        return scalar.isPlain && scalar.text == "<<" ? .merge : .named(scalar.text, place)
    }
}

extension YAMLComposer.Frame {
    fileprivate mutating func add(
        _ value: YAMLNode, for key: YAMLComposer.Key, at place: SourcePlace, _ sink: inout DiagnosticSink
    ) {
        switch key {
        case .refused: break
        case .named(let name, let keyPlace):
            guard let first = keyPlaces.updateValue(keyPlace, forKey: name) else {
                entries.append(YAMLEntry(key: name, keyPlace: keyPlace, value: value))
                return
            }
            keyPlaces[name] = first
            sink.error(
                at: keyPlace,
                found: "the key \(quoted(name)) a second time (first in line \(sink.position(of: first).line))",
                expected: "each key once")
        case .merge: merge(value, &sink)
        }
    }

    /// `<<`: the entries of one mapping or of several, the first one first; what stands in the mapping itself wins.
    private mutating func merge(_ value: YAMLNode, _ sink: inout DiagnosticSink) {
        switch value.content {
        case .mapping(let more):
            for entry in more where mergedKeys.insert(entry.key).inserted { merged.append(entry) }
        case .sequence(let values):
            for value in values {
                guard case .mapping = value.content else {
                    sink.mismatch(value, expected: "a mapping to merge")
                    continue
                }
                merge(value, &sink)
            }
        default: sink.mismatch(value, expected: "a mapping or a sequence of mappings to merge")
        }
    }
}

/// Byte offsets of places that libyaml counts in characters. It names them nearly in order, so one cursor that walks to
/// the next costs one pass over the text.
private struct CharacterOffsets {
    private let bytes: [UInt8]
    private var offset = 0
    private var character = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func offset(of wanted: Int) -> Int {
        while character < wanted, offset < bytes.count {
            offset += 1
            while offset < bytes.count, isContinuation(bytes[offset]) { offset += 1 }
            character += 1
        }
        while character > wanted, offset > 0 {
            offset -= 1
            while offset > 0, isContinuation(bytes[offset]) { offset -= 1 }
            character -= 1
        }
        return offset
    }
}
