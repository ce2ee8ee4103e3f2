// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
public import PacketWire

/// What a rule does with a packet that meets all its criteria (POLICY.md, rule semantics). The raw values are the order in
/// which actions of one priority are asked.
public enum RuleAction: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case bypass, logOnly, forceAllow, deny, allow

    /// It lets packets pass to the stateful checks.
    public var admits: Bool { self == .allow || self == .forceAllow }
    /// What a rule of it says of what it decides, unless `log` says otherwise.
    public var logs: Bool { self == .deny || self == .logOnly }
}

/// How who sent a refused packet is told of it.
public enum Reply: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case none
    /// A TCP reset; what is not TCP gets `unreachable`.
    case reset
    /// ICMP: port unreachable.
    case unreachable
    /// ICMP: administratively prohibited.
    case prohibited
}

/// Where in the policy files something stands; for messages and `explain`.
public struct SourcePosition: Hashable, Sendable {
    public var file: String
    /// 1-based; column in characters.
    public var line: Int
    public var column: Int
    public init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }
}

/// A criterion that `not` may invert. A packet without the field never matches, inverted or not.
public struct Criterion<Value: Hashable & Sendable>: Hashable, Sendable {
    public var value: Value
    public var isInverted: Bool
    public init(_ value: Value, isInverted: Bool = false) {
        self.value = value
        self.isInverted = isInverted
    }
}

/// One firewall rule as the policy file says it; `nil` criteria match everything.
public struct Rule: Hashable, Sendable {
    public var name: String
    public var action: RuleAction
    /// 0 lowest … 4 highest.
    public var priority: UInt8
    public var direction: Direction
    public var frame = Criterion(FrameMatch.ip)
    public var protocols: Criterion<ProtocolMatch>?
    public var source = EndpointCriteria()
    public var destination = EndpointCriteria()
    /// Outgoing rules only.
    public var sender = SenderCriteria()
    public var flags: Criterion<FlagMatch>?
    public var icmp: Criterion<ICMPMatch>?
    /// Names or globs; nil: every interface.
    public var interfaces: Criterion<[String]>?
    /// Index into `PolicyDocument.schedules`.
    public var schedule: Int?
    /// Deny and Log Only: false silences the event. Allow and Force Allow: true logs the connections that they admit.
    public var log: Bool
    /// Deny: how what it refuses is answered.
    public var reply = Reply.none
    /// Allow and Force Allow: how many connections they admit from one source in a time.
    public var rate: OpeningRate?
    /// False: the rule is read and checked, and never matches. It has no part in what the policy is otherwise: an Allow rule
    /// that is off restricts nothing.
    public var isEnabled = true
    /// What its author has to say about it.
    public var comment: String?
    public var packetData = false
    public var offload = false
    /// One of `engine.built-in-rules`.
    public internal(set) var isBuiltIn = false
    /// Of a built-in rule: it matches an ICMP error only where the quoted packet belongs to a known exchange.
    public internal(set) var needsKnownQuote = false
    public var position: SourcePosition

    public init(
        name: String, action: RuleAction, priority: UInt8, direction: Direction, position: SourcePosition
    ) {
        self.name = name
        self.action = action
        log = action.logs
        self.priority = priority
        self.direction = direction
        self.position = position
    }
}

/// The criteria of one side of a packet. `addresses`, `ports` and `macs` are indices into the document's lists, where
/// literal values stand as unnamed lists.
public struct EndpointCriteria: Hashable, Sendable {
    public var addresses: Criterion<Int>?
    public var ports: Criterion<Int>?
    public var macs: Criterion<Int>?
    public init() {}
}

public enum FrameMatch: Hashable, Sendable {
    case any, ip, ipv4, ipv6, arp
    case etherType(UInt16)
}

public enum ProtocolMatch: Hashable, Sendable {
    case tcpAndUDP
    case number(UInt8)
}

/// Of the flags in `tested`, exactly those of `set` are set.
public struct FlagMatch: Hashable, Sendable {
    public var tested: TCPFlags
    public var set: TCPFlags
    public init(tested: TCPFlags, set: TCPFlags) {
        self.tested = tested
        self.set = set
    }
}

public struct ICMPMatch: Hashable, Sendable {
    public var type: UInt8
    public var code: UInt8?
    public init(type: UInt8, code: UInt8? = nil) {
        self.type = type
        self.code = code
    }
}

/// A closed range of addresses of one family (IPv4 in mapped form).
public struct AddressRange: Hashable, Sendable, BitwiseCopyable {
    public var first: IPAddress
    public var last: IPAddress
    public init(first: IPAddress, last: IPAddress) {
        self.first = first
        self.last = last
    }
}

/// A closed range of ports.
public struct PortRange: Hashable, Sendable, BitwiseCopyable {
    public var first: UInt16
    public var last: UInt16
    public init(first: UInt16, last: UInt16) {
        self.first = first
        self.last = last
    }
}
