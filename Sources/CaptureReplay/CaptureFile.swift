// SPDX-License-Identifier: GPL-3.0-or-later

import CPcap
import Glibc

/// Why a capture could not be replayed.
package struct CaptureError: Error, CustomStringConvertible {
    package let description: String
    init(_ path: String, _ problem: String) { description = "\(path): \(problem)" }
}

/// How a capture's frames begin.
enum LinkType: Equatable {
    case ethernet
    case rawIP
    case linuxCooked1
    case linuxCooked2
    /// A 32-bit address family in the byte order of the capturing host (null) or of the network (loop).
    case bsdLoopback

    init?(_ datalink: Int32) {
        switch datalink {
        case DLT_EN10MB: self = .ethernet
        case DLT_RAW, DLT_IPV4, DLT_IPV6: self = .rawIP
        case DLT_LINUX_SLL: self = .linuxCooked1
        case DLT_LINUX_SLL2: self = .linuxCooked2
        case DLT_NULL, DLT_LOOP: self = .bsdLoopback
        default: return nil
        }
    }
}

/// A pcap or pcapng file, read with libpcap, frame by frame.
@safe struct CaptureFile: ~Copyable {
    let path: String
    let link: LinkType
    private let handle: OpaquePointer
    private var framesRead = 0

    init(path: String) throws(CaptureError) {
        let opened = unsafe try CaptureFile.open(path)
        self.path = path
        link = unsafe opened.link
        unsafe handle = opened.handle
    }

    private static func open(_ path: String) throws(CaptureError) -> (handle: OpaquePointer, link: LinkType) {
        var message = [CChar](repeating: 0, count: Int(PCAP_ERRBUF_SIZE))
        guard
            let opened = unsafe pcap_open_offline_with_tstamp_precision(
                path, u_int(PCAP_TSTAMP_PRECISION_NANO), &message)
        else {
            throw refusal(path, CaptureFile.text(message))
        }
        let datalink = unsafe pcap_datalink(opened)
        if let link = LinkType(datalink) { return unsafe (opened, link) }
        let name = unsafe pcap_datalink_val_to_name(datalink).map { unsafe String(cString: $0) } ?? "\(datalink)"
        unsafe pcap_close(opened)
        throw CaptureError(
            path,
            "link type \(name) cannot be replayed; expected Ethernet (EN10MB), raw IP (RAW), Linux cooked"
                + " (LINUX_SLL, LINUX_SLL2) or BSD loopback (NULL, LOOP)")
    }

    deinit { unsafe pcap_close(handle) }

    /// Gives the next frame to `body`; false at the end of the file.
    ///
    /// - Parameter body: gets the captured bytes (borrowed for the call), the length on the wire, and nanoseconds since
    ///   1970.
    /// - Returns: False at the end of the file.
    /// - Throws: What is wrong with the file from here on.
    mutating func next(_ body: (RawSpan, UInt32, Int64) -> Void) throws(CaptureError) -> Bool {
        var header: UnsafeMutablePointer<pcap_pkthdr>?
        var data: UnsafePointer<UInt8>?
        switch unsafe pcap_next_ex(handle, &header, &data) {
        case 1: break
        case PCAP_ERROR_BREAK: return false
        default:
            let problem = unsafe String(cString: pcap_geterr(handle))
            let expected = "the rest of a pcap or pcapng file of one link type"
            throw CaptureError(path, "frame \(framesRead + 1): \(problem); expected \(expected)")
        }
        framesRead += 1
        guard let header = unsafe header?.pointee, let data = unsafe data else { return true }
        // Opened with nanosecond precision, libpcap puts nanoseconds into tv_usec.
        let time = Int64(header.ts.tv_sec) &* 1_000_000_000 &+ Int64(header.ts.tv_usec)
        let bytes = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(data), byteCount: Int(header.caplen))
        body(bytes, max(header.len, header.caplen), time)
        return true
    }

    /// What libpcap says of a file that it does not open, and what would be one. It reads no compressed files.
    private static func refusal(_ path: String, _ message: String) -> CaptureError {
        // Then it is the system that refuses.
        if message.hasPrefix("\(path): ") { return CaptureError(path, String(message.dropFirst(path.count + 2))) }
        let advice = Compression(ofFile: path).map { "; it is compressed: \($0.program) FILE | portreeve replay -" }
        return CaptureError(path, "\(message); expected a pcap or pcapng file\(advice ?? "")")
    }

    private static func text(_ message: [CChar]) -> String {
        String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
