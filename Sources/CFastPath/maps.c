// SPDX-License-Identifier: GPL-3.0-or-later

#define _GNU_SOURCE

#include "cfastpath.h"

#include "calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t address(const void *pointer) { return (uint64_t)(uintptr_t)pointer; }

int cfastpath_bpf(int command, union bpf_attr *attributes) {
    return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

int cfastpath_pin(int descriptor, const char *path) {
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.bpf_fd = (uint32_t)descriptor;
    a.pathname = address(path);
    return cfastpath_bpf(BPF_OBJ_PIN, &a) == 0 ? 0 : errno;
}

int cfastpath_open(const char *path) {
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.pathname = address(path);
    const int descriptor = cfastpath_bpf(BPF_OBJ_GET, &a);
    return descriptor >= 0 ? descriptor : -errno;
}

/// All zero where that cannot be known.
static struct bpf_map_info describe(int map) {
    struct bpf_map_info described;
    memset(&described, 0, sizeof described);
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.info.bpf_fd = (uint32_t)map;
    a.info.info_len = sizeof described;
    a.info.info = address(&described);
    if (cfastpath_bpf(BPF_OBJ_GET_INFO_BY_FD, &a) != 0)
        memset(&described, 0, sizeof described);
    return described;
}

uint32_t cfastpath_entries(int map) { return describe(map).max_entries; }
uint32_t cfastpath_identity(int map) { return describe(map).id; }

void cfastpath_label_of(int map, char label[CFASTPATH_LABEL]) {
    const struct bpf_map_info described = describe(map);
    _Static_assert(sizeof described.name == CFASTPATH_LABEL, "as long as the kernel's names");
    memcpy(label, described.name, CFASTPATH_LABEL);
    label[CFASTPATH_LABEL - 1] = 0;
}

void *cfastpath_memory(int array, size_t length) {
    void *const memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, array, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void cfastpath_release(void *memory, size_t length) { munmap(memory, length); }

int cfastpath_put(int map, const void *keys, const void *values, uint32_t *count) {
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.batch.map_fd = (uint32_t)map;
    a.batch.keys = address(keys);
    a.batch.values = address(values);
    a.batch.count = *count;
    const int status = cfastpath_bpf(BPF_MAP_UPDATE_BATCH, &a);
    const int error = errno;
    *count = status == 0 || a.batch.count < *count ? a.batch.count : 0;
    return status == 0 ? 0 : error;
}

static int delete_one(int map, const void *key) {
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.map_fd = (uint32_t)map;
    a.key = address(key);
    return cfastpath_bpf(BPF_MAP_DELETE_ELEM, &a) == 0 ? 0 : errno;
}

void cfastpath_remove(int map, const void *keys, size_t key_size, uint32_t count) {
    const char *key = keys;
    while (count > 0) {
        union bpf_attr a;
        memset(&a, 0, sizeof a);
        a.batch.map_fd = (uint32_t)map;
        a.batch.keys = address(key);
        a.batch.count = count;
        if (cfastpath_bpf(BPF_MAP_DELETE_BATCH, &a) == 0)
            return;
        // It ends at the first that is not there.
        const uint32_t done = a.batch.count < count ? a.batch.count : 0;
        delete_one(map, key + done * key_size);
        key += (done + 1) * key_size;
        count -= done + 1;
    }
}

int cfastpath_empty(int map, size_t key_size) {
    char key[sizeof(struct fastpath_key6)];
    _Static_assert(sizeof(struct fastpath_listener_key) <= sizeof key, "the largest key");
    if (key_size > sizeof key)
        return EINVAL;
    for (;;) {
        union bpf_attr a;
        memset(&a, 0, sizeof a);
        a.map_fd = (uint32_t)map;
        a.next_key = address(key);
        if (cfastpath_bpf(BPF_MAP_GET_NEXT_KEY, &a) != 0)
            return errno == ENOENT ? 0 : errno;
        const int error = delete_one(map, key);
        if (error != 0 && error != ENOENT)
            return error;
    }
}

/// As many copies as the kernel gives: one for each processor that there may be.
static long possible_processors(void) {
    const long configured = sysconf(_SC_NPROCESSORS_CONF);
    // A machine may have room for more than are configured. What is too much costs memory only.
    return configured < 1024 ? 1024 : configured;
}

int cfastpath_outcomes(int map, uint64_t counts[FASTPATH_OUTCOMES]) {
    struct fastpath_processor *const copies = calloc((size_t)possible_processors(), sizeof *copies);
    if (!copies)
        return ENOMEM;
    const uint32_t first = 0;
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.map_fd = (uint32_t)map;
    a.key = address(&first);
    a.value = address(copies);
    const int error = cfastpath_bpf(BPF_MAP_LOOKUP_ELEM, &a) == 0 ? 0 : errno;
    for (uint32_t outcome = 0; outcome < FASTPATH_OUTCOMES; outcome++) {
        counts[outcome] = 0;
        for (long processor = 0; processor < possible_processors(); processor++)
            counts[outcome] += copies[processor].counts[outcome];
    }
    free(copies);
    return error;
}

int cfastpath_open_listener(int map, const struct fastpath_listener_key *key, uint32_t epoch) {
    const struct fastpath_listener listener = {epoch, 0, 0};
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.map_fd = (uint32_t)map;
    a.key = address(key);
    a.value = address(&listener);
    a.flags = BPF_ANY;
    return cfastpath_bpf(BPF_MAP_UPDATE_ELEM, &a) == 0 ? 0 : errno;
}

int cfastpath_openings(int map, const struct fastpath_listener_key *key, uint64_t *passed) {
    struct fastpath_listener listener;
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.map_fd = (uint32_t)map;
    a.key = address(key);
    a.value = address(&listener);
    if (cfastpath_bpf(BPF_MAP_LOOKUP_ELEM, &a) != 0)
        return errno;
    *passed = listener.passed;
    return 0;
}

int cfastpath_connect(int programs, int program4, int program6) {
    const int descriptors[FASTPATH_PROGRAMS] = {[FASTPATH_PROGRAM4] = program4, [FASTPATH_PROGRAM6] = program6};
    for (uint32_t place = 0; place < FASTPATH_PROGRAMS; place++) {
        union bpf_attr a;
        memset(&a, 0, sizeof a);
        a.map_fd = (uint32_t)programs;
        a.key = address(&place);
        a.value = address(&descriptors[place]);
        a.flags = BPF_ANY;
        if (cfastpath_bpf(BPF_MAP_UPDATE_ELEM, &a) != 0) {
            const int error = errno;
            cfastpath_disconnect(programs);
            return error;
        }
    }
    return 0;
}

void cfastpath_disconnect(int programs) {
    for (uint32_t place = 0; place < FASTPATH_PROGRAMS; place++)
        delete_one(programs, &place);
}

int cfastpath_programs_of(int stub) {
    struct bpf_prog_info described;
    uint32_t map = 0;
    memset(&described, 0, sizeof described);
    described.nr_map_ids = 1;
    described.map_ids = address(&map);
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.info.bpf_fd = (uint32_t)stub;
    a.info.info_len = sizeof described;
    a.info.info = address(&described);
    if (cfastpath_bpf(BPF_OBJ_GET_INFO_BY_FD, &a) != 0)
        return -errno;
    // A stub has this map and no other.
    if (described.nr_map_ids != 1)
        return -ENOENT;
    memset(&a, 0, sizeof a);
    a.map_id = map;
    const int descriptor = cfastpath_bpf(BPF_MAP_GET_FD_BY_ID, &a);
    return descriptor >= 0 ? descriptor : -errno;
}

int cfastpath_try(int program, const void *frame, size_t length, uint32_t interface, uint32_t *verdict) {
    struct __sk_buff packet;
    memset(&packet, 0, sizeof packet);
    packet.ingress_ifindex = interface;
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.test.prog_fd = (uint32_t)program;
    a.test.data_in = address(frame);
    a.test.data_size_in = (uint32_t)length;
    a.test.ctx_in = address(&packet);
    a.test.ctx_size_in = sizeof packet;
    a.test.repeat = 1;
    if (cfastpath_bpf(BPF_PROG_TEST_RUN, &a) != 0)
        return errno;
    *verdict = a.test.retval;
    return 0;
}

int cfastpath_is_bpf(const char *directory) {
    struct statfs status;
    return statfs(directory, &status) == 0 && (uint32_t)status.f_type == BPF_FS_MAGIC;
}

int cfastpath_mount(const char *directory) {
    return mount("bpf", directory, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0750") == 0 ? 0 : errno;
}
