// SPDX-License-Identifier: GPL-3.0-or-later

#define _GNU_SOURCE

#include "cspawnshim.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <unistd.h>

extern char **environ;

int cspawn_memory_file(void) { return memfd_create("portreeve", MFD_CLOEXEC); }

int cspawn_attached(const char *path, char *const *arguments, const int *files, pid_t *process) {
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) return error;
    for (int standard = 0; standard < 3 && error == 0; standard++)
        error = posix_spawn_file_actions_adddup2(&actions, files[standard], standard);
    if (error == 0) error = posix_spawnp(process, path, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int cspawn_filter(const char *path, char *const *arguments, int input, int *output, pid_t *process) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return errno;
    const int files[3] = {input, ends[1], STDERR_FILENO};
    int error = cspawn_attached(path, arguments, files, process);
    close(ends[1]);
    if (error != 0)
        close(ends[0]);
    else
        *output = ends[0];
    return error;
}

static int detach_files(posix_spawn_file_actions_t *actions, int output) {
    int error = posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
    if (error == 0) error = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0) error = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    if (error == 0) error = posix_spawn_file_actions_addchdir_np(actions, "/");
    return error;
}

int cspawn_detached(const char *path, char *const *arguments, int output, pid_t *process) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) return error;
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        error = detach_files(&actions, output);
        if (error == 0) error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
        if (error == 0) error = posix_spawn(process, path, &actions, &attributes, arguments, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}
