// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import Glibc

/// Lines that an output could not send, on disk and in their order, over a restart of the agent too.
///
/// A line leaves the spool when it has arrived. An agent that is killed between the two sends it again.
final class EventSpool {
    let path: String
    /// Bytes that the policy allows; a ring that is in use keeps its size until it is empty.
    var size: UInt64
    private var file: SpoolFile?
    /// Behind the lines that were given out.
    private var givenOut: UInt64 = 0
    /// Lengths of the frames that were given out and have not left.
    private var frames: [Int] = []
    /// Frames before this position are of an earlier run, whose account is closed.
    private var earlier: UInt64 = 0
    /// Events of this run in it.
    private(set) var events: UInt64 = 0
    private(set) var warning: String?

    /// The file is looked at by `look`.
    init(path: String, size: UInt64) {
        self.path = path
        self.size = size
    }

    var isEmpty: Bool { file?.isEmpty ?? true }
    /// All that it holds was given out.
    var isExhausted: Bool { file.map { givenOut == $0.tail } ?? true }

    /// Whether a line finds room, however long it is.
    var hasRoom: Bool { file.map { $0.used + UInt64(EventSpool.longestLine) <= $0.capacity } ?? false }

    /// Takes over what an earlier run has left.
    func look() {
        guard file == nil, unsafe access(path, F_OK) == 0 else { return }
        begin()
        earlier = file?.tail ?? 0
    }

    /// Makes ready to take lines.
    ///
    /// - Returns: whether it is.
    func prepare() -> Bool {
        if file == nil { begin() }
        guard let isEmpty = file?.isEmpty else { return false }
        guard isEmpty else { return true }
        do throws(SpoolFault) {
            try file?.reserve(max(size, UInt64(EventSpool.longestLine) * 2))
            (givenOut, earlier, warning) = (0, 0, nil)
            return true
        } catch {
            complain(error)
            return false
        }
    }

    /// Puts a line behind the others; false where it cannot be.
    func append(_ line: ArraySlice<UInt8>, _ account: LineAccount) -> Bool {
        var frame = EventSpool.header(line.count, account)
        frame += line
        do throws(SpoolFault) {
            try file?.append(frame)
            if account.isOfThisRun { events &+= account.count }
            return file != nil
        } catch {
            complain(error)
            return false
        }
    }

    /// Gives the next lines out into a backlog that has room.
    func give(to backlog: inout EventBacklog) {
        do throws(SpoolFault) {
            while !backlog.isFull, !isExhausted {
                guard let bytes = try file?.read(from: givenOut, atMost: EventSpool.longestLine * 2) else { return }
                try give(bytes, to: &backlog)
            }
        } catch {
            discard(error)
        }
    }

    private func give(_ bytes: [UInt8], to backlog: inout EventBacklog) throws(SpoolFault) {
        var place = 0
        while !backlog.isFull, place + EventSpool.headerLength <= bytes.count {
            let isEarlier = givenOut < earlier
            guard let (length, account) = EventSpool.parse(bytes[place...], isOfThisRun: !isEarlier) else {
                throw SpoolFault(.isDamaged)
            }
            let end = place + EventSpool.headerLength + length
            // The rest of a line that was cut off here is read next time.
            guard end <= bytes.count else {
                guard place > 0 else { throw SpoolFault(.isDamaged) }
                return
            }
            backlog.add(bytes[(place + EventSpool.headerLength)..<end], account)
            frames.append(end - place)
            givenOut += UInt64(end - place)
            place = end
        }
        if place == 0 { throw SpoolFault(.isDamaged) }
    }

    /// Lines that were copied from a backlog, which has them as if they had been given out.
    func noteGivenOut(_ lengths: [Int]) {
        for length in lengths {
            frames.append(EventSpool.headerLength + length)
            givenOut += UInt64(EventSpool.headerLength + length)
        }
    }

    /// The first lines that were given out have left the backlog.
    func noteGone(_ lines: Int, events gone: UInt64) {
        guard lines > 0, let head = file?.head else { return }
        let bytes = frames.prefix(lines).reduce(0, +)
        frames.removeFirst(min(lines, frames.count))
        events &-= min(gone, events)
        do throws(SpoolFault) { try file?.forget(upTo: head + UInt64(bytes)) } catch { complain(error) }
        if isEmpty { (givenOut, earlier, events) = (0, 0, 0) }
    }

    private func begin() {
        do throws(SpoolFault) {
            file = try SpoolFile(opening: path, capacity: size)
            givenOut = file?.head ?? 0
        } catch {
            discard(error)
        }
    }

    /// What cannot be read is put aside.
    private func discard(_ fault: SpoolFault) {
        complain(fault)
        guard case .isDamaged = fault.cause else { return }
        _ = unsafe rename(path, path + ".damaged")
        abandon()
    }

    /// Forgets all that it knows, and leaves the file alone.
    func abandon() {
        file = nil
        (frames, givenOut, earlier, events) = ([], 0, 0, 0)
    }

    private func complain(_ fault: SpoolFault) { warning = "events cannot wait in the spool \(path): \(fault.text)" }
}

/// What a line stands for.
struct LineAccount {
    let count: UInt64
    let reason: DropReason
    let action: EventAction
    /// Not for what an earlier run of the agent left.
    var isOfThisRun = true
}

extension EventSpool {
    /// Longer than any message may be.
    static let longestLine = 256 << 10
    static let headerLength = 20
    private static let mark: UInt32 = 0x4c50_5250

    private static func header(_ length: Int, _ account: LineAccount) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(headerLength + length)
        put(UInt64(mark), 4, &bytes)
        put(UInt64(length), 4, &bytes)
        put(account.count, 8, &bytes)
        put(UInt64(account.reason.row.number), 2, &bytes)
        put(UInt64(account.action.rawValue), 2, &bytes)
        return bytes
    }

    private static func put(_ number: UInt64, _ width: Int, _ bytes: inout [UInt8]) {
        for place in 0..<width { bytes.append(UInt8(truncatingIfNeeded: number >> UInt64(8 * place))) }
    }

    /// The length of a line and what it stands for; nil where these are no such bytes. A reason that this version does not know
    /// is counted as none of its own.
    private static func parse(_ bytes: ArraySlice<UInt8>, isOfThisRun: Bool) -> (length: Int, LineAccount)? {
        func number(_ offset: Int, _ width: Int) -> UInt64 {
            (0..<width).reduce(0) { $0 | UInt64(bytes[bytes.startIndex + offset + $1]) << UInt64(8 * $1) }
        }
        let length = Int(number(4, 4))
        guard number(0, 4) == mark, 1...longestLine ~= length else { return nil }
        let reason = DropReason(number: UInt16(truncatingIfNeeded: number(16, 2)))
        let action = EventAction(rawValue: UInt8(truncatingIfNeeded: number(18, 2)))
        guard let reason, let action else {
            return (length, LineAccount(count: number(8, 8), reason: .deny, action: .deny, isOfThisRun: false))
        }
        return (length, LineAccount(count: number(8, 8), reason: reason, action: action, isOfThisRun: isOfThisRun))
    }
}
