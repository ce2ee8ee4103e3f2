// SPDX-License-Identifier: GPL-3.0-or-later

import CFrameShim

/// The classic BPF machine, as far as the guard's programs use it. A load beyond the frame refuses it, as the kernel does.
struct BPFMachine {
    var packetType: UInt32 = 0
    var linkType: UInt32 = 1
    /// nil: the one that the program asks for first.
    var etherType: UInt32?
    var vlanTag: UInt32 = 0

    func accepts(_ frame: [UInt8], _ program: [cframe_instruction], length: Int? = nil) -> Bool {
        var machine = self
        if etherType == nil, program.count > 1 { machine.etherType = program[1].operand }
        return machine.run(frame, program, length ?? frame.count) != 0
    }

    private func run(_ frame: [UInt8], _ program: [cframe_instruction], _ length: Int) -> UInt32 {
        var (a, x, place) = (UInt32(0), UInt32(0), 0)
        var memory = [UInt32](repeating: 0, count: 16)
        while place < program.count {
            let step = program[place]
            let k = step.operand
            place += 1
            func jump(_ holds: Bool) { place += Int(holds ? step.jump_true : step.jump_false) }
            switch step.code {
            case 0x06: return k
            case 0x20, 0x28, 0x30:
                guard let value = load(frame, k, [0x20: 4, 0x28: 2][step.code] ?? 1) else { return 0 }
                a = value
            case 0x80: a = UInt32(length)
            case 0xb1:
                guard let value = load(frame, k, 1) else { return 0 }
                x = (value & 0xf) * 4
            case 0x01: x = k
            case 0x61: x = memory[Int(k)]
            case 0x02: memory[Int(k)] = a
            case 0x04: a &+= k
            case 0x0c: a &+= x
            case 0x54: a &= k
            case 0x74: a >>= k
            case 0x07: x = a
            case 0x87: a = x
            case 0x15: jump(a == k)
            case 0x25: jump(a > k)
            case 0x35: jump(a >= k)
            case 0x3d: jump(a >= x)
            default: fatalError("code \(step.code)")
            }
        }
        fatalError("the program has no end")
    }

    private func load(_ frame: [UInt8], _ offset: UInt32, _ size: Int) -> UInt32? {
        switch offset {
        case 0xffff_f000: return etherType
        case 0xffff_f02c: return vlanTag
        case 0xffff_f004: return packetType
        case 0xffff_f01c: return linkType
        default:
            guard Int(offset) + size <= frame.count else { return nil }
            return frame[Int(offset)..<Int(offset) + size].reduce(0) { $0 << 8 | UInt32($1) }
        }
    }
}
