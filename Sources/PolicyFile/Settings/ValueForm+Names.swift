// SPDX-License-Identifier: GPL-3.0-or-later

extension ValueForm where Value == [String] {
    /// Interfaces by name or by glob.
    static let interfaces = ValueForm.oneOrSeveral(.interface, expected: "names of interfaces, or globs such as eth*")
}

extension ValueForm where Value == String {
    /// The name of an interface, or a glob. The kernel allows 15 bytes without white space, `/` and `:`.
    static let interface = ValueForm.scalar(
        "the name of an interface, or a glob such as eth*",
        schema: SchemaText.anyOf(SchemaText.text(SchemaPattern.interface), #"{"type":["integer","boolean"]}"#),
        print: yamlText,
        parse: { scalar throws(ScalarFault) in
            let name = scalar.text
            if name.utf8.contains(UInt8(ascii: ":")) {
                throw ScalarFault(
                    "the name of an interface",
                    suggestion: "what follows the colon is the label of an address: write \(quoted(beforeColon(name)))")
            }
            guard !name.isEmpty, name.utf8.allSatisfy({ $0 > 0x20 && $0 != UInt8(ascii: "/") && $0 != 0x7f }) else {
                throw ScalarFault("the name of an interface, or a glob such as eth*")
            }
            let isGlob = name.utf8.contains { "*?[".utf8.contains($0) }
            guard isGlob || name.utf8.count <= 15 else {
                throw ScalarFault("the name of an interface, at most 15 characters")
            }
            return name
        })

    /// A file by its absolute path.
    static let absolutePath = ValueForm.scalar(
        "an absolute path", schema: SchemaText.text(SchemaPattern.absolutePath), print: yamlText,
        parse: { scalar throws(ScalarFault) in
            guard scalar.text.hasPrefix("/") else {
                throw ScalarFault("an absolute path", suggestion: "begin it with /")
            }
            guard scalar.text.utf8.last != UInt8(ascii: "/") else { throw ScalarFault("the path of a file") }
            return scalar.text
        })
}

private func beforeColon(_ name: String) -> String {
    String(name.prefix { $0 != ":" })
}
