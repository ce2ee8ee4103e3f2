// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// Nobody who puts a policy in force is to shut out himself, or another administrator who is connected.
package struct SessionGuard: Sendable {
    /// The one of who asks; nil where he does not come over SSH.
    package let present: SSHSession?
    /// All that are established, the present one among them or not.
    package let established: [SSHSession]

    /// More sessions than this are not tried out: they come from scripts, and alike.
    private static let tried = 256

    package init(present: SSHSession?, established: [SSHSession]) {
        self.present = present
        self.established = established
    }

    /// What a policy would do to them: one sentence each, the present one first. Those of one client to one port of the
    /// host are alike.
    package func refusals(by document: PolicyDocument) -> [Refusal] {
        // Nothing is dropped, or frames are judged that pass through, and a session to this host is none of them.
        guard document.mode == .inline, document.queue.family == .ip else { return [] }
        guard let trial = try? SessionTrial(document) else { return [] }
        let here = Set(LocalAddress.all().map(\.address))
        var seen: Set<[String]> = []
        let others = established.filter { session in
            here.contains(session.server)
                && seen.insert(["\(session.client)", "\(session.server)", "\(session.serverPort)"]).inserted
        }
        var refusals: [Refusal] = []
        // Who comes to another network namespace does not pass the rules of this one.
        if let present, here.contains(present.server), let why = trial.refusal(of: present) {
            refusals.append(Refusal(session: present, isPresent: true, why: why))
        }
        for session in others.prefix(Self.tried) where session != present {
            guard let why = trial.refusal(of: session) else { continue }
            refusals.append(Refusal(session: session, isPresent: false, why: why))
        }
        return refusals
    }

    /// A session that would be shut out.
    package struct Refusal: Hashable, Sendable {
        package let session: SSHSession
        /// It is that of who asks.
        package let isPresent: Bool
        package let why: String

        package var sentence: String {
            isPresent
                ? "this policy would shut out the SSH session that you are in (\(session.sentence)): \(why)"
                : "this policy would shut out an SSH session that is established (\(session.sentence)): \(why)"
        }

        /// What to do.
        package var cure: String {
            "add a rule that lets it pass, such as an allow or force-allow rule for incoming tcp to port "
                + "\(session.serverPort), and see that no deny rule outranks it"
        }
    }
}
