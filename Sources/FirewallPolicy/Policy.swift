// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
public import PacketWire

/// A policy in force: an immutable snapshot, shared by all workers, that answers what the rules say about a packet.
///
/// A document is compiled once, whole; on an error the old policy stays (docs/design.md 1.6). Connections remember the epoch under
/// which they were judged.
public final class Policy: Sendable {
    /// As read, with the lists of the built-in rules added at the end of `portLists`.
    public let document: PolicyDocument
    /// Differs from that of the policy before it.
    public let epoch: UInt32
    /// The document's rules in the order of the files, then the built-in ones. Events name rules by their index here.
    public let rules: [Rule]

    let lists: RuleLists
    let interfacePatterns: InterfacePatterns
    let senderPatterns: SenderPatterns
    let incoming: DirectionRules
    let outgoing: DirectionRules

    /// How many schedules a policy can have.
    public static let scheduleLimit = 64

    /// Compiles a document.
    ///
    /// - Throws: `PolicyError` for what a well-formed document can still have too much of.
    public init(_ document: PolicyDocument, epoch: UInt32) throws(PolicyError) {
        if document.schedules.count > Policy.scheduleLimit {
            throw .tooManySchedules(document.schedules[Policy.scheduleLimit].position)
        }
        var document = document
        let builtIn = BuiltInRules(addingListsTo: &document)
        self.document = document
        self.epoch = epoch
        rules = document.rules + builtIn.rules
        lists = RuleLists(document)

        var patterns = InterfacePatterns()
        var senders = SenderPatterns()
        var incoming: [CompiledRule] = []
        var outgoing: [CompiledRule] = []
        var rated: Set<Int32> = []
        for (index, rule) in rules.enumerated() {
            guard document.hasReferences(of: rule) else {
                throw .danglingReference(rule: rule.name, rule.position)
            }
            guard rule.isEnabled else { continue }
            guard let interfaces = patterns.register(rule.interfaces?.value ?? []) else {
                throw .tooManyInterfacePatterns(rule.position)
            }
            var sender: UInt8?
            if !rule.sender.isEmpty {
                sender = senders.register(rule.sender, admits: rule.action.admits)
                if sender == nil { throw .tooManySenders(rule.position) }
            }
            let compiled = CompiledRule(
                rule, index: Int32(index), interfaces: interfaces, sender: sender, lists: lists)
            if rule.rate != nil { rated.insert(Int32(index)) }
            if rule.direction == .incoming { incoming.append(compiled) } else { outgoing.append(compiled) }
        }
        interfacePatterns = patterns
        senderPatterns = senders
        self.incoming = DirectionRules(incoming, lists, rated: rated, unmatched: document.unmatched.incoming)
        self.outgoing = DirectionRules(outgoing, lists, rated: rated, unmatched: document.unmatched.outgoing)
    }
}

extension Policy {
    /// Whether what this source explores is nobody's concern.
    public func ignoresScans(by source: IPAddress, of network: NetworkProtocol) -> Bool {
        guard let ignored = document.reconnaissance.ignored else { return false }
        return lists.contains(source, of: network, inAddresses: Int32(ignored.value)) != ignored.isInverted
    }
}

extension PolicyDocument {
    /// Whether the lists and the schedule that a rule refers to exist.
    fileprivate func hasReferences(of rule: Rule) -> Bool {
        func exists(_ reference: Criterion<Int>?, _ count: Int) -> Bool {
            reference.map { 0..<count ~= $0.value } ?? true
        }
        return exists(rule.source.addresses, addressLists.count)
            && exists(rule.destination.addresses, addressLists.count)
            && exists(rule.source.ports, portLists.count) && exists(rule.destination.ports, portLists.count)
            && exists(rule.source.macs, macLists.count) && exists(rule.destination.macs, macLists.count)
            && rule.schedule.map { schedules.indices ~= $0 } ?? true
    }
}
