// SPDX-License-Identifier: GPL-3.0-or-later

internal import AgentControl

/// Why a line of the control channel is no message.
package struct MessageFault: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String
    init(_ description: String) { self.description = description }
}

/// The members of one message while it is read.
struct Message {
    private let object: JSONValue

    init(_ bytes: [UInt8]) throws(MessageFault) {
        do {
            object = try JSONValue(parsing: bytes)
        } catch {
            throw MessageFault("not a JSON text: \(error)")
        }
    }

    func has(_ name: String) -> Bool { object[name].map { $0 != .null } ?? false }

    func text(_ name: String) throws(MessageFault) -> String {
        guard let text = object[name]?.asText else { throw wrong(name, "a string") }
        return text
    }

    /// Zero or more.
    func integer(_ name: String) throws(MessageFault) -> Int {
        guard let integer = object[name]?.asInteger, integer >= 0, integer <= Int32.max else {
            throw wrong(name, "a number from 0 on")
        }
        return Int(integer)
    }

    func bytes(_ name: String) throws(MessageFault) -> [UInt8] {
        guard let bytes = PathProbe.bytes(hexadecimal: try text(name)) else { throw wrong(name, "hexadecimal digits") }
        return bytes
    }

    func value(_ name: String) throws(MessageFault) -> JSONValue {
        guard let value = object[name] else { throw wrong(name, "a value") }
        return value
    }

    func list(_ name: String) throws(MessageFault) -> [JSONValue] {
        guard let list = object[name]?.asList else { throw wrong(name, "a list") }
        return list
    }

    func texts(_ name: String) throws(MessageFault) -> [String] {
        var texts: [String] = []
        for value in try list(name) {
            guard let text = value.asText else { throw wrong(name, "a list of strings") }
            texts.append(text)
        }
        return texts
    }

    func transport() throws(MessageFault) -> Transport {
        guard let transport = Transport(rawValue: try text("protocol")) else { throw wrong("protocol", "tcp or udp") }
        return transport
    }

    func steps() throws(MessageFault) -> [PayloadScript.Step] {
        var steps: [PayloadScript.Step] = []
        for value in try list("steps") {
            guard let pair = value.asList, pair.count == 2, let word = pair[0].asText, let digits = pair[1].asText,
                let sender = PayloadScript.Sender(rawValue: word), let bytes = PathProbe.bytes(hexadecimal: digits)
            else { throw wrong("steps", "pairs of a sender and hexadecimal digits") }
            steps.append(PayloadScript.Step(sender, bytes))
        }
        return steps
    }

    func wrong(_ name: String, _ expected: String) -> MessageFault {
        MessageFault("member \"\(name)\": expected \(expected)")
    }
}
