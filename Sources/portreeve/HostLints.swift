// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import FirewallPolicy
import KernelRules
import PacketFilterRules
import PolicyAnalysis
import PolicyFile

/// What is to be said of a policy because of the host where it is read.
enum HostLints {
    static func all(_ document: PolicyDocument) -> [PolicyLint] {
        sessions(document) + [forwarding(document), fragments(document), cookies(document)].compactMap { $0 }
            + receivers(document)
    }

    /// Who checks a policy over SSH wants to be there afterwards, and so do others.
    private static func sessions(_ document: PolicyDocument) -> [PolicyLint] {
        let present = SessionGuard(present: CallerSession.here.ssh, established: SSHServers.here().sessions)
        return present.refusals(by: document).map { refusal in
            PolicyLint(
                "shut-out", refusal.isPresent ? .warning : .note, at: nil, refusal.sentence, cure: refusal.cure)
        }
    }

    private static func forwarding(_ document: PolicyDocument) -> PolicyLint? {
        RulesInspection.Host.here.forwardingGap(document).map { gap in
            PolicyLint("not-judged", .note, at: nil, gap.text, cure: gap.cure)
        }
    }

    /// Fragments that are refused and never seen. Who may not read the rules is told nothing.
    private static func fragments(_ document: PolicyDocument) -> PolicyLint? {
        guard document.refusesFragments, let rules = try? NamespaceRules.read() else { return nil }
        return rules.inspection(of: document).fragmentChecks.first.map { finding in
            PolicyLint("unseen-fragments", .note, at: nil, finding.text, cure: finding.cure)
        }
    }

    /// Cookies that the policy asks for and this host does not send.
    private static func cookies(_ document: PolicyDocument) -> PolicyLint? {
        SYNCookies.here.complaint(document).map { complaint in
            PolicyLint("no-syn-cookies", .note, at: nil, complaint.text, cure: complaint.cure)
        }
    }

    /// Files of TLS that are not there. Whether the agent's user may read them is seen once it runs.
    private static func receivers(_ document: PolicyDocument) -> [PolicyLint] {
        document.events.syslog.flatMap { receiver -> [PolicyLint] in
            let files = [
                ("ca", receiver.tls.authorities), ("certificate", receiver.tls.certificate), ("key", receiver.tls.key),
            ]
            return files.compactMap { key, file in
                guard let file else { return nil }
                do throws(FileFault) {
                    _ = try readFile(file, atMost: 16 << 20)
                    return nil
                } catch {
                    return PolicyLint(
                        "no-tls-file", .warning, at: nil,
                        "tls.\(key) of the receiver \(receiver.target) is \(file), which cannot be read: \(error.reason)",
                        cure: "put the file there, in PEM and readable for the agent's user, or mend events.syslog")
                }
            }
        }
    }
}
