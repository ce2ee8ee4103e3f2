// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

/// The policy while its files are read: the document so far, and what can be settled only after the last file.
///
/// The files are read in order into one draft, so that a later scalar or sequence replaces an earlier one and mappings
/// merge by key. Rules wait, because they may name lists and schedules of later files.
struct PolicyDraft {
    var document = PolicyDocument()
    let use: PolicyUse
    let surroundings: Surroundings
    /// Where the value of a setting was written, by its full name; for checks that concern two of them.
    var places: [String: SourcePlace] = [:]
    var antiEvasion = AntiEvasionDraft()
    var schedules: [ScheduleDraft] = []
    /// `reconnaissance.ignore`, of the last file that has it.
    var ignoredScanners: YAMLNode?
    var lists: [String: ListEntry] = [:]
    /// The host's names for ports.
    private let services: HostServices
    var serviceNames: ServiceNames { services.names }
    /// The host's users and groups.
    let accounts: HostAccounts
    /// Where each unit is named first.
    var unitPlaces: [String: SourcePlace] = [:]
    var rules: [YAMLNode] = []
    /// Places of the rules by name.
    var ruleNames: [String: SourcePlace] = [:]
    /// Rules that ask for offload, and where.
    var offloads: [(rule: Rule, place: SourcePlace)] = []
    /// Values of named lists that mixtures in rules have copied.
    var copiedValues = 0
    static let maximumCopiedValues = 4_000_000
    /// All that rules name; a compiled policy has room for so many.
    var interfacePatterns: Set<String> = []
    /// A file could not be parsed: what it defines is unknown, so nothing is called undefined.
    var isIncomplete = false

    init(use: PolicyUse, surroundings: Surroundings) {
        self.use = use
        self.surroundings = surroundings
        services = HostServices(surroundings)
        accounts = HostAccounts(surroundings)
    }

    static let keys = ["version"] + Setting.all.map(\.key) + ["lists", "schedules", "rules"]

    /// Reads the document of one file.
    mutating func read(_ root: YAMLNode, _ sink: inout DiagnosticSink) {
        guard case .mapping(let entries) = root.content else {
            sink.mismatch(root, expected: "a mapping that begins with version: 1")
            return
        }
        checkVersion(root, &sink)
        for entry in entries where sink.hasRoom {
            switch entry.key {
            case "version": continue
            case "lists": readLists(entry.value, &sink)
            case "schedules": readSchedules(entry.value, &sink)
            case "rules": collectRules(entry.value, &sink)
            default:
                if let setting = Setting.all.first(where: { $0.key == entry.key }) {
                    setting.read(entry.value, entry.key, &self, &sink)
                } else {
                    sink.unknownKey(entry, in: "the policy", known: PolicyDraft.keys)
                }
            }
        }
    }

    private func checkVersion(_ root: YAMLNode, _ sink: inout DiagnosticSink) {
        guard let version = root.value(of: "version") else {
            sink.error(at: root.place, found: "no version", expected: PolicyDraft.expectedVersion)
            return
        }
        let isOne = version.text == "1"
        if isOne, version.scalar?.isPlain == true { return }
        sink.mismatch(
            version, expected: "1, the version of the format that this program reads",
            suggestion: isOne ? "write it without quotes" : nil)
    }

    static let expectedVersion = "version: 1 in every policy file"

    private mutating func collectRules(_ node: YAMLNode, _ sink: inout DiagnosticSink) {
        guard !node.isNothing else { return }
        guard case .sequence(let nodes) = node.content else {
            sink.mismatch(node, expected: "a sequence of rules")
            return
        }
        rules += nodes
    }

    /// What depends on all files: schedules, rules, and settings that contradict each other.
    mutating func finish(_ sink: inout DiagnosticSink) {
        document.schedules = schedules.map { $0.schedule }
        settleLists(&sink)
        settleIgnoredScanners(&sink)
        for node in rules where sink.hasRoom { readRule(node, &sink) }
        finishAntiEvasion()
        checkSettings(&sink)
        checkOffloads(&sink)
        checkUnits(&sink)
        if document.mode == .tap { document.failure.engine = .open }
    }
}
