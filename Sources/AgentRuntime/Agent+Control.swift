// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import EventLog
import FirewallEngine
import FirewallPolicy
import Glibc
import Locking
import PolicyFile

extension Agent {
    func openControl() throws(AgentError) -> ControlServer {
        do {
            return try ControlServer(path: options.controlPath) { [self] in answer($0, of: $1) }
        } catch {
            throw AgentError("\(error)")
        }
    }

    private var identity: AgentIdentity { AgentIdentity(version: options.version, processIdentifier: getpid()) }

    private func answer(_ request: ControlRequest, of peer: ControlPeer?) -> ControlReply {
        switch request {
        case .ping: return .pong(identity)
        case .status: return .status(StatusReport(AgentSnapshot(self)))
        case .connections(let query): return .connections(connections(query))
        case .rules(let query): return errands.ask { .rules($0.rules(query)) }
        case .scene(let query): return errands.ask { .scene($0.scene(query)) }
        case .settings:
            let policy = policies.current
            return .settings(
                SettingsReport(policyEpoch: policy.epoch, values: PolicyFile.values(of: policy.document)))
        case .reload(let request):
            return errands.ask { .reloaded($0.reloadReport(ReloadOrder(request, of: peer))) }
        case .keep(let request):
            let caller = CallerSession(from: request.caller)
            return errands.ask { .reloaded($0.confirmTrial(by: caller, isForced: request.isForced)) }
        case .coldStart:
            for worker in workers { worker.engine.withLock { $0.beginColdStart(at: Clocks.monotonic()) } }
            return .coldStarted
        case .reopen:
            log.reopen()
            return .reopened
        case .block(let request): return errands.ask { $0.block(request) }
        case .unblock(let request): return errands.ask { $0.unblock(request) }
        case .blocks: return .blocks(blocks.withLock { $0 })
        }
    }
}
