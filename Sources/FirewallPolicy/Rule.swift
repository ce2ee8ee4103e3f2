// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import PacketWire

/// What a rule does with a packet that meets all its criteria (POLICY.md, rule semantics). The raw values are the order in
/// which actions of one priority are asked.
package enum RuleAction: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case bypass, logOnly, forceAllow, deny, allow
}

/// Where in the policy files something stands; for messages and `explain`.
package struct SourcePosition: Hashable, Sendable {
    package var file: String
    /// 1-based; column in characters.
    package var line: Int
    package var column: Int
    package init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }
}

/// A criterion that `not` may invert. A packet without the field never matches, inverted or not.
package struct Criterion<Value: Hashable & Sendable>: Hashable, Sendable {
    package var value: Value
    package var isInverted: Bool
    package init(_ value: Value, isInverted: Bool = false) {
        self.value = value
        self.isInverted = isInverted
    }
}

/// One firewall rule as the policy file says it; `nil` criteria match everything.
package struct Rule: Hashable, Sendable {
    package var name: String
    package var action: RuleAction
    /// 0 lowest … 4 highest.
    package var priority: UInt8
    package var direction: Direction
    package var frame = Criterion(FrameMatch.ip)
    package var protocols: Criterion<ProtocolMatch>?
    package var source = EndpointCriteria()
    package var destination = EndpointCriteria()
    package var flags: Criterion<FlagMatch>?
    package var icmp: Criterion<ICMPMatch>?
    /// Names or globs; nil: every interface.
    package var interfaces: Criterion<[String]>?
    /// Index into `PolicyDocument.schedules`.
    package var schedule: Int?
    package var log = true
    package var packetData = false
    package var offload = false
    package var position: SourcePosition

    package init(
        name: String, action: RuleAction, priority: UInt8, direction: Direction, position: SourcePosition
    ) {
        self.name = name
        self.action = action
        self.priority = priority
        self.direction = direction
        self.position = position
    }
}

/// The criteria of one side of a packet. `addresses`, `ports` and `macs` are indices into the document's lists, where
/// literal values stand as unnamed lists.
package struct EndpointCriteria: Hashable, Sendable {
    package var addresses: Criterion<Int>?
    package var ports: Criterion<Int>?
    package var macs: Criterion<Int>?
    package init() {}
}

package enum FrameMatch: Hashable, Sendable {
    case any, ip, ipv4, ipv6, arp
    case etherType(UInt16)
}

package enum ProtocolMatch: Hashable, Sendable {
    case tcpAndUDP
    case number(UInt8)
}

/// Of the flags in `tested`, exactly those of `set` are set.
package struct FlagMatch: Hashable, Sendable {
    package var tested: TCPFlags
    package var set: TCPFlags
    package init(tested: TCPFlags, set: TCPFlags) {
        self.tested = tested
        self.set = set
    }
}

package struct ICMPMatch: Hashable, Sendable {
    package var type: UInt8
    package var code: UInt8?
    package init(type: UInt8, code: UInt8? = nil) {
        self.type = type
        self.code = code
    }
}

/// A closed range of addresses of one family (IPv4 in mapped form).
package struct AddressRange: Hashable, Sendable, BitwiseCopyable {
    package var first: IPAddress
    package var last: IPAddress
    package init(first: IPAddress, last: IPAddress) {
        self.first = first
        self.last = last
    }
}

/// A closed range of ports.
package struct PortRange: Hashable, Sendable, BitwiseCopyable {
    package var first: UInt16
    package var last: UInt16
    package init(first: UInt16, last: UInt16) {
        self.first = first
        self.last = last
    }
}
