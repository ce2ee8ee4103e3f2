// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

extension Housekeeper {
    /// Why refused packets get no answer although the policy says so.
    func answerWarnings(_ policy: Policy) -> [String] {
        guard policy.document.answers else { return [] }
        if let trouble = agent.answers.trouble {
            return [
                "refused packets are not answered: a raw socket cannot be opened (\(trouble)); the agent needs CAP_NET_RAW when it starts"
            ]
        }
        return agent.ownUser == nil
            ? ["refused packets are not answered: the agent cannot tell its own traffic inside two user namespaces"]
            : []
    }
}
