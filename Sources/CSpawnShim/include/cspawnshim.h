// SPDX-License-Identifier: GPL-3.0-or-later

// Starting other programs. Swift's view of the C library leaves out what glibc offers beyond POSIX, and of that this needs
// memory files, sessions and the closing of all other descriptors. No policy here: arguments in, errno values out.

#ifndef CSPAWNSHIM_H
#define CSPAWNSHIM_H

#include <sys/types.h>

#pragma clang assume_nonnull begin

/// A file that lies in memory and goes with its last descriptor; not inherited. Returns the descriptor, or -1 and errno.
/// Pipes would have to be read and written at once, and a file on a full disk would be cut without a word.
int cspawn_memory_file(void);

/// Starts `path`, looked for in PATH, with the three files as its standard input, output and error.
/// `arguments` ends with a null pointer. Returns 0 and the process, or an errno value.
int cspawn_attached(const char *path, char *_Nullable const *_Nonnull arguments, const int *files, pid_t *process);

/// Starts `path` with `input` as its standard input and a pipe as its standard output, of which `output` is the other end; its standard
/// error is the caller's. Returns 0, the process and the descriptor, which is not inherited, or an errno value.
int cspawn_filter(
    const char *path, char *_Nullable const *_Nonnull arguments, int input, int *output, pid_t *process);

/// Starts `path` in a session of its own, in the root directory, with `output` as its standard output, no standard input
/// and error, and no other descriptor: nothing ties it to the terminal or the session of who started it.
/// Returns 0 and the process, or an errno value.
int cspawn_detached(const char *path, char *_Nullable const *_Nonnull arguments, int output, pid_t *process);

#pragma clang assume_nonnull end

#endif
