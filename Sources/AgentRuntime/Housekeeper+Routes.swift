// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import Locking

/// What the main thread knows of the routes, while the policy asks where sources may come from.
struct RouteWatch: ~Copyable {
    fileprivate(set) var complaints: [String] = []
    fileprivate var socket: RouteSocket?
    fileprivate var areKnown = false

    /// The routes, if they are other than before; nil also where the kernel does not tell.
    fileprivate mutating func news() -> [ReversePaths.Route]? {
        if socket == nil { socket = RouteSocket() }
        let mayDiffer = socket?.hasChanged() ?? true
        guard mayDiffer || !areKnown else { return nil }
        let found = socket?.routes()
        areKnown = found != nil
        complaints =
            areKnown
            ? []
            : ["the routes cannot be read: engine.sanity.reverse-path refuses by those of before, if there were any"]
        return found
    }
}

extension Housekeeper {
    /// Workers are told of changes only; a policy that does not ask costs nothing.
    func refreshRoutes(_ policy: Policy) {
        guard policy.document.engine.sanity.denyReversePath else {
            if routes.areKnown { tell(ReversePaths()) }
            routes = RouteWatch()
            return
        }
        if let found = routes.news() { tell(ReversePaths(found)) }
    }

    private func tell(_ paths: ReversePaths) {
        for worker in workers { worker.engine.withLock { $0.reversePaths = paths } }
    }
}
