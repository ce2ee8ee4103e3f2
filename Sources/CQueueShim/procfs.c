// SPDX-License-Identifier: GPL-3.0-or-later

#define _GNU_SOURCE

#include "cqueueshim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

ssize_t prq_read_file(const char *path, uint8_t *buffer, size_t capacity) {
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return -errno;
    size_t used = 0;
    ssize_t length = 0;
    while (used < capacity) {
        length = read(descriptor, buffer + used, capacity - used);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            break;
        used += (size_t)length;
    }
    const int error = errno;
    close(descriptor);
    return length < 0 ? -error : (ssize_t)used;
}

static bool is_procfs_file(int descriptor, const char *name) {
    struct statfs system;
    if (fstatfs(descriptor, &system) < 0 || system.f_type != PROC_SUPER_MAGIC)
        return false;
    char link[64], path[256];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    const ssize_t length = readlink(link, path, sizeof path - 1);
    const size_t tail = strlen(name);
    if (length < 0 || (size_t)length < tail)
        return false;
    path[length] = 0;
    return strcmp(path + length - tail, name) == 0;
}

ssize_t prq_read_inherited(int descriptor, const char *name, uint8_t *buffer, size_t capacity) {
    if (!is_procfs_file(descriptor, name))
        return -EBADF;
    size_t used = 0;
    while (used < capacity) {
        const ssize_t length = pread(descriptor, buffer + used, capacity - used, (off_t)used);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return -errno;
        if (length == 0)
            break;
        used += (size_t)length;
    }
    return (ssize_t)used;
}

/// Whether one of the files that the process has open is the socket that `link` describes.
static bool has_open(const char *process, const char *link) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/fd", process);
    DIR *descriptors = opendir(path);
    if (!descriptors)
        return false;
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(descriptors));) {
        char target[64];
        const ssize_t length = readlinkat(dirfd(descriptors), entry->d_name, target, sizeof target - 1);
        if (length > 0) {
            target[length] = 0;
            found = strcmp(target, link) == 0;
        }
    }
    closedir(descriptors);
    return found;
}

pid_t prq_socket_owner(uint64_t inode) {
    char link[64];
    snprintf(link, sizeof link, "socket:[%" PRIu64 "]", inode);
    DIR *processes = opendir("/proc");
    if (!processes)
        return 0;
    pid_t owner = 0;
    // The service manager keeps sockets for others: it is the answer only if nobody else has this one.
    for (struct dirent *entry; owner <= 1 && (entry = readdir(processes));) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && has_open(entry->d_name, link))
            owner = (pid_t)atoi(entry->d_name);
    }
    closedir(processes);
    return owner;
}

const char *prq_error_text(int error) {
    const char *text = strerrordesc_np(error);
    return text ? text : "unknown error";
}
