// SPDX-License-Identifier: GPL-3.0-or-later

import Testing

@testable import AgentMetrics

@Suite("Requests for metrics")
struct HTTPRequestTests {
    private func parse(_ text: String) throws(HTTPFailure) -> HTTPRequest? { try HTTPRequest.parse(Array(text.utf8)) }

    @Test("A request is complete with its empty line, and not before")
    func complete() throws {
        let text = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for length in 0..<text.utf8.count { #expect(try HTTPRequest.parse(Array(text.utf8.prefix(length))) == nil) }
        #expect(try parse(text) == HTTPRequest(method: .get, path: "/metrics"))
    }

    @Test("What real clients send is understood")
    func realClients() throws {
        let prometheus =
            "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9470\r\nUser-Agent: Prometheus/2.42.0\r\n"
            + "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n"
            + "Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n"
        #expect(try parse(prometheus)?.format == .openMetrics)
        let curl = "HEAD /metrics?x=y HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"
        let request = try #require(try parse(curl))
        #expect(request == HTTPRequest(method: .head, path: "/metrics", accept: "*/*"))
        #expect(request.format == .prometheus)
        #expect(try parse("GET / HTTP/1.0\r\n\r\n") == HTTPRequest(method: .get, path: "/"))
    }

    @Test(
        "What could be understood in two ways is refused",
        arguments: [
            "\r\n\r\n", "GET /metrics HTTP/1.1\r\n\r\n", "GET  /metrics HTTP/1.0\r\n\r\n", "GET /metrics\r\n\r\n",
            "GET http://localhost/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET * HTTP/1.0\r\n\r\n",
            "GET /metrics HTTP/1.0\r\nA : b\r\n\r\n", "GET /metrics HTTP/1.0\r\nA: b\r\n c\r\n\r\n",
            "GET /metrics HTTP/1.0\r\n: b\r\n\r\n", "GET /metrics HTTP/1.0\r\nAb\r\n\r\n",
            "GET /metrics HTTP/1.0\r\nA: b\nC: d\r\n\r\n", "GET /metrics HTTP/1.0\r\nA: b\rC: d\r\n\r\n",
            "GET /metrics HTTP/1.0\r\nA: \u{0}\r\n\r\n", "GET /metrics HTTP/1.0\r\nContent-Length: 5\r\n\r\n",
            "GET /metrics HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "GET /\u{1}metrics HTTP/1.0\r\n\r\n",
        ])
    func ambiguous(_ text: String) {
        #expect(throws: HTTPFailure.badRequest) { try parse(text) }
    }

    @Test("Other methods and versions are named as what they are")
    func unsupported() {
        #expect(throws: HTTPFailure.methodNotAllowed) { try parse("POST /metrics HTTP/1.0\r\n\r\n") }
        #expect(throws: HTTPFailure.versionNotSupported) { try parse("PRI / HTTP/2.0\r\n\r\n") }
    }

    @Test("A head has at most its limit of bytes, whether it ends or not")
    func tooLarge() throws {
        let start = "GET /metrics HTTP/1.0\r\nA: "
        let room = HTTPRequest.limit - start.utf8.count - 2
        #expect(try parse(start + String(repeating: "x", count: room) + "\r\n\r\n") != nil)
        #expect(throws: HTTPFailure.headerTooLarge) {
            try parse(start + String(repeating: "x", count: room + 1) + "\r\n\r\n")
        }
        #expect(throws: HTTPFailure.headerTooLarge) { try parse(String(repeating: "x", count: HTTPRequest.limit + 1)) }
    }

    @Test("A reply to HEAD says the length of what it leaves out")
    func head() {
        let reply = HTTPReply("200 OK", "abc")
        #expect(
            reply.text(isHead: true).hasSuffix(
                "Content-Length: 3\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"))
        #expect(reply.text(isHead: false) == reply.text(isHead: true) + "abc")
        #expect(HTTPFailure.methodNotAllowed.reply.text(isHead: false).contains("\r\nAllow: GET, HEAD\r\n"))
    }
}
