// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import FirewallPolicy
import PolicyFile

/// For commands that say what they have done.
struct OutcomeOptions: ParsableArguments {
    @Flag(help: "Print a JSON object for each thing that is said.")
    var json = false

    /// One line for people, or an object with the same text and with what programs may want of it.
    func say(_ text: String, _ facts: JSONValue.Member...) {
        let object = JSONValue.object([.init("v", .integer(1)), .init("said", .text(text))] + facts)
        print(json ? object.printed : text)
    }
}

/// For commands that talk to the agent.
struct ControlOptions: ParsableArguments {
    @Option(
        name: .customLong("control"), help: ArgumentHelp("The agent's control socket.", valueName: "socket"),
        completion: .file())
    var path = ControlProtocol.defaultPath

    /// The agent's answer, or the end of the program with what is wrong.
    func ask(_ request: ControlRequest, timeoutSeconds: Int64 = 30) throws -> ControlReply {
        do {
            return try ControlClient(path: path, timeoutSeconds: timeoutSeconds).request(request)
        } catch {
            throw fail(explaining(error))
        }
    }

    /// What an agent says that answers something else than was asked.
    func unexpected() -> ExitCode { fail("the agent at \(path) gave the answer to another question") }
}

/// For commands that read the policy.
struct PolicyOptions: ParsableArguments {
    static let defaultPath = "/etc/portreeve/policy.yaml"

    @Option(
        name: .customLong("policy"), help: ArgumentHelp("The policy file.", valueName: "file"),
        completion: Completions.policy)
    var path = PolicyOptions.defaultPath

    /// The policy, or the end of the program with everything that is wrong with it.
    func load() throws -> PolicyDocument {
        do {
            return try PolicyFile.loading(path)
        } catch {
            throw fail("\(error)")
        }
    }
}
