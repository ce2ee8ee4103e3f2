// SPDX-License-Identifier: GPL-3.0-or-later

#include "cfastpath.h"

static uint32_t read_word(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static uint8_t read_byte(const uint8_t *byte) { return __atomic_load_n(byte, __ATOMIC_ACQUIRE); }

/// In the order of sequence numbers.
static void raise(uint32_t *bound, uint32_t to) {
    uint32_t old = read_word(bound);
    while ((int32_t)(to - old) > 0 &&
           !__atomic_compare_exchange_n(bound, &old, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        continue;
}

static void raise_size(uint32_t *bound, uint32_t to) {
    uint32_t old = read_word(bound);
    while (to > old && !__atomic_compare_exchange_n(bound, &old, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        continue;
}

void cfastpath_begin(struct fastpath_flow *place, const struct fastpath_flow *state) {
    const uint32_t generation = state->generation;
    struct fastpath_flow copy = *state;
    copy.generation = 0;
    *place = copy;
    __atomic_store_n(&place->generation, generation, __ATOMIC_SEQ_CST);
}

void cfastpath_end(struct fastpath_flow *place) { __atomic_store_n(&place->generation, 0, __ATOMIC_SEQ_CST); }

void cfastpath_take_up(struct fastpath_flow *place, struct fastpath_flow *state) {
    *state = (struct fastpath_flow){0};
    // What was acknowledged before what was sent: so nothing is acknowledged here that was not sent yet.
    for (int i = 0; i < 2; i++) {
        state->side[i].acknowledged = read_word(&place->side[i].acknowledged);
        state->side[i].edge = read_word(&place->side[i].edge);
        state->side[i].window = read_word(&place->side[i].window);
    }
    for (int i = 0; i < 2; i++) {
        struct fastpath_side *const from = &place->side[i], *const to = &state->side[i];
        to->start = from->start;
        to->end = read_word(&from->end);
        to->has_timestamp = read_byte(&from->has_timestamp);
        to->timestamp = read_word(&from->timestamp);
        to->has_gap = read_byte(&from->has_gap);
        to->gap = read_word(&from->gap);
        to->is_open = read_byte(&from->is_open);
        to->interface = read_word(&from->interface);
        to->packets = __atomic_exchange_n(&from->packets, 0, __ATOMIC_ACQ_REL);
        to->bytes = __atomic_exchange_n(&from->bytes, 0, __ATOMIC_ACQ_REL);
    }
    state->last_passed = __atomic_load_n(&place->last_passed, __ATOMIC_ACQUIRE);
    state->generation = read_word(&place->generation);
    state->epoch = read_word(&place->epoch);
    state->owner = place->owner;
}

void cfastpath_raise(struct fastpath_flow *place, const struct fastpath_flow *state) {
    for (int i = 0; i < 2; i++) {
        struct fastpath_side *const to = &place->side[i];
        const struct fastpath_side *const from = &state->side[i];
        raise(&to->end, from->end);
        raise(&to->edge, from->edge);
        raise(&to->acknowledged, from->acknowledged);
        raise_size(&to->window, from->window);
        if (!from->is_young)
            __atomic_store_n(&to->is_young, 0, __ATOMIC_RELEASE);
        if (!from->has_timestamp)
            continue;
        // One that lies before the latest was believed because that had become too old to say anything.
        if (read_byte(&to->has_timestamp) && (int32_t)(from->timestamp - read_word(&to->timestamp)) > 0)
            raise(&to->timestamp, from->timestamp);
        else
            __atomic_store_n(&to->timestamp, from->timestamp, __ATOMIC_RELEASE);
        __atomic_store_n(&to->has_timestamp, 1, __ATOMIC_RELEASE);
    }
}

void cfastpath_open_side(struct fastpath_flow *place, uint32_t side, uint32_t interface, uint32_t epoch) {
    if (read_word(&place->epoch) != epoch) {
        __atomic_store_n(&place->side[0].is_open, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&place->side[1].is_open, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&place->epoch, epoch, __ATOMIC_SEQ_CST);
    }
    struct fastpath_side *const opened = &place->side[side & 1];
    if (read_byte(&opened->is_open) && read_word(&opened->interface) == interface)
        return;
    __atomic_store_n(&opened->is_open, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&opened->interface, interface, __ATOMIC_SEQ_CST);
    __atomic_store_n(&opened->is_open, 1, __ATOMIC_SEQ_CST);
}

void cfastpath_close_gap(struct fastpath_flow *place, uint32_t side) {
    __atomic_store_n(&place->side[side & 1].has_gap, 0, __ATOMIC_RELEASE);
}

void cfastpath_set_lease(struct fastpath_cell *cell, uint64_t end) {
    __atomic_store_n(&cell->lease_end, end, __ATOMIC_SEQ_CST);
}

void cfastpath_set_epoch(struct fastpath_cell *cell, uint32_t epoch, uint32_t timestamp_window) {
    __atomic_store_n(&cell->timestamp_window, timestamp_window, __ATOMIC_SEQ_CST);
    __atomic_store_n(&cell->epoch, epoch, __ATOMIC_SEQ_CST);
}
