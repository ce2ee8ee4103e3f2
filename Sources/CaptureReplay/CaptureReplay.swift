// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import EventLog
package import FirewallEngine
package import FirewallPolicy
import PacketWire

/// The engine over captures, with packet time as its clock: what the policy would have done with this traffic.
///
/// Two runs over the same files give the same bytes: the hash seed is fixed, and nothing else is random.
package struct CaptureReplay: ~Copyable {
    private var engine: Engine?
    private let policy: Policy
    private let zones: CalendarZones
    private var conversations: Conversations
    private var folder: Folder
    private var resolver: RecordResolver
    /// Records written so far.
    private var sequence: UInt64 = 0
    private var records: [EventRecord] = []
    /// Changes places with the engine's, so that nothing of it is copied.
    private var outbox = Outbox()
    private var now = Instant(nanoseconds: 0)
    private var schedulesCheckedAt = Int64.min
    /// The packet whose steps are wanted; 0: none.
    private var recorded: UInt64 = 0
    /// Told of each packet that was judged.
    private var witness: ((JudgedPacket) -> Void)?
    package private(set) var summary = ReplaySummary()

    /// - Parameters:
    ///   - policy: what to judge by.
    ///   - local: addresses that are this host.
    ///   - guess: what a survey takes for this host where `local` does not say; without either it is the side that speaks
    ///     first in a conversation.
    ///   - folds: whether events fold as the policy says, or each is a line of its own.
    ///   - zones: the time zones of the policy's schedules.
    ///   - values: the policy's settings as text, by full path, for what events explain.
    package init(
        policy: Policy, local: [AddressRange], guess: HostGuess? = nil, folds: Bool, zones: CalendarZones,
        values: [String: String] = [:]
    ) {
        self.policy = policy
        self.zones = zones
        conversations = Conversations(local: local + (guess?.ranges ?? []), sides: guess?.sides ?? [:])
        folder = Folder(window: folds ? policy.document.events.fold : .zero)
        resolver = RecordResolver(host: nil, flowSeed: (5, 6))
        resolver.register(
            PolicyNames(epoch: policy.epoch, mode: policy.document.mode, rules: policy.rules, values: values))
    }

    /// Judges every packet of a file; lines of events go to `write` as they are ready. Now and then `progress` is told how far it is.
    package mutating func run(
        _ path: String, progress: (CaptureProgress) -> Void = { _ in }, write: ([UInt8]) -> Void
    ) throws(CaptureError) {
        var file = try CaptureFile(path: path)
        while try file.next({ bytes, frame in judge(bytes, frame) }) {
            emit(write)
            if let now = file.progressNow { progress(now) }
        }
    }

    /// The steps that the engine takes with one packet of a file, 1-based, after those before it. Empty where the file has no such
    /// packet, or where it is neither from nor to this host.
    package mutating func steps(ofPacket wanted: UInt64, in path: String) throws(CaptureError) -> [Step] {
        var file = try CaptureFile(path: path)
        var number: UInt64 = 0
        recorded = wanted
        while number < wanted,
            try file.next({ bytes, frame in
                number = frame.number
                judge(bytes, frame)
            })
        {
            takeEvents()
            records.removeAll()
        }
        return engine?.steps ?? []
    }

    /// Judges every packet of a file, and says what became of each that is from or to this host, in the order of the file.
    package mutating func judge(
        _ path: String, _ body: @escaping (JudgedPacket) -> Void
    ) throws(CaptureError) {
        witness = body
        defer { witness = nil }
        try run(path) { _ in }
    }

    /// Lets go of what is still held or folded, when no file is left.
    package mutating func finish(write: ([UInt8]) -> Void) {
        now = now + policy.document.engine.timeouts.fragmentHold + .seconds(1)
        release()
        takeEvents()
        folder.flushAll(into: &records)
        writeRecords(write)
        summary.counters = engine?.counters ?? EngineCounters()
    }

    private mutating func judge(_ bytes: RawSpan, _ frame: CapturedFrame) {
        guard let link = frame.link else {
            summary.ofOtherLinks += 1
            return
        }
        now = max(now, Instant(nanoseconds: frame.time))
        summary.packets += 1
        startEngine()
        if frame.number == recorded { engine?.steps = [] }
        checkSchedules()
        let fullLength = frame.fullLength
        var metadata = PacketMetadata()
        metadata.hook = .none
        metadata.frameNumber = frame.number
        metadata.fullLength = fullLength
        guard let header = LinkHeader(link, bytes) else {
            // Too short for its link header; what only the capture cut off is no malformation.
            metadata.fullLength = Int(fullLength) == bytes.byteCount ? 0 : fullLength
            _ = engine?.inspectFrame(RawSpan(), metadata, at: now)
            return
        }
        metadata.etherType = header.etherType
        metadata.sourceMAC = header.sourceMAC
        metadata.inInterface = header.isLoopback ? CaptureReplay.loopback : 0
        metadata.outInterface = metadata.inInterface
        metadata.fullLength = fullLength - UInt32(header.length)
        let packet = bytes.extracting(header.length..<bytes.byteCount)
        metadata.isSegmentationOffload = SegmentationOffload.shows(
            in: packet, fullLength: metadata.fullLength, etherType: link == .ethernet ? nil : metadata.etherType)
        var headers = PacketHeaders()
        guard place(packet, link, &metadata, &headers) else {
            summary.ofOthers += 1
            return
        }
        if witness != nil { engine?.steps = [] }
        if link == .ethernet {
            _ = engine?.inspectFrame(packet, metadata, at: now)
        } else {
            _ = engine?.inspect(packet, metadata, at: now)
        }
        witness?(
            JudgedPacket(
                headers: headers, direction: metadata.direction, time: frame.time, steps: engine?.steps ?? []))
        release()
    }

    /// The index that stands for the loopback interface; captures have no indices of their own.
    private static let loopback: UInt32 = 1

    /// The direction of the packet, and what a capturing kernel leaves unfinished; false for other hosts' packets.
    private mutating func place(
        _ packet: RawSpan, _ link: LinkType, _ m: inout PacketMetadata, _ headers: inout PacketHeaders
    ) -> Bool {
        let traits = PacketTraits(
            fullLength: m.fullLength, isSegmentationOffload: m.isSegmentationOffload, isCapture: true)
        if link == .ethernet {
            try? headers.decodeFrame(packet, traits)
        } else {
            try? headers.decodePacket(packet, etherType: m.etherType, traits)
        }
        guard let direction = conversations.direction(headers) else { return false }
        m.direction = direction
        // What this host sends is captured before the device fills the checksum in.
        m.checksumNotReady = direction == .outgoing
        return true
    }

    private mutating func startEngine() {
        guard engine == nil else { return }
        let clock = EngineClock(agentStarted: now, kernelBooted: Instant(nanoseconds: .min / 2))
        let shared = SharedLimits(
            tables: policy.document.engine.limits, computers: policy.document.stateful.limits, seed: (1, 2))
        var new = Engine(policy: policy, clock: clock, seed: (3, 4), shared: shared, workers: 1)
        new.learnInterface(CaptureReplay.loopback, name: "", isLoopback: true)
        engine = consume new
    }

    /// Once per second of packet time.
    private mutating func checkSchedules() {
        let second = now.nanoseconds / 1_000_000_000
        guard second != schedulesCheckedAt, !policy.document.schedules.isEmpty else { return }
        schedulesCheckedAt = second
        engine?.setActiveSchedules(policy.scheduleActivity(zones, unixTime: second), at: now)
    }

    private mutating func release() {
        while engine?.takeRelease(at: now) != nil {}
    }

    private mutating func emit(_ write: ([UInt8]) -> Void) {
        takeEvents()
        folder.flush(at: now, into: &records)
        writeRecords(write)
    }

    /// Hands what the engine has put into its outbox to the folder.
    private mutating func takeEvents() {
        takeOutbox()
        while engine?.hasMoreEnds == true {
            engine?.reportEnds(at: now)
            takeOutbox()
        }
    }

    private mutating func takeOutbox() {
        guard engine?.outbox.events.isEmpty == false else { return }
        engine?.exchangeOutbox(&outbox)
        for event in outbox.events { folder.add(event, packet: outbox.bytes(of: event), into: &records) }
        outbox.removeAll()
    }

    private mutating func writeRecords(_ write: ([UInt8]) -> Void) {
        guard !records.isEmpty else { return }
        var text: [UInt8] = []
        for record in records {
            sequence += 1
            let fields = resolver.fields(record, clockOffset: .zero)
            EventFormat.json.append(fields, at: RecordPlace(sequence: sequence), to: &text)
        }
        records.removeAll(keepingCapacity: true)
        write(text)
    }
}

extension Engine {
    fileprivate mutating func exchangeOutbox(_ other: inout Outbox) { swap(&outbox, &other) }
}

/// What a replay amounts to.
package struct ReplaySummary: Sendable {
    /// Frames read.
    package var packets: UInt64 = 0
    /// Of those, neither from nor to this host, and not judged.
    package var ofOthers: UInt64 = 0
    /// Beside them, of interfaces whose link type cannot be replayed.
    package var ofOtherLinks: UInt64 = 0
    package var counters = EngineCounters()

    package init() {}
}
