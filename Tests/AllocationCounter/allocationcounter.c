// SPDX-License-Identifier: GPL-3.0-or-later

// Stands before glibc's allocator under the same names. Linked into a program it counts for the program itself; built as
// a shared object and preloaded, it writes the counts to the file that PORTREEVE_ALLOCATIONS names, where a test reads
// them while the program runs.

#include "allocationcounter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// glibc's allocator under the names that programs do not replace.
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

#define SLOTS 256

/// One thread's count. 16 bytes, as the file has them.
struct slot {
    uint64_t thread;
    uint64_t count;
};

static struct slot own_slots[SLOTS];
static struct slot *slots = own_slots;
static atomic_uint slots_used;
/// Set at the thread's first allocation. Threads beyond the last slot share it.
static __thread struct slot *slot __attribute__((tls_model("initial-exec")));

__attribute__((unused)) static void note(void) {
    if (!slot) {
        unsigned number = atomic_fetch_add(&slots_used, 1);
        slot = &slots[number < SLOTS ? number : SLOTS - 1];
        slot->thread = (uint64_t)syscall(SYS_gettid);
    }
    slot->count++;
}

__attribute__((constructor)) static void open_file(void) {
    const char *path = getenv("PORTREEVE_ALLOCATIONS");
    int file = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file < 0)
        return;
    if (ftruncate(file, sizeof own_slots) == 0) {
        void *shared = mmap(NULL, sizeof own_slots, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (shared != MAP_FAILED)
            slots = shared;
    }
    close(file);
    slot = NULL;
}

uint64_t pac_allocations(void) { return slot ? slot->count : 0; }

#ifndef __has_feature
#define __has_feature(name) 0
#endif

// A sanitizer has an allocator of its own, which is left in peace: nothing is counted then.
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)

void *malloc(size_t size) {
    note();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    note();
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size) {
    note();
    return __libc_realloc(block, size);
}

void *memalign(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    note();
    void *made = __libc_memalign(alignment, size);
    if (!made)
        return ENOMEM;
    *block = made;
    return 0;
}

#endif
