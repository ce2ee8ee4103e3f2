// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy
import PacketWire

extension PolicyFile {
    /// The policy as one text in canonical form: keys in the order of POLICY.md, values in one way of writing them,
    /// sequences of addresses and ports sorted and joined. Reading it gives the same document (but for places and file
    /// names), and printing that gives the same text.
    /// `complete` prints also the settings that have their default.
    package static func canonical(_ document: PolicyDocument, complete: Bool = false) -> String {
        var printer = CanonicalPrinter(document: document, complete: complete)
        printer.printAll()
        return printer.text
    }
}

struct CanonicalPrinter {
    let document: PolicyDocument
    let complete: Bool
    private let defaults = PolicyDocument()
    private(set) var text = "version: 1\n"

    init(document: PolicyDocument, complete: Bool) {
        self.document = document
        self.complete = complete
    }

    mutating func printAll() {
        for setting in Setting.all { text += lines(of: setting, indent: 0) }
        printLists()
        printSchedules()
        printRules()
    }

    mutating func line(_ indent: Int, _ content: String) {
        text += String(repeating: " ", count: indent) + content + "\n"
    }

    private func lines(of setting: Setting, indent: Int) -> String {
        let margin = String(repeating: " ", count: indent)
        guard setting.children.isEmpty else {
            let inner = setting.children.map { lines(of: $0, indent: indent + 2) }.joined()
            return inner.isEmpty ? "" : "\(margin)\(setting.key):\n\(inner)"
        }
        guard let value = setting.print(document), complete || value != setting.print(defaults) else { return "" }
        return "\(margin)\(setting.key): \(value)\n"
    }

    private mutating func printLists() {
        let header = text.count
        text += "lists:\n"
        let start = text.count
        for list in document.addressLists {
            if let file = list.file {
                printList(list.name, "{ addresses-file: \(yamlText(file)) }", [])
            } else {
                printList(list.name, "addresses", list.items(\.texts))
            }
        }
        for list in document.portLists { printList(list.name, "ports", list.items(\.texts)) }
        for list in document.macLists { printList(list.name, "macs", list.items(\.texts)) }
        if text.count == start { text.removeLast(start - header) }
    }

    private mutating func printList(_ name: String?, _ kind: String, _ values: [String]) {
        guard let name else { return }
        if kind.hasPrefix("{") { return line(2, "\(yamlText(name)): \(kind)") }
        guard values.count > 8 else { return line(2, "\(yamlText(name)): { \(kind): \(flowSequence(values)) }") }
        line(2, "\(yamlText(name)):")
        line(4, "\(kind):")
        for value in values { line(6, "- \(value)") }
    }

    private mutating func printSchedules() {
        let named = document.schedules.filter { $0.end == nil }
        guard !named.isEmpty else { return }
        line(0, "schedules:")
        for schedule in named {
            line(2, "\(yamlText(schedule.name)):")
            switch schedule.timeZone {
            case .local: line(4, "timezone: local")
            case .named(let name): line(4, "timezone: \(yamlText(name))")
            }
            line(4, "weekly: { \(week(schedule.weekly).joined(separator: ", ")) }")
        }
    }

    /// Days that follow each other with the same times share a key.
    private func week(_ weekly: [[Range<Int>]]) -> [String] {
        var entries: [String] = []
        var day = 0
        while day < weekly.count {
            var last = day
            while last + 1 < weekly.count, weekly[last + 1] == weekly[day] { last += 1 }
            if !weekly[day].isEmpty {
                let key =
                    last == day ? weekdays[day] : day == 0 && last == 6 ? "all" : "\(weekdays[day])-\(weekdays[last])"
                entries.append("\(key): [\(weekly[day].map(time).joined(separator: ", "))]")
            }
            day = last + 1
        }
        return entries
    }

    private func time(_ range: Range<Int>) -> String {
        func clock(_ minutes: Int) -> String {
            let (hour, minute) = minutes.quotientAndRemainder(dividingBy: 60)
            return (hour < 10 ? "0" : "") + String(hour) + ":" + (minute < 10 ? "0" : "") + String(minute)
        }
        return "\"\(clock(range.lowerBound))-\(clock(range.upperBound))\""
    }
}

/// Items of a list inside brackets.
func flowSequence(_ items: [String]) -> String { "[" + items.joined(separator: ", ") + "]" }

extension NamedList {
    /// Its items as they were written, names first; without names its values.
    func items(_ texts: (Values) -> [String]) -> [String] {
        guard let written else { return texts(values).map(plainOrQuoted) }
        return written.names.map(yamlText) + texts(written.literals).map(plainOrQuoted)
    }
}

extension [PortRange] {
    var texts: [String] { map(\.text) }
}

extension [MACAddress] {
    var texts: [String] { map(\.description) }
}

/// Addresses and ports need quotes only where a colon stands in them.
private func plainOrQuoted(_ value: String) -> String {
    value.utf8.contains(UInt8(ascii: ":")) ? "\"\(value)\"" : value
}
