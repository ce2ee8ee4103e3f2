// SPDX-License-Identifier: GPL-3.0-or-later

// A terminal that is drawn on as a whole, by ncurses, most of whose interface is macros.

#ifndef CTERMINALSHIM_H
#define CTERMINALSHIM_H

#include <stdbool.h>

#pragma clang assume_nonnull begin

/// How a line looks.
enum cterm_look { CTERM_PLAIN, CTERM_TITLE, CTERM_SELECTED, CTERM_BAD, CTERM_GOOD, CTERM_FAINT };

/// Keys that are no characters, which end below.
enum cterm_key { CTERM_NONE = -1, CTERM_UP = 0x110000, CTERM_DOWN, CTERM_PAGE_UP, CTERM_PAGE_DOWN, CTERM_HOME, CTERM_END,
                 CTERM_ENTER, CTERM_ESCAPE, CTERM_BACKSPACE, CTERM_RESIZED };

/// Takes the terminal over; false where it is none that can be drawn on. Without `colours` it is drawn bold and reversed only.
bool cterm_begin(bool colours);
/// Gives it back as it was.
void cterm_end(void);

int cterm_rows(void);
int cterm_columns(void);

/// What follows stands on an empty screen.
void cterm_clear(void);
/// UTF-8 without control characters, cut at the right border; to that border where `fills`.
void cterm_put(int row, const char *text, enum cterm_look look, bool fills);
/// Shows what was put.
void cterm_show(void);

/// The next key: a character's code, or one of `cterm_key`; `CTERM_NONE` where none comes within so many milliseconds.
int cterm_next(int milliseconds);

#pragma clang assume_nonnull end

#endif
