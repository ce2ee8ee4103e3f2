// SPDX-License-Identifier: GPL-3.0-or-later

#define _GNU_SOURCE
#define NCURSES_WIDECHAR 1
#include "cterminalshim.h"

#include <locale.h>
#include <ncurses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static SCREEN *screen;
static bool coloured;

bool cterm_begin(bool colours) {
    // Names of rules are UTF-8; the C locale would show each of their bytes.
    if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
    screen = newterm(NULL, stdout, stdin);
    if (!screen)
        return false;
    set_term(screen);
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    set_escdelay(50);
    curs_set(0);
    coloured = colours && has_colors() && start_color() == OK;
    if (coloured) {
        use_default_colors();
        init_pair(1, COLOR_RED, -1);
        init_pair(2, COLOR_GREEN, -1);
    }
    return true;
}

void cterm_end(void) {
    if (!screen)
        return;
    endwin();
    delscreen(screen);
    screen = NULL;
}

int cterm_rows(void) { return getmaxy(stdscr); }
int cterm_columns(void) { return getmaxx(stdscr); }

void cterm_clear(void) { erase(); }

static attr_t attribute(enum cterm_look look) {
    switch (look) {
    case CTERM_TITLE: return A_BOLD;
    case CTERM_SELECTED: return A_REVERSE;
    case CTERM_BAD: return A_BOLD | (coloured ? COLOR_PAIR(1) : 0);
    case CTERM_GOOD: return coloured ? COLOR_PAIR(2) : A_NORMAL;
    case CTERM_FAINT: return A_DIM;
    default: return A_NORMAL;
    }
}

void cterm_put(int row, const char *text, enum cterm_look look, bool fills) {
    if (row < 0 || row >= getmaxy(stdscr))
        return;
    attrset(attribute(look));
    // As many columns as there are; what is wider is cut, and no character in its middle.
    move(row, 0);
    wchar_t wide[1024];
    mbstate_t state = {0};
    const char *rest = text;
    size_t count = mbsrtowcs(wide, &rest, sizeof wide / sizeof *wide - 1, &state);
    if (count == (size_t)-1)
        count = 0;
    int fitting = 0;
    for (int columns = 0; fitting < (int)count; fitting++) {
        int width = wcwidth(wide[fitting]);
        columns += width > 0 ? width : 0;
        if (columns > getmaxx(stdscr))
            break;
    }
    addnwstr(wide, fitting);
    if (fills) {
        int column = getcurx(stdscr);
        if (getcury(stdscr) == row)
            for (; column < getmaxx(stdscr); column++)
                mvaddch(row, column, ' ');
    }
    attrset(A_NORMAL);
}

void cterm_show(void) { refresh(); }

int cterm_next(int milliseconds) {
    timeout(milliseconds);
    wint_t key = 0;
    switch (get_wch(&key)) {
    case OK:
        switch (key) {
        case '\n':
        case '\r': return CTERM_ENTER;
        case 27: return CTERM_ESCAPE;
        case 8:
        case 127: return CTERM_BACKSPACE;
        default: return (int)key;
        }
    case KEY_CODE_YES:
        switch (key) {
        case KEY_UP: return CTERM_UP;
        case KEY_DOWN: return CTERM_DOWN;
        case KEY_PPAGE: return CTERM_PAGE_UP;
        case KEY_NPAGE: return CTERM_PAGE_DOWN;
        case KEY_HOME: return CTERM_HOME;
        case KEY_END: return CTERM_END;
        case KEY_ENTER: return CTERM_ENTER;
        case KEY_BACKSPACE: return CTERM_BACKSPACE;
        case KEY_RESIZE: return CTERM_RESIZED;
        default: return CTERM_NONE;
        }
    default: return CTERM_NONE;
    }
}
