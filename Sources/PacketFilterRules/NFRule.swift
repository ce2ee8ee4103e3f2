// SPDX-License-Identifier: GPL-3.0-or-later

/// One rule of an nftables chain, as `nft` prints it.
struct NFRule: Sendable {
    let line: String
    let words: [String]

    /// Words; a quoted string is one, with its quotes, and ";" and "," at a word's end stand alone.
    static func words(_ line: String) -> [String] {
        var words: [String] = []
        for (index, part) in line.split(separator: "\"", omittingEmptySubsequences: false).enumerated() {
            // Every second part stands between quotes.
            if index % 2 == 1 {
                words.append("\"\(part)\"")
                continue
            }
            for word in part.split(separator: " ") {
                let bare = word.prefix { $0 != ";" && $0 != "," }
                if !bare.isEmpty { words.append(String(bare)) }
                if bare.count < word.count { words.append(String(word[bare.endIndex])) }
                let rest = word.dropFirst(bare.count + 1)
                if !rest.isEmpty { words.append(String(rest)) }
            }
        }
        return words
    }

    /// Chain of a `jump` or `goto`. Verdict maps lead to several.
    var jumps: [String] {
        words.indices.dropLast().filter { words[$0] == "jump" || words[$0] == "goto" }.map { words[$0 + 1] }
    }

    /// The words after the `queue` statement, which is the last of a rule; nil without one.
    var queueStatement: ArraySlice<String>? {
        guard let index = words.lastIndex(of: "queue"), index == 0 || !["jump", "goto"].contains(words[index - 1])
        else { return nil }
        return words[(index + 1)...]
    }

    var conditions: RuleConditions {
        var conditions = RuleConditions()
        for index in words.indices {
            switch words[index] {
            case "iifname", "iif": add("-i", at: index, &conditions)
            case "oifname", "oif": add("-o", at: index, &conditions)
            case "tcp", "udp", "icmp", "icmpv6", "sctp": conditions.add("-p", [words[index]], isInverted: false)
            case "l4proto": add("-p", at: index, &conditions)
            case "daddr" where index + 1 < words.count && words[index + 1] == "type":
                addTypes(from: index + 2, &conditions)
            case "state" where index > 0 && words[index - 1] == "ct":
                conditions.add("--ctstate", states(index), isInverted: false)
            default: break
            }
        }
        return conditions
    }

    /// The value after the word at `index`, with "!=" before it or not; sets narrow nothing.
    private func add(_ option: String, at index: Int, _ conditions: inout RuleConditions) {
        let isInverted = index + 1 < words.count && words[index + 1] == "!="
        let value = index + (isInverted ? 2 : 1)
        guard value < words.count, words[value] != "{", !words[value].hasPrefix("@") else { return }
        let text = words[value].filter { $0 != "\"" }
        // In iptables "+" stands for any rest, here "*" does.
        conditions.add(option, [text.hasSuffix("*") ? text.dropLast() + "+" : text], isInverted: isInverted)
    }

    /// "local" or "{ local, multicast }".
    private func addTypes(from start: Int, _ conditions: inout RuleConditions) {
        guard start < words.count else { return }
        let values = words[start] == "{" ? Array(words[(start + 1)...].prefix { $0 != "}" }) : [words[start]]
        let types = values.filter { $0 != "," }.map { $0.uppercased() }
        conditions.add("--dst-type", [types.joined(separator: ",")], isInverted: false)
    }

    /// "established", "established,related" or a set.
    private func states(_ index: Int) -> [String] {
        let known: Set = ["established", "related", "new", "invalid", "untracked"]
        let values = words[(index + 1)...].prefix { known.contains($0) || $0 == "," || $0 == "{" }
        return [values.filter { known.contains($0) }.map { $0.uppercased() }.joined(separator: ",")]
    }
}
