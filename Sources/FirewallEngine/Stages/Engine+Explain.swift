// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// What would have to be otherwise for a refused packet to pass.
///
/// The packet is judged again by the same functions, with its cause taken as turned: a rehearsal, which changes nothing but its
/// own `Inspection`. If another cause refuses it then, that one is turned as well, until the packet passes or is refused by
/// something that nobody can turn. Since each test is asked only after those before it were passed, all causes found on the
/// way are needed, and no smaller set of them suffices.
extension Engine {
    /// So many causes one packet may have; more are taken for none that helps.
    private static var mostCauses: Int { 16 }

    /// Finds all that must be turned for a refused packet to pass. The bytes of the packet are needed where what it carries can
    /// refuse it: in stage V by its checksum, and on a known connection.
    mutating func explain(_ p: inout Inspection, _ finding: Finding, _ bytes: RawSpan = RawSpan()) {
        guard !p.isExplained, !p.isRehearsal else { return }
        p.isExplained = true
        guard finding.cause.isTurnable else { return }
        var again = p
        again.isRehearsal = true
        var obstacle = finding
        for _ in 0..<Engine.mostCauses {
            guard obstacle.cause.isTurnable, again.isSubject(to: obstacle.cause) else { break }
            again.excused.insert(obstacle.cause)
            if obstacle.cause.isOfOneRule { again.excusedRule = obstacle.rule }
            guard let next = rehearse(&again, bytes, from: finding.reason.stage) else {
                p.remedy = again.excused
                p.remedyRule = again.excusedRule
                return
            }
            obstacle = next
        }
    }

    /// Judges the packet again, from the stage on that refused it: those before it were passed.
    private mutating func rehearse(_ p: inout Inspection, _ bytes: RawSpan, from stage: Stage) -> Finding? {
        p.mustAsk = false
        if stage == .sanity {
            if let finding = SanityCheck.finding(&p, bytes, &hot) { return finding }
            if hot.examinesOrigin, let finding = findingOfOrigin(&p) { return finding }
        }
        return p.headers.fragment.isFragment ? rehearseFragment(&p, bytes) : judgeWhatIsThere(&p, bytes)
    }
}
