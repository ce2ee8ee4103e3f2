// SPDX-License-Identifier: GPL-3.0-or-later

import PathProbe

/// Everything that a reflector and a scan read from each other and from strangers: messages, framed lines, payloads, ports and
/// endpoints, and the messages of a script in pieces. What is understood is written and read back as the same.
@c(LLVMFuzzerTestOneInput)
func fuzzProbe(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    guard let kind = input.first else { return 0 }
    let rest = Array(input.dropFirst())
    switch kind % 6 {
    case 0: request(rest)
    case 1: answer(rest)
    case 2: payload(rest)
    case 3: lines(rest)
    case 4: texts(String(decoding: rest, as: UTF8.self))
    default: play(rest)
    }
    return 0
}

private func request(_ message: [UInt8]) {
    do throws(MessageFault) {
        let request = try ProbeRequest(message: message)
        guard try ProbeRequest(message: request.message) == request else { fatalError("\(request)") }
    } catch {
        if error.description.isEmpty { fatalError("refused without a reason") }
    }
}

private func answer(_ message: [UInt8]) {
    do throws(MessageFault) {
        let answer = try ProbeAnswer(message: message)
        guard try ProbeAnswer(message: answer.message) == answer else { fatalError("\(answer)") }
    } catch {
        if error.description.isEmpty { fatalError("refused without a reason") }
    }
}

private let key = SecretKey([1, 2, 3])

private func payload(_ bytes: [UInt8]) {
    guard let payload = ProbePayload(unproven: bytes) else { return }
    if payload.isProven(by: bytes, key), payload.isProven(by: bytes + [0], key) {
        fatalError("proven with more than it is")
    }
    let encoded = payload.encoded(key)
    guard ProbePayload(unproven: encoded) == payload, payload.isProven(by: encoded, key) else {
        fatalError("\(payload) does not come back")
    }
}

/// Bytes of strangers, in pieces: without a key any line is a text, with one none is. Then the same bytes as a text of the
/// other end's, which comes through.
private func lines(_ bytes: [UInt8]) {
    for isProtected in [false, true] {
        var frames = ControlFrames(.reflector)
        if isProtected { frames.protect(with: key) }
        var rest = bytes[...]
        while !rest.isEmpty {
            frames.append(rest.prefix(7))
            rest = rest.dropFirst(7)
            do throws(ControlFrames.Fault) {
                while try frames.next() != nil { if isProtected { fatalError("a line that nobody wrote") } }
            } catch {
                break
            }
        }
    }
    let text = bytes.filter { $0 != UInt8(ascii: "\n") }
    guard !text.isEmpty, text.count < ControlFrames.maximumBytes - 64 else { return }
    var (client, reflector) = (ControlFrames(.client), ControlFrames(.reflector))
    client.protect(with: key)
    reflector.protect(with: key)
    for _ in 0..<2 { reflector.append(client.line(text)[...]) }
    for _ in 0..<2 { guard (try? reflector.next()) == text else { fatalError("a line does not come through") } }
}

/// A script of messages made of the input, played by both sides in pieces: it ends, whole, on both.
private func play(_ bytes: [UInt8]) {
    let parts = bytes.split(separator: 0, maxSplits: 8)
    let steps = parts.map { PayloadScript.Step($0.count % 2 == 0 ? .client : .reflector, Array($0)) }
    guard let script = try? PayloadScript(steps, over: .tcp) else { return }
    var (client, reflector) = (ScriptPosition(script, as: .client), ScriptPosition(script, as: .reflector))
    while !client.isComplete || !reflector.isComplete {
        let (asked, answered) = (client.outgoing.prefix(3), reflector.outgoing.prefix(5))
        if asked.isEmpty, answered.isEmpty { fatalError("nobody speaks") }
        client.sent(asked.count)
        reflector.sent(answered.count)
        guard reflector.take(asked) == asked.count, client.take(answered) == answered.count else {
            fatalError("a message that was sent is not the one awaited")
        }
    }
    if client.take(bytes[...]) != 0 { fatalError("more than the script has") }
}

private func texts(_ text: String) {
    if let ports = try? PortSet(parsing: text), (try? PortSet(parsing: "\(ports)")) != ports { fatalError(text) }
    if let endpoint = Endpoint(parsing: text), Endpoint(parsing: "\(endpoint)") != endpoint { fatalError(text) }
    if let bytes = PathProbe.bytes(hexadecimal: text), hexadecimal(bytes) != text.lowercased() { fatalError(text) }
    if let prefix = AddressPrefix(parsing: text) { _ = prefix.contains(.any(isIPv6: true)) }
}
