// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import CaptureReplay
import ConnectionTracking
import EventReader
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import PolicyFile

/// The packet that is to be explained: what it is called, and how it is judged by a policy.
struct ExplainedPacket {
    let sentence: String
    /// What an event's record says of it.
    var recorded: String?
    /// What to say where there is no such packet.
    let absence: String
    /// What is not so of the packet as it was, or not known.
    var gaps: [String] = []
    private let judgement: (Policy) throws -> Explanation

    func judge(_ policy: Policy) throws -> Explanation { try judgement(policy) }

    /// In a scene of its own: alone, or at the moment of which the agent has told.
    init(_ scene: PacketScene, _ sentence: String) {
        self.sentence = sentence
        absence = "the packet was not judged"
        judgement = { scene.judge($0) }
    }

    private init(_ sentence: String, absence: String, _ judgement: @escaping (Policy) throws -> Explanation) {
        self.sentence = sentence
        self.absence = absence
        self.judgement = judgement
    }

    /// A packet of a capture, with those before it played first.
    static func inCapture(_ name: String, _ number: UInt64, local: [AddressRange]) throws -> ExplainedPacket {
        let path = try StandardInput.path(for: name)
        var guess: HostGuess?
        if local.isEmpty {
            var survey = HostSurvey()
            survey.add(path)
            guess = survey.guess
        }
        let known = guess
        return ExplainedPacket(
            sentence(name, number),
            absence:
                "\(StandardInput.title(of: name)) has no packet \(number) from or to this host; --local says who this host is"
        ) { policy in
            var replay = CaptureReplay(
                policy: policy, local: local, guess: known, folds: false,
                zones: SystemTimeZones.zones(of: policy.document))
            do {
                return Explanation(policy, try replay.steps(ofPacket: number, in: path), interfaces: [:])
            } catch let error as CaptureError {
                throw fail(error.description)
            }
        }
    }

    /// What a packet of a capture is called.
    static func sentence(_ path: String, _ number: UInt64) -> String {
        "packet \(number) of \(StandardInput.title(of: path))"
    }
}

extension PacketScene {
    /// Of this host, at this time.
    init(here words: PacketWords) {
        self.init(words, now: WallTime.now.microseconds / 1_000_000)
        localAddresses = Set(LocalAddress.all().map(\.address))
    }

    /// A captured packet as it would come now.
    init(here packet: CapturedPacket, interface: String?, unixTime: Int64?) {
        self.init(
            bytes: packet.bytes, metadata: packet.metadata, interface: interface,
            unixTime: unixTime ?? WallTime.now.microseconds / 1_000_000)
        isAtSaidTime = unixTime != nil
        earlierFragments = packet.earlierFragments
    }
}
