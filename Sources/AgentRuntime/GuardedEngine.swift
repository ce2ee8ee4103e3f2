// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import Synchronization

/// A worker's engine behind its lock. `Mutex` itself would do, but for asking that nothing of the caller's flows into the
/// engine, which the compiler cannot see of a packet's borrowed bytes.
final class GuardedEngine: @unchecked Sendable {
    private let lock = Mutex(())
    /// Protected by `lock`.
    private var engine: Engine

    init(_ engine: consuming Engine) { self.engine = engine }

    func withLock<Result: ~Copyable>(_ body: (inout Engine) -> Result) -> Result {
        lock.withLock { _ in body(&engine) }
    }
}
