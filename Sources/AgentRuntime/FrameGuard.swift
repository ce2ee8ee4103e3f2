// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import FirewallEngine
import FirewallPolicy
import FrameGuard
import Glibc
import Locking
import Logging
import PacketWire
import Synchronization

/// Tells of frames that the kernel discards before any hook: no queue ever sees them. It decides nothing, and the agent works
/// without it.
final class FrameWatch: Sendable {
    private let sockets: [FrameSocket]
    private let events: EventQueue
    private let frames: Guarded<DiscardedFrames>
    private let isStopping = Atomic(false)
    /// A pipe's ends: what is written wakes the thread.
    private let waking: (reading: Int32, writing: Int32)

    /// As much of a frame as the IP header with its extensions needs.
    private static let copied = 2048
    /// At one turn; under a flood the sockets overflow, and the thread stays below a tenth of a processor or so.
    private static let mostAtOnce = 64
    private static let pause: UInt32 = 10_000

    /// Nil without descriptors.
    init?(_ sockets: [FrameSocket], _ policy: Policy, _ events: EventQueue) {
        var ends: [Int32] = [0, 0]
        guard unsafe pipe(&ends) == 0 else { return nil }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        waking = (ends[0], ends[1])
        self.sockets = sockets
        self.events = events
        frames = Guarded(DiscardedFrames(policy, interfaces: InterfaceTable()))
    }

    func adopt(_ policy: Policy, _ interfaces: InterfaceTable) {
        frames.withLock { $0.adopt(policy, interfaces: interfaces) }
    }

    func stop() {
        isStopping.store(true, ordering: .relaxed)
        _ = unsafe write(waking.writing, [0], 1)
    }

    /// Frames that found no room since this was asked last; nobody knows what was wrong with them.
    func lost() -> UInt64 { sockets.reduce(0) { $0 + $1.lost() } }

    /// The thread's body.
    func run() {
        var buffer = [UInt8](repeating: 0, count: Self.copied)
        while !isStopping.load(ordering: .relaxed) {
            FrameSocket.await(sockets, waker: waking.reading)
            let taken = sockets.reduce(0) { $0 + take(from: $1, &buffer) }
            if taken >= Self.mostAtOnce { usleep(Self.pause) }
        }
    }

    /// Whether an interface belongs to a bridge, a bond or the like, at which the frame is seen once more: it is told of there. One of a
    /// VRF does not: IP takes its packets from the interface itself.
    private static func isPartOfAnother(_ interface: UInt32) -> Bool {
        guard let name = LocalNetwork.name(ofInterface: interface) else { return false }
        let master = "/sys/class/net/\(name)/master"
        guard unsafe access(master, F_OK) == 0 else { return false }
        return SmallFile.read("\(master)/uevent")?.contains("DEVTYPE=vrf") != true
    }

    private func take(from socket: FrameSocket, _ buffer: inout [UInt8]) -> Int {
        var found: [Event] = []
        var count = 0
        while count < Self.mostAtOnce, let frame = socket.next(&buffer) {
            count += 1
            let now = Clocks.monotonic()
            guard !FrameWatch.isPartOfAnother(frame.interface) else { continue }
            let metadata = PacketMetadata(frame)
            let event = frames.withLock {
                unsafe $0.event(of: buffer.span.bytes.extracting(first: frame.copied), metadata, at: now)
            }
            if let event { found.append(event) }
        }
        events.append(found, bytes: [])
        return count
    }
}

extension PacketMetadata {
    fileprivate init(_ frame: FrameSocket.Frame) {
        self.init()
        hook = .none
        inInterface = frame.interface
        etherType = frame.etherType
        fullLength = frame.length
        if let source = frame.source { sourceMAC = MACAddress(bits: source) }
    }
}

/// Where the sockets of the frame guard come from: from whoever started the agent, since the service may not open them itself;
/// or, where it may, from itself.
enum FrameSockets {
    /// Those of one network namespace: both, or none and why not.
    static func open(_ inherited: [InheritedSocket]) -> Result<[FrameSocket], AgentError> {
        var sockets: [FrameSocket] = []
        for family in FrameSocket.Family.allCases {
            if let socket = inherited.last(where: { $0.name == family.name }).flatMap({
                FrameSocket(family, takingOver: $0.descriptor)
            }) {
                sockets.append(socket)
                continue
            }
            do {
                sockets.append(try FrameSocket(opening: family))
            } catch {
                for socket in sockets { close(socket.descriptor) }
                return .failure(AgentError("\(error)"))
            }
        }
        return .success(sockets)
    }

    static func isOne(_ socket: InheritedSocket) -> Bool {
        FrameSocket.Family.allCases.contains { $0.name == socket.name }
    }

    /// Opens both and has the service manager keep them for the agent that it starts next.
    static func handOver(to manager: ServiceManager) throws(AgentError) {
        for family in FrameSocket.Family.allCases {
            let socket: FrameSocket
            do {
                socket = try FrameSocket(opening: family)
            } catch {
                throw AgentError("the socket of the frame guard cannot be opened: \(error)")
            }
            manager.forget(name: family.name)
            guard manager.store(socket.descriptor, name: family.name) else {
                throw AgentError("the service manager does not take the socket of the frame guard")
            }
        }
        guard manager.awaitAttention() else { throw AgentError("the service manager does not answer") }
    }
}

extension Agent {
    /// For the start of the service: opens what the agent itself may not, and ends.
    package static func handOverFrameSockets() throws(AgentError) {
        guard let manager = ServiceManager() else {
            throw AgentError("no service manager is there to keep the sockets (NOTIFY_SOCKET)")
        }
        try FrameSockets.handOver(to: manager)
    }
}

extension Housekeeper {
    /// What a flood of such frames left untold, once when it begins and then every minute.
    func reportLostFrames() {
        framesLost += agent.frames?.lost() ?? 0
        let now = Clocks.monotonic()
        guard framesLost > framesLostTold, framesTellingDue <= now else { return }
        logger.notice("frame guard: \(framesLost - framesLostTold) discarded frames too many to be told of")
        framesLostTold = framesLost
        framesTellingDue = now + .minutes(1)
    }
}
