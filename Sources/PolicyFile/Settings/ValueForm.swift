// SPDX-License-Identifier: GPL-3.0-or-later

/// One kind of value of the policy file: how it is read, printed and described to an editor. What is printed is read
/// back as the same value.
package struct ValueForm<Value: Equatable & Sendable>: Sendable {
    /// The value, or nil after reporting why it is none.
    package let read: @Sendable (YAMLNode, inout DiagnosticSink) -> Value?
    /// As the canonical printer writes it: one line of YAML that may stand inside `{}`.
    let print: @Sendable (Value) -> String
    /// What a value is, in words that follow "expected".
    let expected: String
    /// What the schema of the policy says of it.
    let schema: String

    /// `schema` is that of the values alone.
    init(
        _ expected: String, schema: String, print: @escaping @Sendable (Value) -> String,
        read: @escaping @Sendable (YAMLNode, inout DiagnosticSink) -> Value?
    ) {
        self.expected = expected
        self.schema = SchemaText.explained(schema, expected)
        self.print = print
        self.read = read
    }
}

/// Why a scalar is not the value that its place asks for.
package struct ScalarFault: Error {
    package var expected: String
    package var suggestion: String?

    package init(_ expected: String, suggestion: String? = nil) {
        self.expected = expected
        self.suggestion = suggestion
    }
}

extension ValueForm {
    /// A form whose values are scalars.
    package static func scalar(
        _ expected: String, schema: String, print: @escaping @Sendable (Value) -> String,
        parse: @escaping @Sendable (YAMLScalar) throws(ScalarFault) -> Value
    ) -> ValueForm {
        ValueForm(expected, schema: schema, print: print) { node, sink in
            guard let scalar = node.scalar, !node.isNothing else {
                sink.mismatch(node, expected: expected)
                return nil
            }
            return sink.value(of: node) { () throws(ScalarFault) in try parse(scalar) }
        }
    }

    /// A sequence of scalars; one alone may stand without brackets.
    package static func oneOrSeveral<Element>(
        _ element: ValueForm<Element>, expected: String
    ) -> ValueForm where Value == [Element] {
        ValueForm(
            expected, schema: SchemaText.oneOrSeveral(element.schema),
            print: { "[" + $0.map(element.print).joined(separator: ", ") + "]" }
        ) { node, sink in
            switch node.content {
            case .scalar where !node.isNothing: return element.read(node, &sink).map { [$0] }
            case .sequence(let nodes):
                var values: [Element] = []
                for node in nodes where sink.hasRoom {
                    if let value = element.read(node, &sink) { values.append(value) }
                }
                return values.count == nodes.count ? values : nil
            default:
                sink.mismatch(node, expected: expected, suggestion: node.isNothing ? "[] is none" : nil)
                return nil
            }
        }
    }
}

extension DiagnosticSink {
    /// The value of a scalar, or nil after reporting the fault.
    mutating func value<Value>(of node: YAMLNode, _ parse: () throws(ScalarFault) -> Value) -> Value? {
        do throws(ScalarFault) {
            return try parse()
        } catch {
            self.error(at: node.place, found: node.found, expected: error.expected, suggestion: error.suggestion)
            return nil
        }
    }
}
