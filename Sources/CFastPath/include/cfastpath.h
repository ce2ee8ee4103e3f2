// SPDX-License-Identifier: GPL-3.0-or-later
//
// The system calls around the program of the fast path: loading it, pinning it, and its maps. No policy and no logging here. The
// object is read without libbpf: it has one section of maps, no types, and relocations of one kind.

#ifndef CFASTPATH_H
#define CFASTPATH_H

#include <stddef.h>
#include <stdint.h>

#include "fastpath_layout.h"

#pragma clang assume_nonnull begin

/// How many entries the maps have.
struct cfastpath_sizes {
    uint32_t flows4;
    uint32_t flows6;
    uint32_t places;
};

/// The descriptors of what was loaded, each closed on exec; -1 for none.
struct cfastpath {
    int flows4;
    int flows6;
    int places;
    int cells;
    int outcomes;
    int listeners;
    /// The array from which the stubs go on. The kernel empties it when its last descriptor is closed and it has no name.
    int programs;
    int program4;
    int program6;
    /// What rules name.
    int stub4;
    int stub6;
};

/// Makes the maps and loads the programs of an object file.
///
/// - Returns: 0, or an `errno` value; `message` says then what was refused, with the end of the kernel's own words.
int cfastpath_load(
    const char *object, const struct cfastpath_sizes *sizes, struct cfastpath *loaded, char *message, size_t capacity);

/// The longest label with its end, as the kernel bounds names of maps.
enum { CFASTPATH_LABEL = 16 };

/// What tells the object in this file from others: the number of the layout, and a hash of its bytes. The array of states has it for a
/// name. Returns 0 or an `errno` value.
int cfastpath_label(const char *path, char label[_Nonnull CFASTPATH_LABEL]);

/// The label by which a map was made; empty where that cannot be known.
void cfastpath_label_of(int map, char label[_Nonnull CFASTPATH_LABEL]);

/// Closes every descriptor.
void cfastpath_close(struct cfastpath *loaded);

/// Gives a map or a program a name in a file system of the type bpf. Returns 0 or an `errno` value.
int cfastpath_pin(int descriptor, const char *path);

/// Opens what has this name. Returns a descriptor, or the negative of an `errno` value.
int cfastpath_open(const char *path);

/// How many entries a map has room for; 0 where that cannot be known (`errno`).
uint32_t cfastpath_entries(int map);

/// The kernel's number of a map; 0 where that cannot be known (`errno`).
uint32_t cfastpath_identity(int map);

/// The memory of an array that may be mapped, for both to read and write; null where it cannot be had (`errno`).
void *_Nullable cfastpath_memory(int array, size_t length);
void cfastpath_release(void *memory, size_t length);

/// Puts entries into a map, replacing what has the same keys. Returns 0 or an `errno` value; `*count` is how many went in.
int cfastpath_put(int map, const void *keys, const void *values, uint32_t *count);

/// Takes entries out of a map; what is not in it is passed over.
void cfastpath_remove(int map, const void *keys, size_t key_size, uint32_t count);

/// Takes every entry out of a hash. Returns 0 or an `errno` value.
int cfastpath_empty(int map, size_t key_size);

/// How often each outcome came, of all processors together. Returns 0 or an `errno` value.
int cfastpath_outcomes(int map, uint64_t counts[_Nonnull FASTPATH_OUTCOMES]);

/// Has openings to a listener pass in an epoch, of which none has passed yet. Returns 0 or an `errno` value.
int cfastpath_open_listener(int map, const struct fastpath_listener_key *key, uint32_t epoch);

/// How many openings to a listener have passed. Returns 0 or an `errno` value.
int cfastpath_openings(int map, const struct fastpath_listener_key *key, uint64_t *passed);

/// Has the stubs go on with these programs. Returns 0 or an `errno` value.
int cfastpath_connect(int programs, int program4, int program6);

/// Has the stubs say no.
void cfastpath_disconnect(int programs);

/// Opens the array from which a stub goes on, which may have no name and no holder; takes the rights of root. Returns a descriptor, or the
/// negative of an `errno` value.
int cfastpath_programs_of(int stub);

/// Runs a program on one Ethernet frame as if it had come by this interface. Returns 0 or an `errno` value.
int cfastpath_try(int program, const void *frame, size_t length, uint32_t interface, uint32_t *verdict);

/// Whether a directory is the top of, or within, a file system of the type bpf.
int cfastpath_is_bpf(const char *directory);

/// Mounts one there, for its owner alone. Returns 0 or an `errno` value.
int cfastpath_mount(const char *directory);

// A flow's state, which the kernel may be moving at the same time.

/// Puts a state into a place. It counts from when its generation, the last that is written, is there.
void cfastpath_begin(struct fastpath_flow *place, const struct fastpath_flow *state);

/// No packet passes by this place any more, but those that a processor has in hand.
void cfastpath_end(struct fastpath_flow *place);

/// The state as it is now. What was counted since the last time is taken along: the place counts from 0 again.
void cfastpath_take_up(struct fastpath_flow *place, struct fastpath_flow *state);

/// Moves the bounds of a place up to those of a state.
void cfastpath_raise(struct fastpath_flow *place, const struct fastpath_flow *state);

/// Lets packets of one side pass that come by this interface, in an epoch. What was open in an earlier one is closed first.
void cfastpath_open_side(struct fastpath_flow *place, uint32_t side, uint32_t interface, uint32_t epoch);

/// What was not seen before the number of the gap has come since.
void cfastpath_close_gap(struct fastpath_flow *place, uint32_t side);

void cfastpath_set_lease(struct fastpath_cell *cell, uint64_t end);
void cfastpath_set_epoch(struct fastpath_cell *cell, uint32_t epoch, uint32_t timestamp_window);

#pragma clang assume_nonnull end

#endif
