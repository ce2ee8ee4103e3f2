// SPDX-License-Identifier: GPL-3.0-or-later

import CYAML

/// What libyaml reads next. Places are counted in characters from the start of the text.
struct YAMLEvent {
    enum Kind {
        case streamStart, streamEnd
        case documentStart, documentEnd
        case alias(String)
        case scalar(YAMLScalar)
        case sequenceStart, sequenceEnd
        case mappingStart, mappingEnd
    }

    var kind: Kind
    var anchor: String?
    var hasTag: Bool
    var character: Int
}

/// The text is not YAML.
struct YAMLSyntaxError: Error {
    /// In libyaml's words.
    var problem: String
    /// What was being read, in libyaml's words; may be empty.
    var context: String
    var character: Int
    /// Where that began.
    var contextCharacter: Int
}

/// The events of one YAML text, pulled one by one from libyaml. The only part of the target that touches its memory:
/// everything that leaves is copied.
@safe
struct YAMLEventStream: ~Copyable {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let text: UnsafeMutableBufferPointer<UInt8>

    /// The bytes are valid UTF-8 without NULs.
    init(_ bytes: [UInt8]) {
        unsafe text = .allocate(capacity: bytes.count)
        _ = unsafe text.initialize(from: bytes)
        unsafe parser = .allocate(capacity: 1)
        unsafe parser.initialize(to: yaml_parser_t())
        guard unsafe yaml_parser_initialize(parser) == 1 else { fatalError("no memory for the YAML parser") }
        unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        unsafe yaml_parser_set_input_string(parser, text.baseAddress, text.count)
    }

    deinit {
        unsafe yaml_parser_delete(parser)
        unsafe parser.deallocate()
        unsafe text.deallocate()
    }

    /// The next event; after `.streamEnd` or an error there is none to ask for.
    mutating func next() throws(YAMLSyntaxError) -> YAMLEvent {
        var event = unsafe yaml_event_t()
        guard unsafe yaml_parser_parse(parser, &event) == 1 else { throw syntaxError() }
        defer { unsafe yaml_event_delete(&event) }
        return unsafe YAMLEvent(event)
    }

    private func syntaxError() -> YAMLSyntaxError {
        let parser = unsafe parser.pointee
        return unsafe YAMLSyntaxError(
            problem: parser.problem.map { unsafe String(cString: $0) } ?? "unreadable text",
            context: parser.context.map { unsafe String(cString: $0) } ?? "",
            character: Int(clamping: parser.problem_mark.index),
            contextCharacter: Int(clamping: parser.context_mark.index))
    }
}

extension YAMLEvent {
    @unsafe
    fileprivate init(_ event: yaml_event_t) {
        unsafe self.init(kind: .streamEnd, anchor: nil, hasTag: false, character: Int(clamping: event.start_mark.index))
        let data = unsafe event.data
        switch unsafe event.type {
        case YAML_STREAM_START_EVENT: kind = .streamStart
        case YAML_DOCUMENT_START_EVENT: kind = .documentStart
        case YAML_DOCUMENT_END_EVENT: kind = .documentEnd
        case YAML_ALIAS_EVENT: unsafe kind = .alias(string(data.alias.anchor) ?? "")
        case YAML_SCALAR_EVENT:
            let bytes = unsafe UnsafeBufferPointer(start: data.scalar.value, count: data.scalar.length)
            kind = unsafe .scalar(
                YAMLScalar(
                    text: String(decoding: bytes, as: UTF8.self),
                    isPlain: data.scalar.style == YAML_PLAIN_SCALAR_STYLE))
            anchor = unsafe string(data.scalar.anchor)
            hasTag = unsafe data.scalar.tag != nil
        case YAML_SEQUENCE_START_EVENT:
            kind = .sequenceStart
            anchor = unsafe string(data.sequence_start.anchor)
            hasTag = unsafe data.sequence_start.tag != nil
        case YAML_SEQUENCE_END_EVENT: kind = .sequenceEnd
        case YAML_MAPPING_START_EVENT:
            kind = .mappingStart
            anchor = unsafe string(data.mapping_start.anchor)
            hasTag = unsafe data.mapping_start.tag != nil
        case YAML_MAPPING_END_EVENT: kind = .mappingEnd
        default: kind = .streamEnd
        }
    }
}

@unsafe
private func string(_ text: UnsafeMutablePointer<yaml_char_t>?) -> String? {
    unsafe text.map { unsafe String(cString: $0) }
}
