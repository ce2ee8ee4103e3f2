// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

extension PacketHeaders {
    /// What of the promises that decoding makes does not hold for the result of a decoding without error, or nil. `count` is
    /// the number of bytes that were there, `fullLength` what the packet had before it was cut.
    package func inconsistency(count: Int, fullLength: Int) -> String? {
        if network == .none, !isCut { return "no network protocol, and no cut that explains it" }
        return isIP ? inconsistentIP(count: count, fullLength: Swift.max(count, fullLength)) : inconsistentOther
    }

    private var inconsistentOther: String? {
        if transport != .none { return "transport without IP" }
        if fragment.isFragment || hasNoPayload { return "IP facts without IP" }
        return nil
    }

    private func inconsistentIP(count: Int, fullLength: Int) -> String? {
        let end = Int(networkOffset) + Int(length)
        let minimum = Int(networkOffset) + (network == .ipv4 ? 20 : 40)
        if end > fullLength { return "IP length beyond the packet" }
        if Int(transportOffset) < minimum || Int(transportOffset) > end { return "transport header outside the packet" }
        if !isCut, Int(transportOffset) > count { return "transport header outside the bytes" }
        return inconsistentFragment(end: end) ?? inconsistentTransport(count: count, end: end) ?? inconsistentQuote
    }

    private func inconsistentFragment(end: Int) -> String? {
        if fragment.isFragment != (fragment.moreFragments || fragment.offset > 0) { return "isFragment" }
        if fragment.offset % 8 != 0 || fragment.offset > 65_528 { return "fragment offset" }
        if fragment.offset > 0, transport != .none { return "transport header of a later fragment" }
        if transportCutByFragmentation, !fragment.isFragment || fragment.offset > 0 || transport != .none {
            return "transportCutByFragmentation"
        }
        if fragment.isFragment, Int(fragment.dataLength) > end { return "fragment data length" }
        return nil
    }

    private func inconsistentTransport(count: Int, end: Int) -> String? {
        let header = transport == .tcp ? 20 : 8
        if hasNoPayload, transport != .none { return "transport header without payload" }
        if transport == .none || transport == .other { return nil }
        if Int(transportOffset) + header > Swift.min(count, end) { return "transport header incomplete" }
        guard transport == .tcp else { return nil }
        if Int(tcp.dataOffset) < Int(transportOffset) + 20 { return "TCP data inside the header" }
        if Int(tcp.dataOffset) + Int(tcp.dataLength) != end { return "TCP data does not end with the packet" }
        if tcp.windowScale > 14, tcp.windowScale != TCPFields.noWindowScale { return "window scale above 14" }
        if tcp.sackBlockCount > 4 { return "more than four SACK blocks" }
        return nil
    }

    private var inconsistentQuote: String? {
        guard quoted.network != .none else {
            return quoted.transport == .none ? nil : "quoted transport without packet"
        }
        if !icmp.isError { return "quote in something that is no error" }
        if quoted.network != network { return "quote of another family" }
        if quoted.isLaterFragment, quoted.transport != .none { return "quoted transport of a later fragment" }
        return nil
    }
}
