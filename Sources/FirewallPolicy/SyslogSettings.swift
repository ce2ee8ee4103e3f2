// SPDX-License-Identifier: GPL-3.0-or-later

/// One receiver of `events.syslog`.
public struct SyslogSettings: Hashable, Sendable {
    public var target: SyslogTarget
    public var format = EventFormat.cef
    public var facility = SyslogFacility.local0
    /// nil takes it from each event.
    public var severity: SyslogSeverity?
    /// APP-NAME of RFC 5424.
    public var appName = "portreeve"
    /// Bytes of one message at most, with its header and without its framing.
    public var messageSize: UInt32 = 8192
    /// Whether the text begins with UTF-8's byte order mark (RFC 5424 section 6.4).
    public var hasByteOrderMark = false
    /// Bytes on disk for what the receiver does not take; nil is none.
    public var spool: UInt64?
    /// How much may be sent of events one by one; nil is without a bound.
    public var budget: EventBudget? = EventBudget()
    public var tls = SyslogTLS()
    public init(_ target: SyslogTarget) { self.target = target }

    /// How many receivers there may be.
    public static let mostReceivers = 8
}

/// Where messages of syslog go.
public enum SyslogTarget: Hashable, Sendable, CustomStringConvertible {
    /// A Unix socket, of datagrams or a stream.
    case local(path: String)
    /// RFC 5426.
    case udp(RemoteEndpoint)
    /// RFC 6587 with octet counting.
    case tcp(RemoteEndpoint)
    /// RFC 5425.
    case tls(RemoteEndpoint)

    /// As the policy file writes it.
    public var description: String {
        switch self {
        case .local(let path): path
        case .udp(let endpoint): "udp://\(endpoint)"
        case .tcp(let endpoint): "tcp://\(endpoint)"
        case .tls(let endpoint): "tls://\(endpoint)"
        }
    }
}

/// A host, by its name or address, and a port.
public struct RemoteEndpoint: Hashable, Sendable, CustomStringConvertible {
    /// An IPv6 address stands without brackets.
    public var host: String
    public var port: UInt16

    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    public var description: String {
        host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

/// How the receiver of `tls://` is known, and how this host is known to it.
public struct SyslogTLS: Hashable, Sendable {
    /// File of the certificates that the receiver's is verified with; nil takes those that the system trusts.
    public var authorities: String?
    /// File of this host's certificate and those that lead to its root, for receivers that ask for one.
    public var certificate: String?
    /// File of the key of `certificate`.
    public var key: String?
    /// The name or address that the receiver's certificate has to be for; nil is the target's.
    public var name: String?
    public init() {}
}

/// RFC 5424 table 1.
public enum SyslogFacility: UInt8, Sendable, CaseIterable {
    case kern, user, mail, daemon, auth, syslog, lpr, news, uucp, cron, authpriv, ftp, ntp, audit, alert, clock
    case local0, local1, local2, local3, local4, local5, local6, local7
}

/// RFC 5424 table 2.
public enum SyslogSeverity: UInt8, Sendable, CaseIterable {
    case emergency, alert, critical, error, warning, notice, informational, debug
}

/// `events.capture`: dropped packets as a capture.
public struct CaptureSettings: Hashable, Sendable {
    public var path: String
    /// Bytes of one file at most.
    public var size: UInt64 = 64 << 20
    /// How many files there are, the one that is written among them.
    public var files: UInt32 = 4
    /// How much may be written of packets one by one; nil is without a bound.
    public var budget: EventBudget? = EventBudget()
    public init(path: String) { self.path = path }
}
