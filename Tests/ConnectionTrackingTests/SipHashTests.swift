// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import Testing

@Suite("SipHash-1-3")
struct SipHashTests {
    /// The key is 00 01 … 0f, the message 00 01 … as long as said: the vectors of the reference implementation for one and
    /// three rounds whose length is a multiple of eight.
    @Test(
        "the reference vectors",
        arguments: [
            (0, 0xabac_0158_050f_c4dc), (8, 0x3690_9511_8d29_9a8e), (16, 0xcc4f_dd1a_7d90_8b66),
            (24, 0xf464_aeb2_6734_9c8c), (32, 0x8115_7b6c_16a7_b60d), (40, 0xc1d2_3632_99e4_1531),
            (48, 0x9f31_43f8_df07_4c46), (56, 0xb4bc_c0db_243c_6d75),
        ] as [(Int, UInt64)])
    func vectors(length: Int, expected: UInt64) {
        var sip = SipHash(seed: (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908))
        for word in 0..<length / 8 {
            sip.absorb((0..<8).reduce(0) { $0 | UInt64(word * 8 + $1) << UInt64($1 * 8) })
        }
        #expect(sip.finish() == expected)
    }
}
