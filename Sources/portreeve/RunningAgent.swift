// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import PolicyFile

/// The agent as it is at one moment, for one packet: its policy in force, and what judging that packet would read.
struct RunningAgent {
    let policy: Policy
    let present: Present
    private let copy: PolicyCopy

    /// Between the answer and the look at the copy another policy may come into force.
    private static let attempts = 3

    init(_ control: ControlOptions, for scene: PacketScene) throws {
        // What is no IP packet is of no connection.
        let packet =
            scene.identity
            ?? PacketIdentity(
                version: 4, source: .zero, destination: .zero, sourcePort: 0, destinationPort: 0, keys: [])
        var epoch: UInt32 = 0
        for _ in 0..<Self.attempts {
            let query = SceneQuery(packet: packet, interface: scene.interface)
            guard case .scene(let report) = try control.ask(.scene(query)) else { throw control.unexpected() }
            epoch = report.policyEpoch
            guard let copy = control.copyInForce(of: report.policyPath, epoch: epoch),
                let document = copy.read().document, let policy = try? Policy(document, epoch: epoch)
            else { continue }
            (self.policy, self.copy) = (policy, copy)
            do {
                present = try Present(report, of: packet)
            } catch {
                throw fail("the answer of the agent at \(control.path) cannot be understood: \(error)")
            }
            try requireInterface(of: scene)
            return
        }
        throw fail(
            "the agent's copy of its policy in force (epoch \(epoch)) cannot be read: run this as root; \"portreeve "
                + "status\" says whether the agent can keep one")
    }

    private func requireInterface(of scene: PacketScene) throws {
        guard let name = scene.interface, !present.interfaces.contains(where: { $0.name == name }) else { return }
        throw fail("the agent knows no interface \"\(name.harmless)\" on this host; --interface names another")
    }

    /// Of the policy's files.
    var texts: [(name: String, text: [UInt8])] { copy.texts }

    /// The policy in force with this text read after its files; nil where that is no policy.
    func reread(adding text: String) -> PolicyDocument? {
        copy.read(adding: [("change.yaml", Array(text.utf8))]).document
    }

    /// The policy in force with other texts in the place of its files.
    func reread(_ texts: [(name: String, text: [UInt8])]) -> PolicyDocument? { copy.read(texts).document }
}

extension ControlOptions {
    /// The policy of this epoch, as the agent that has it in force has kept it; nil where that cannot be read.
    func copyInForce(of policyPath: String, epoch: UInt32) -> PolicyCopy? {
        PolicyKeeper(directory: ControlProtocol.stateDirectory(control: path), policyPath: policyPath).copy(
            ofEpoch: epoch)
    }
}
