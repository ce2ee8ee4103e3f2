// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import TestSupport

/// 2026-11-21 09:15:02 UTC, in seconds.
let someSaturday: Int64 = 1_795_252_502

extension Instant {
    /// Milliseconds on a worker's clock.
    static func ms(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }
}

/// An event as the engine makes it, of a packet that arrived on interface 2 through queue 0 of PREROUTING.
func event(
    _ reason: DropReason, _ packet: PacketBuilder = somePacket, action: EventAction = .deny,
    at instant: Instant = .ms(0), _ change: (inout Event) -> Void = { _ in }
) -> Event {
    var metadata = PacketMetadata()
    metadata.inInterface = 2
    metadata.fullLength = UInt32(packet.networkPacket.count)
    var event = Event(
        reason: reason, action: action, instant: instant, metadata: metadata, headers: packet.headers)
    change(&event)
    return event
}

let somePacket = PacketBuilder.ipv4(from: "198.51.100.9", to: "192.0.2.10").dontFragment().timeToLive(57)
    .tcp(40_112, 443, [.ack], seq: 1, ack: 1, window: 502)

/// Events that differ in their source, as many as numbers.
func event(
    _ reason: DropReason, source number: UInt32, at instant: Instant = .ms(0),
    _ change: (inout Event) -> Void = { _ in }
) -> Event {
    var event = someSYN
    event.reason = reason
    event.instant = instant
    event.headers.source = IPAddress(v4: 0x0b00_0000 &+ number)
    change(&event)
    return event
}

private let someSYN = event(
    .deny, PacketBuilder.ipv4(from: "198.51.100.9", to: "192.0.2.10").tcp(1024, 80, [.syn]))

/// Knows interfaces 2 and 3, the rules of policy 4 and one of its settings.
func someResolver(mode: Mode = .inline) -> RecordResolver {
    var resolver = RecordResolver(host: "web-01", flowSeed: (1, 2))
    resolver.interfaces = InterfaceNames([2: "eth0", 3: "eth1"])
    let values = ["engine.anti-evasion.paws-zero": "deny"]
    resolver.register(PolicyNames(epoch: 4, mode: mode, rules: [noTelnet, builtIn], values: values))
    return resolver
}

/// Knows nothing.
let bareResolver = RecordResolver(host: nil, flowSeed: (1, 2))

let noTelnet = Rule(
    name: "No telnet", action: .deny, priority: 2, direction: .incoming,
    position: SourcePosition(file: "/etc/portreeve/policy.yaml", line: 34, column: 5))
let builtIn = Rule(
    name: "built-in: path MTU", action: .forceAllow, priority: 4, direction: .incoming,
    position: SourcePosition(file: "", line: 0, column: 0))

extension RecordResolver {
    /// At 2026-11-21 09:15:02 plus the record's instant.
    func fields(_ record: EventRecord) -> RecordFields {
        var copy = self
        return copy.fields(record, clockOffset: .seconds(someSaturday))
    }

    func fields(_ event: Event) -> RecordFields { fields(EventRecord(EventSummary(event))) }

    /// One line of JSON.
    func line(_ record: EventRecord, at place: RecordPlace = RecordPlace(sequence: 1)) -> String {
        var text: [UInt8] = []
        EventFormat.json.append(fields(record), at: place, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    func line(_ event: Event) -> String { line(EventRecord(EventSummary(event))) }
}

extension EventLog {
    /// Of the first output.
    func accounting() -> EventAccounting { reports()[0].accounting }
    func output() -> OutputReport { reports()[0] }

    /// As the agent runs it, with threads of the tests.
    func run(_ clock: TestClock) {
        var threads: [TestThread] = []
        run({ clock.now }) { _, body in
            threads.append(TestThread(body))
            return true
        }
        for thread in threads { thread.join() }
    }
}

/// Files at these paths, as outputs.
func files(_ paths: String...) -> [OutputSettings] {
    paths.enumerated().map { OutputSettings(name: "file \($0.offset)", format: .json, target: .file(path: $0.element)) }
}

/// A directory of its own for one test, removed with everything in it at the end.
final class TemporaryDirectory {
    let path: String

    init() {
        var template = Array("/tmp/portreeve-events-XXXXXX".utf8CString)
        path = unsafe template.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress, let made = unsafe mkdtemp(base) else { return "" }
            return unsafe String(cString: made)
        }
        precondition(!path.isEmpty, "no temporary directory")
    }

    func file(_ name: String) -> String { path + "/" + name }

    deinit {
        guard let directory = unsafe opendir(path) else { return }
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != "." && name != ".." { unsafe unlink(file(name)) }
        }
        unsafe closedir(directory)
        unsafe rmdir(path)
    }
}

/// The bytes of a file; empty where there is none.
func contents(_ path: String) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_NONBLOCK)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    return drain(descriptor)
}

/// What a descriptor gives until its end, or until it would block.
func drain(_ descriptor: Int32) -> [UInt8] {
    var all: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = unsafe read(descriptor, &chunk, chunk.count)
        guard count > 0 else { return all }
        all.append(contentsOf: chunk[..<count])
    }
}

/// The lines of a file, each without its end.
func lines(_ path: String) -> [String] {
    contents(path).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true)
        .map { String(decoding: $0, as: UTF8.self) }
}
