// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import Testing

@testable import NetfilterQueue

@Suite("A queue that cannot be used")
struct QueueErrorTests {
    @Test("is told from the step and the kernel's errno")
    func causes() {
        func cause(_ step: OpeningStep, _ number: Int32) -> QueueError.Cause {
            QueueError(opening: 9, step: step, errno: number).cause
        }
        #expect(cause(.socket, EPROTONOSUPPORT) == .missingInKernel)
        #expect(cause(.claim, EINVAL) == .missingInKernel)
        #expect(cause(.flags, EOPNOTSUPP) == .kernelTooOld)
        #expect(cause(.socket, EMFILE) == .system("opening the netlink socket", SystemErrorNumber(rawValue: EMFILE)))
        #expect(cause(.claim, ENOMEM) == .system("claiming the queue", SystemErrorNumber(rawValue: ENOMEM)))
    }

    @Test("names the cure in one sentence")
    func sentences() {
        func sentence(_ cause: QueueError.Cause) -> String { QueueError(queue: 3, cause: cause).description }
        let holder = QueueHolder(process: 4711, command: "suricata -q 3")
        #expect(
            sentence(.held(by: holder)) == "queue 3 is held by process 4711 (suricata -q 3): "
                + "stop it, or choose other numbers with --queue or queue.numbers")
        #expect(sentence(.held(by: nil)).contains("cannot be seen"))
        #expect(sentence(.notPermitted).contains("CAP_NET_ADMIN"))
        #expect(sentence(.missingInKernel).contains("modprobe nfnetlink_queue"))
        #expect(
            sentence(.system("receiving", SystemErrorNumber(rawValue: EBADF)))
                == "queue 3: receiving failed: Bad file descriptor")
    }
}
