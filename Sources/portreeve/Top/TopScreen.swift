// SPDX-License-Identifier: GPL-3.0-or-later

import CTerminalShim

/// The terminal while the live view has it. It is given back when this goes.
struct TopScreen: ~Copyable {
    init?(colours: Bool) {
        guard cterm_begin(colours) else { return nil }
    }

    deinit { cterm_end() }

    var rows: Int { Int(cterm_rows()) }
    var columns: Int { Int(cterm_columns()) }

    func draw(_ lines: [(text: String, look: cterm_look, fills: Bool)]) {
        cterm_clear()
        for (row, line) in lines.prefix(rows).enumerated() {
            unsafe cterm_put(Int32(row), line.text.harmless, line.look, line.fills)
        }
        cterm_show()
    }

    enum Input: Equatable {
        case key(TopState.Key)
        case resized
        case nothing
    }

    func next(milliseconds: Int) -> Input {
        let code = cterm_next(Int32(milliseconds))
        guard code != CTERM_NONE.rawValue else { return .nothing }
        guard code >= CTERM_UP.rawValue else {
            return UnicodeScalar(UInt32(code)).map { .key(.character(Character($0))) } ?? .nothing
        }
        return switch cterm_key(rawValue: code) {
        case CTERM_UP: .key(.up)
        case CTERM_DOWN: .key(.down)
        case CTERM_PAGE_UP: .key(.pageUp)
        case CTERM_PAGE_DOWN: .key(.pageDown)
        case CTERM_HOME: .key(.home)
        case CTERM_END: .key(.end)
        case CTERM_ENTER: .key(.enter)
        case CTERM_ESCAPE: .key(.escape)
        case CTERM_BACKSPACE: .key(.backspace)
        default: .resized
        }
    }
}
