// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

extension PolicyFile {
    /// Where a policy sets a setting.
    ///
    /// - Parameters:
    ///   - setting: its full path, such as `engine.sanity.block-ipv6`.
    ///   - sources: the policy's files in their order; of several that set it the last one counts.
    /// - Returns: nil where no file sets it, and it has its default.
    package static func place(
        of setting: String, in sources: [(name: String, text: [UInt8])]
    ) -> SourcePosition? {
        var sink = DiagnosticSink(sources: sources.map { SourceText(name: $0.name, bytes: $0.text) })
        let path = setting.split(separator: ".").map(String.init)
        var found: SourcePosition?
        for index in sources.indices {
            guard let root = YAMLComposer.compose(index, reportingTo: &sink), let place = root.place(of: path[...])
            else {
                continue
            }
            found = sink.position(of: place)
        }
        return found
    }

    /// The texts of a policy's files in their order, as far as they can be read.
    package static func texts(of path: String) -> [(name: String, text: [UInt8])] {
        var unreadable: [Diagnostic] = []
        let further = (try? dropIns(in: dropInDirectory(of: path), &unreadable)) ?? []
        return ([path] + further).compactMap { name in
            (try? readFile(name, atMost: maximumSize)).map { (name, $0) }
        }
    }
}

extension YAMLNode {
    /// Of the last key of a path.
    fileprivate func place(of path: ArraySlice<String>) -> SourcePlace? {
        guard let key = path.first, case .mapping(let entries) = content,
            let entry = entries.first(where: { $0.key == key })
        else { return nil }
        return path.count == 1 ? entry.keyPlace : entry.value.place(of: path.dropFirst())
    }
}
