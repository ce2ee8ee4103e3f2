// SPDX-License-Identifier: GPL-3.0-or-later

import Testing

@testable import PathProbe

struct AuthenticationTests {
    @Test(
        "SHA-256 of FIPS 180-4's examples",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
            (
                String(repeating: "a", count: 1_000_000),
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
            ),
        ])
    func digests(text: String, digest: String) {
        #expect(hexadecimal(SHA256.digest(Array(text.utf8))) == digest)
    }

    @Test(
        "HMAC-SHA-256 of RFC 4231's test cases",
        arguments: [
            (
                [UInt8](repeating: 0x0b, count: 20), Array("Hi There".utf8),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                [UInt8](repeating: 0xaa, count: 20), [UInt8](repeating: 0xdd, count: 50),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
            ),
            (
                [UInt8](repeating: 0xaa, count: 131),
                Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
        ])
    func codes(key: [UInt8], data: [UInt8], code: String) {
        #expect(hexadecimal(SecretKey(key).authenticate(data)) == code)
        // In pieces it is the same.
        #expect(hexadecimal(SecretKey(key).authenticate(Array(data.prefix(3)), Array(data.dropFirst(3)))) == code)
    }

    @Test func comparisonsSeeEveryByteAndTheLength() {
        #expect(isSame([1, 2, 3], [1, 2, 3]))
        for wrong in [[1, 2, 4], [0, 2, 3], [1, 2], [1, 2, 3, 0], []] as [[UInt8]] {
            #expect(!isSame([1, 2, 3], wrong))
        }
    }

    @Test func purposesGiveDifferentKeys() {
        let key = SecretKey([1, 2, 3])
        let codes = [key, key.derived(for: "a"), key.derived(for: "b"), key.derived(for: "a", [0])].map {
            $0.authenticate([1])
        }
        #expect(Set(codes).count == 4)
    }

    @Test func bothEndsOfAHandshakeProveTheSameKey() {
        let (c, r) = ([UInt8](repeating: 1, count: 32), [UInt8](repeating: 2, count: 32))
        let one = Handshake(SecretKey([9]), client: c, reflector: r)
        let other = Handshake(SecretKey([8]), client: c, reflector: r)
        #expect(one.proof(of: .client) == Handshake(SecretKey([9]), client: c, reflector: r).proof(of: .client))
        #expect(one.proof(of: .client) != one.proof(of: .reflector))
        #expect(one.proof(of: .client) != other.proof(of: .client))
        #expect(one.proof(of: .client) != Handshake(SecretKey([9]), client: r, reflector: c).proof(of: .client))
    }
}
