// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl

/// The messages of the control socket, as either end reads them. What is understood is written and read back as the
/// same; a refusal says why.
@c(LLVMFuzzerTestOneInput)
func fuzzControl(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let message = Array(UnsafeBufferPointer(start: start, count: count))
    do {
        let request = try ControlRequest(message: message)
        let copy = try ControlRequest(message: request.message)
        if copy != request { fatalError("\(request)\n\(copy)") }
    } catch {
        if error.message.isEmpty { fatalError("refused without a reason") }
    }
    do {
        let reply = try ControlReply(message: message)
        let copy = try ControlReply(message: reply.message)
        if copy != reply { fatalError("\(reply)\n\(copy)") }
        // Records of connections, for an engine of the tool's own.
        if case .scene(let report) = reply { _ = try report.circumstances() }
    } catch {
        if error.message.isEmpty { fatalError("refused without a reason") }
    }
    return 0
}
