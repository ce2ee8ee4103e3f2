// SPDX-License-Identifier: GPL-3.0-or-later

/// What a scraper asks, of HTTP/1.1 (RFC 9112) only what it takes: one request without a body on a connection. Read
/// strictly: what could be understood in two ways is refused.
struct HTTPRequest: Equatable {
    enum Method {
        case get, head
    }

    var method: Method
    /// Without its query.
    var path: String
    /// The values of Accept, as they stand.
    var accept = ""

    /// Bytes of request line and header fields, at most.
    static let limit = 8192

    /// The request whose head these bytes begin with; nil while more has to come.
    static func parse(_ bytes: [UInt8]) throws(HTTPFailure) -> HTTPRequest? {
        guard let end = headEnd(bytes) else {
            if bytes.count > limit { throw .headerTooLarge }
            return nil
        }
        guard end <= limit else { throw .headerTooLarge }
        // Two lines are broken by CR LF, and by nothing else.
        var lines: [ArraySlice<UInt8>] = []
        var start = 0
        while start < end {
            guard let stop = bytes[start..<end].firstIndex(of: carriageReturn), bytes[stop + 1] == lineFeed else {
                throw .badRequest
            }
            lines.append(bytes[start..<stop])
            start = stop + 2
        }
        guard let first = lines.first, lines.allSatisfy({ $0.allSatisfy(isText) }) else { throw .badRequest }
        var (request, needsHost) = try requestLine(first)
        for line in lines.dropFirst() {
            let field = try headerField(line)
            switch field.name {
            case "accept": request.accept += request.accept.isEmpty ? field.value : ",\(field.value)"
            case "host" where needsHost: needsHost = false
            case "transfer-encoding": throw .badRequest
            case "content-length" where field.value != "0": throw .badRequest
            default: break
            }
        }
        if needsHost { throw .badRequest }
        return request
    }

    /// Where the head ends: behind the CR LF of its last line.
    private static func headEnd(_ bytes: [UInt8]) -> Int? {
        let mark = [carriageReturn, lineFeed, carriageReturn, lineFeed]
        guard bytes.count >= mark.count else { return nil }
        // A head beyond the limit is refused whatever follows, so that nobody makes this search long.
        let last = min(bytes.count - mark.count, limit)
        return (0...last).first { bytes[$0..<$0 + mark.count].elementsEqual(mark) }.map { $0 + 2 }
    }

    private static func requestLine(_ line: ArraySlice<UInt8>) throws(HTTPFailure) -> (HTTPRequest, needsHost: Bool) {
        let words = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        guard words.count == 3, words[1].hasPrefix("/") else { throw .badRequest }
        guard words[2] == "HTTP/1.1" || words[2] == "HTTP/1.0" else { throw .versionNotSupported }
        let method: Method
        switch words[0] {
        case "GET": method = .get
        case "HEAD": method = .head
        default: throw .methodNotAllowed
        }
        let path = words[1].prefix { $0 != "?" }
        return (HTTPRequest(method: method, path: String(path)), needsHost: words[2] == "HTTP/1.1")
    }

    /// RFC 9112 section 5: no blank before the colon, no folded lines.
    private static func headerField(_ line: ArraySlice<UInt8>) throws(HTTPFailure) -> (name: String, value: String) {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
            line[..<colon].allSatisfy(isTokenCharacter)
        else { throw .badRequest }
        let value = String(decoding: line[(colon + 1)...], as: UTF8.self)
        return (
            String(decoding: line[..<colon], as: UTF8.self).lowercased(),
            String(value.drop { " \t".contains($0) }.reversed().drop { " \t".contains($0) }.reversed())
        )
    }

    private static func isText(_ byte: UInt8) -> Bool { byte == 9 || (byte >= 32 && byte != 127) }

    /// RFC 9110 section 5.6.2.
    private static func isTokenCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    private static let carriageReturn = UInt8(ascii: "\r")
    private static let lineFeed = UInt8(ascii: "\n")

    /// OpenMetrics for who names it, as Prometheus does; the older text for everybody else.
    var format: ExpositionFormat {
        accept.lowercased().contains("application/openmetrics-text") ? .openMetrics : .prometheus
    }
}

/// Why a request is refused.
enum HTTPFailure: Error {
    case badRequest, notFound, methodNotAllowed, headerTooLarge, versionNotSupported

    var reply: HTTPReply {
        switch self {
        case .badRequest: HTTPReply("400 Bad Request", "This is not a request that HTTP/1.1 allows here.\n")
        case .notFound: HTTPReply("404 Not Found", "The metrics are at /metrics.\n")
        case .methodNotAllowed: HTTPReply("405 Method Not Allowed", "Use GET or HEAD.\n", allow: "GET, HEAD")
        case .headerTooLarge:
            HTTPReply(
                "431 Request Header Fields Too Large", "A request has at most \(HTTPRequest.limit) bytes.\n")
        case .versionNotSupported: HTTPReply("505 HTTP Version Not Supported", "Use HTTP/1.1.\n")
        }
    }
}

/// The answer; the connection ends behind it.
struct HTTPReply {
    var status: String
    var body: String
    var mediaType = "text/plain; charset=utf-8"
    var allow: String?

    init(_ status: String, _ body: String, allow: String? = nil) {
        self.status = status
        self.body = body
        self.allow = allow
    }

    /// To a HEAD request, without the body that its length speaks of.
    func text(isHead: Bool) -> String {
        let allowed = allow.map { "Allow: \($0)\r\n" } ?? ""
        return "HTTP/1.1 \(status)\r\nContent-Type: \(mediaType)\r\nContent-Length: \(body.utf8.count)\r\n\(allowed)"
            + "Cache-Control: no-store\r\nConnection: close\r\n\r\n" + (isHead ? "" : body)
    }
}
