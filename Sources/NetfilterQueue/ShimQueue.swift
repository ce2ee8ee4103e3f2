// SPDX-License-Identifier: GPL-3.0-or-later

import CQueueShim

/// The shim's queue by its address: everything of this target that is unsafe.
///
/// The address stays valid until the queue is closed *and* no packet is handed out (the shim counts them), so it is
/// safe in the hands of `QueueSocket`, which closes once, and of `QueuedPacket`, which settles once. Neither is
/// copyable.
@safe @usableFromInline
struct ShimQueue: BitwiseCopyable {
    private let queue: OpaquePointer

    init(_ configuration: QueueConfiguration) throws(QueueError) {
        var config = prq_config(configuration)
        var opened: OpaquePointer?
        var step = PRQ_STEP_MEMORY
        let status = unsafe prq_open(&config, &opened, &step)
        guard status == 0, let queue = unsafe opened else {
            throw QueueError(opening: configuration.number, step: OpeningStep(step), errno: -status)
        }
        unsafe self.queue = queue
    }

    /// Goes on with the queue of an inherited socket; see `prq_take_over`.
    init(
        _ configuration: QueueConfiguration, descriptor: Int32, lastID: UInt32
    ) throws(QueueError) {
        var config = prq_config(configuration)
        var opened: OpaquePointer?
        var step = PRQ_STEP_MEMORY
        let status = unsafe prq_take_over(&config, descriptor, lastID, &opened, &step)
        guard status == 0, let queue = unsafe opened else {
            throw QueueError(opening: configuration.number, step: OpeningStep(step), errno: -status)
        }
        unsafe self.queue = queue
    }

    func leave() { unsafe prq_leave(queue) }

    func close(settling verdict: QueueVerdict) { unsafe prq_close(queue, verdict.rawValue) }

    // MARK: Packets

    /// Count of packets, or a negative errno value.
    func receive(timeoutMilliseconds: Int32) -> Int32 { unsafe prq_receive(queue, timeoutMilliseconds) }

    /// The next packet of the batch. Inlined, because each call would copy the attributes once more.
    @inline(__always)
    func take() -> QueuedPacket? {
        var place: UInt64 = 0
        guard let packet = unsafe prq_take(queue, &place) else { return nil }
        return unsafe QueuedPacket(PacketAttributes(packet.pointee), place: place, queue: self)
    }

    /// Gives `body` the packet's bytes: none if its batch is over. `RawSpan` cannot leave the closure.
    @inlinable @inline(__always)
    func withBytes<Result: ~Copyable, Failure: Error>(
        at place: UInt64, _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe body(bytes(at: place).bytes)
    }

    @usableFromInline
    func bytes(at place: UInt64) -> UnsafeRawBufferPointer {
        guard let packet = unsafe prq_packet_at(queue, place) else {
            return unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return unsafe UnsafeRawBufferPointer(start: packet.pointee.payload, count: Int(packet.pointee.payload_length))
    }

    // MARK: Verdicts

    func settle(_ id: UInt32, _ verdict: QueueVerdict, mark: UInt32?) {
        unsafe prq_settle(queue, id, verdict.rawValue, mark != nil, mark ?? 0)
    }

    func settleFailed(_ id: UInt32) { unsafe prq_settle_failed(queue, id) }

    func flush() { unsafe prq_flush(queue) }

    var outstanding: UInt32 { unsafe prq_outstanding(queue) }

    // MARK: Beside the packets

    var descriptor: Int32 { unsafe prq_descriptor(queue) }

    func readCounters() -> prq_counters {
        var counters = prq_counters()
        unsafe prq_read_counters(queue, &counters)
        return counters
    }

    /// A descriptor for `WakerDescriptor`, or a negative errno value.
    func openWaker() -> Int32 { unsafe prq_waker_open(queue) }
}

/// The steps of `prq_open`.
enum OpeningStep {
    case memory, socket, claim, length, flags, start, orphans

    init(_ step: prq_step) {
        switch step {
        case PRQ_STEP_MEMORY: self = .memory
        case PRQ_STEP_SOCKET: self = .socket
        case PRQ_STEP_CLAIM: self = .claim
        case PRQ_STEP_LENGTH: self = .length
        case PRQ_STEP_FLAGS: self = .flags
        case PRQ_STEP_ORPHANS: self = .orphans
        default: self = .start
        }
    }
}

extension prq_config {
    fileprivate init(_ c: QueueConfiguration) {
        self.init(
            number: c.number, length: c.length, copy_bytes: c.copyBytes, socket_buffer: c.socketBuffer,
            busy_poll_microseconds: c.busyPollMicroseconds, failure_verdict: c.failureVerdict.rawValue,
            fail_open: c.failsOpen)
    }
}

extension PacketAttributes {
    init(_ packet: prq_packet) {
        unsafe self.init(
            id: packet.id, hook: packet.hook, family: packet.family, etherType: packet.ether_type,
            inInterface: packet.in_interface, outInterface: packet.out_interface,
            physicalInInterface: packet.physical_in_interface, physicalOutInterface: packet.physical_out_interface,
            mark: packet.mark, senderUID: packet.uid, senderGID: packet.gid,
            sourceMAC: packet.hardware_address_length == 6 ? Self.bits(packet.hardware_address) : .max,
            destinationMAC: packet.destination_address_length == 6 ? Self.bits(packet.destination_address) : .max,
            vlanProtocol: packet.vlan_protocol, vlanControl: packet.vlan_tci, timestamp: packet.timestamp,
            fullLength: packet.full_length, copiedLength: packet.payload_length,
            checksumNotReady: packet.checksum_not_ready, checksumNotVerified: packet.checksum_not_verified,
            isSegmentationOffload: packet.is_gso)
    }

    private typealias SixBytes = (UInt8, UInt8, UInt8, UInt8, UInt8, UInt8)
    private typealias EightBytes = (UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8)

    private static func bits(_ a: EightBytes) -> UInt64 { bits((a.0, a.1, a.2, a.3, a.4, a.5)) }

    private static func bits(_ address: SixBytes) -> UInt64 {
        let high = UInt64(address.0) << 40 | UInt64(address.1) << 32 | UInt64(address.2) << 24
        return high | UInt64(address.3) << 16 | UInt64(address.4) << 8 | UInt64(address.5)
    }
}

/// Which of the descriptors have something to receive, as bits; 0 after the time-out or a signal.
func awaitReadable(_ descriptors: [Int32], timeoutMilliseconds: Int32, spinMicroseconds: UInt32) -> UInt32 {
    unsafe prq_await(descriptors, UInt32(descriptors.count), timeoutMilliseconds, spinMicroseconds)
}

// MARK: - Procfs

/// The bytes of a file of procfs, or a positive errno value.
func readProcFile(_ path: String) -> Result<[UInt8], SystemErrorNumber> {
    unsafe readWhole { start, capacity in unsafe prq_read_file(path, start, capacity) }
}

/// The same of a file that is open already, if its path ends so.
func readInheritedProcFile(_ descriptor: Int32, named name: String) -> Result<[UInt8], SystemErrorNumber> {
    unsafe readWhole { start, capacity in unsafe prq_read_inherited(descriptor, name, start, capacity) }
}

private func readWhole(
    _ read: (UnsafeMutablePointer<UInt8>, Int) -> Int
) -> Result<[UInt8], SystemErrorNumber> {
    var capacity = 16 << 10
    while true {
        var status = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            if let start = buffer.baseAddress { status = unsafe read(start, capacity) }
            count = max(status, 0)
        }
        if status < 0 { return .failure(SystemErrorNumber(rawValue: Int32(-status))) }
        if status < capacity { return .success(bytes) }
        capacity *= 4
    }
}

/// The netlink port of an inherited socket, or a positive errno value; see `prq_socket_port`.
func netfilterPort(ofSocket descriptor: Int32) -> Result<UInt32, SystemErrorNumber> {
    var port: UInt32 = 0
    let status = unsafe prq_socket_port(descriptor, &port)
    return status == 0 ? .success(port) : .failure(SystemErrorNumber(rawValue: -status))
}

/// The process that has a socket open.
func processHolding(socketInode: UInt64) -> Int32? {
    let process = prq_socket_owner(socketInode)
    return process > 0 ? process : nil
}

/// An errno value that prints as the kernel's sentence.
package struct SystemErrorNumber: Error, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: Int32
    package init(rawValue: Int32) { self.rawValue = rawValue }
    package var description: String { unsafe String(cString: prq_error_text(rawValue)) }
}

// MARK: - Waking

/// Owns a descriptor of `prq_waker_open`.
struct WakerDescriptor: ~Copyable, Sendable {
    let descriptor: Int32
    init(owning descriptor: Int32) { self.descriptor = descriptor }
    deinit { prq_waker_close(descriptor) }
    func signal() { prq_waker_signal(descriptor) }
}
