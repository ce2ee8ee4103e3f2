// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FastPath
import FirewallEngine
import Glibc
import PacketWire
import TestSupport
import Testing

/// The program in this machine's kernel, and its maps, beside one engine. No rule names it: packets are given to it one by one
/// (BPF_PROG_TEST_RUN).
final class FastPathLab {
    private let maps: FastPathMaps
    private var batch = FastPathBatch()
    /// Packets that it has passed.
    private(set) var passed = 0

    /// `make fast-path` builds it.
    static let object = unsafe getenv("FASTPATH_OBJECT").map { unsafe String(cString: $0) } ?? ".build/fastpath.o"

    /// Why it cannot be had here: who may not load programs cannot try them.
    static let trouble: String? = {
        do {
            _ = try FastPathMaps(loading: object, flows: 64)
            return nil
        } catch {
            return "\(error)"
        }
    }()

    init(flows: Int = 64) throws { maps = try FastPathMaps(loading: Self.object, flows: flows) }

    /// Attaches it to an engine, with the first of so many workers' share.
    func attach(to engine: EngineUnderTest, among workers: Int = 1) {
        engine.engine.attachFastPath(maps.memory(of: 0, among: workers), generation: 7, at: engine.clock.now)
        engine.program = self
    }

    func passes(_ bytes: [UInt8], _ metadata: PacketMetadata) -> Bool {
        let interface = metadata.hook == .output ? 0 : metadata.inInterface
        guard let passes = try? maps.tries(bytes, interface: interface) else {
            Issue.record("the program cannot be tried")
            return false
        }
        if passes { passed += 1 }
        return passes
    }

    func carryOut(_ engine: inout Engine, at now: Instant) {
        var refused: [ConnectionKey] = []
        batch.carryOut(engine.fastPath.changes, in: maps) { refused.append($0) }
        engine.removeFastPathChanges()
        for key in refused { engine.refuseFastPath(key, at: now) }
    }

    /// Has openings to a listener pass, in an epoch of their own.
    func open(_ address: IPAddress, _ port: UInt16, version: UInt8, epoch: UInt32 = 3) -> ListenerAddress {
        let listener = ListenerAddress(address: address, port: port, version: version)
        maps.beginListeners(epoch: epoch)
        #expect(maps.openListener(listener, epoch: epoch))
        setListenerLease(.max)
        return listener
    }
    func close(_ listener: ListenerAddress) { maps.closeListener(listener) }
    func beginListeners(epoch: UInt32) { maps.beginListeners(epoch: epoch) }
    func setListenerLease(_ nanoseconds: Int64) {
        maps.setListenerLease(until: Instant(nanoseconds: nanoseconds))
    }
    func openings(_ listener: ListenerAddress) -> UInt64? { maps.openings(of: listener) }
    /// The program's answer alone; `interface` 0: from this host.
    func passes(_ packet: PacketBuilder, by interface: UInt32) throws -> Bool {
        try maps.tries(packet.bytes, interface: interface)
    }

    /// Whether the stub that a rule names passes it.
    func passesByRule(_ packet: PacketBuilder, by interface: UInt32) throws -> Bool {
        try maps.tries(packet.bytes, interface: interface, byRule: true)
    }
    func connect() throws { try maps.connect() }
    func disconnect() { maps.disconnect() }

    func clear() throws { try maps.clear() }
    var outcomes: [UInt64] { maps.outcomes() }
}

extension Trait where Self == ConditionTrait {
    /// For tests of the program in the kernel.
    static var loadsPrograms: Self {
        .enabled(if: FastPathLab.trouble == nil, "the kernel takes no program here: \(FastPathLab.trouble ?? "")")
    }
}

extension EngineUnderTest {
    /// An engine with the program before it.
    static func withProgram(
        _ yaml: String = "", flows: Int = 64, startsNow: Bool = false
    ) throws -> EngineUnderTest {
        let engine = try EngineUnderTest(yaml, startsNow: startsNow)
        try FastPathLab(flows: flows).attach(to: engine)
        return engine
    }
}
