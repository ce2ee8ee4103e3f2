// SPDX-License-Identifier: GPL-3.0-or-later

extension ConnectionTable {
    /// What can be given up stands in a list of its kind, in the order in which it became so: what goes first when there is no
    /// room for another.
    ///
    /// A datagram that came in costs its sender nothing and may bear any source; its exchange is begun again by the next
    /// one. What this side began is not given up before it is answered: the answer would be unsolicited. What the policy refuses
    /// is remembered for its reason only.
    mutating func linkIntoList(_ index: Int32, _ stage: ConnectionStage) {
        switch place(of: index, in: stage) {
        case .none: break
        case .halfOpen: Self.append(index, to: &halfOpen, in: &entries)
        case .over: Self.append(index, to: &over, in: &entries)
        case .incomingUDP: Self.append(index, to: &incomingUDP, in: &entries)
        case .answeredUDP: Self.append(index, to: &answeredUDP, in: &entries)
        case .incomingICMP: Self.append(index, to: &incomingICMP, in: &entries)
        }
    }

    mutating func unlinkFromList(_ index: Int32, _ stage: ConnectionStage) {
        switch place(of: index, in: stage) {
        case .none: break
        case .halfOpen: Self.unlink(index, from: &halfOpen, in: &entries)
        case .over: Self.unlink(index, from: &over, in: &entries)
        case .incomingUDP: Self.unlink(index, from: &incomingUDP, in: &entries)
        case .answeredUDP: Self.unlink(index, from: &answeredUDP, in: &entries)
        case .incomingICMP: Self.unlink(index, from: &incomingICMP, in: &entries)
        }
    }

    /// An entry has come to another place: its neighbours in its list learn of it.
    mutating func replaceInList(_ index: Int32, _ stage: ConnectionStage) {
        switch place(of: index, in: stage) {
        case .none: break
        case .halfOpen: Self.replace(index, in: &halfOpen, &entries)
        case .over: Self.replace(index, in: &over, &entries)
        case .incomingUDP: Self.replace(index, in: &incomingUDP, &entries)
        case .answeredUDP: Self.replace(index, in: &answeredUDP, &entries)
        case .incomingICMP: Self.replace(index, in: &incomingICMP, &entries)
        }
    }

    private enum Place { case none, halfOpen, over, incomingUDP, answeredUDP, incomingICMP }

    /// Follows from the stage and from what never changes while the connection is in it.
    private func place(of index: Int32, in stage: ConnectionStage) -> Place {
        switch stage {
        case .synSent, .synReceived: .halfOpen
        case .timeWait, .closed: .over
        case .udp, .udpStream: isIncoming(index) ? .incomingUDP : .none
        case .udpAnswered: isIncoming(index) ? .incomingUDP : .answeredUDP
        case .icmp: isIncoming(index) ? .incomingICMP : .none
        case .refused:
            switch entries[Int(index)].connection.key.trackedProtocol {
            case .tcp: .over
            case .udp: .incomingUDP
            case .icmp: .incomingICMP
            }
        default: .none
        }
    }

    /// What gives way to a new one of this protocol; -1: nothing.
    func expendable(for kind: TrackedProtocol) -> ConnectionIndex {
        switch kind {
        case .tcp: over.oldest >= 0 ? over.oldest : halfOpen.oldest
        case .udp: incomingUDP.oldest >= 0 ? incomingUDP.oldest : answeredUDP.oldest
        case .icmp: incomingICMP.oldest
        }
    }

    /// What gives way to a new one of any; -1: nothing.
    func expendable() -> ConnectionIndex {
        if over.oldest >= 0 { return over.oldest }
        if incomingUDP.oldest >= 0 { return incomingUDP.oldest }
        if incomingICMP.oldest >= 0 { return incomingICMP.oldest }
        return halfOpen.oldest >= 0 ? halfOpen.oldest : answeredUDP.oldest
    }

    /// Whether a new one of this protocol finds a place here although the total is reached.
    public func canMakeRoom(for kind: TrackedProtocol) -> Bool { expendable(for: kind) >= 0 }

    /// Of datagrams this never changes.
    private func isIncoming(_ index: Int32) -> Bool { entries[Int(index)].connection.openingDirection == .incoming }

    private static func append(_ index: Int32, to list: inout EntryList, in entries: inout [Entry]) {
        entries[Int(index)].older = list.newest
        entries[Int(index)].newer = -1
        if list.newest >= 0 { entries[Int(list.newest)].newer = index } else { list.oldest = index }
        list.newest = index
    }

    private static func replace(_ index: Int32, in list: inout EntryList, _ entries: inout [Entry]) {
        let (older, newer) = (entries[Int(index)].older, entries[Int(index)].newer)
        if older >= 0 { entries[Int(older)].newer = index } else { list.oldest = index }
        if newer >= 0 { entries[Int(newer)].older = index } else { list.newest = index }
    }

    private static func unlink(_ index: Int32, from list: inout EntryList, in entries: inout [Entry]) {
        let (older, newer) = (entries[Int(index)].older, entries[Int(index)].newer)
        if older >= 0 { entries[Int(older)].newer = newer } else { list.oldest = newer }
        if newer >= 0 { entries[Int(newer)].older = older } else { list.newest = older }
    }
}
