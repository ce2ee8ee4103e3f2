// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import FirewallPolicy
import PacketFilterRules

/// `queue.family: bridge`: one nftables table instead of rules of iptables.
extension IPTablesCommand {
    func printBridge(_ document: PolicyDocument) {
        print("nft -f - <<'END'\n\(BridgeTable(document).script)END")
    }

    func applyBridge(_ document: PolicyDocument) throws {
        guard confirm == nil else {
            throw fail(
                "--confirm is not for a bridge's table: it takes only frames that pass through, and a session to this "
                    + "host does not depend on it\nnothing was changed: apply without --confirm")
        }
        if !force { try requireAgent() }
        try Self.nft(BridgeTable(document).script)
        print(
            "applied: frames that pass through a bridge go to the agent (nft list table bridge \(BridgeTable.name)); until "
                + "--remove or the next boot")
    }

    /// Whether there was one.
    static func removeBridge() throws -> Bool {
        let listing = try? Program.run("nft", ["list", "table", "bridge", BridgeTable.name])
        guard let listing, listing.status == 0 else { return false }
        try nft(BridgeTable.removal)
        return true
    }

    private func requireAgent() throws {
        do {
            _ = try ControlClient(path: control.path, timeoutSeconds: 5).request(.ping)
        } catch {
            throw fail(
                "\(error)\nnothing was changed: without an agent no frame would be judged; --force applies all the same"
            )
        }
    }

    private static func nft(_ script: String) throws {
        let result = try Program.run("nft", ["-f", "-"], input: script)
        guard result.status == 0 else { throw fail("nft: \(result.complaint)\nnothing was changed") }
    }
}
