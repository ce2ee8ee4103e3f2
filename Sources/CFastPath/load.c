// SPDX-License-Identifier: GPL-3.0-or-later

#define _GNU_SOURCE

#include "cfastpath.h"

#include "calls.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/// The end of what the kernel says of a program that it refuses.
enum { LOG_SIZE = 1 << 20, LOG_SHOWN = 400, LARGEST_OBJECT = 1 << 20, RELOCATION_OF_MAP = 1 };

/// An object file in memory.
struct object {
    char *bytes;
    size_t size;
    const Elf64_Ehdr *header;
    const Elf64_Shdr *sections;
    const Elf64_Sym *symbols;
    size_t symbol_count;
    const char *names;
    size_t names_size;
    int maps_section;
    const char *licence;
};

static const char *const map_names[] = {
    "flows4", "flows6", "places", "cells", "outcomes", "listeners", "programs"};
enum { MAP_COUNT = sizeof map_names / sizeof *map_names };

static int *map_of(struct cfastpath *loaded, int index) {
    int *const all[MAP_COUNT] = {
        &loaded->flows4, &loaded->flows6,   &loaded->places,
        &loaded->cells,  &loaded->outcomes, &loaded->listeners, &loaded->programs};
    return all[index];
}

static int refuse(char *message, size_t capacity, int error, const char *what, const char *why) {
    snprintf(message, capacity, "%s: %s", what, why);
    return error;
}

static int read_whole(const char *path, struct object *object) {
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return errno;
    struct stat status;
    int error = 0;
    if (fstat(descriptor, &status) != 0)
        error = errno;
    else if (!S_ISREG(status.st_mode) || status.st_size < (off_t)sizeof(Elf64_Ehdr) || status.st_size > LARGEST_OBJECT)
        error = ENOEXEC;
    if (error == 0) {
        object->size = (size_t)status.st_size;
        object->bytes = malloc(object->size + 1);
        if (!object->bytes)
            error = ENOMEM;
        else if (read(descriptor, object->bytes, object->size) != (ssize_t)object->size)
            error = EIO;
        else
            object->bytes[object->size] = 0;
    }
    close(descriptor);
    return error;
}

/// FNV-1a. Nobody but root writes the file: chance alone has to be kept out.
static void write_label(const struct object *object, char label[CFASTPATH_LABEL]) {
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < object->size; i++)
        hash = (hash ^ (uint8_t)object->bytes[i]) * 0x100000001b3;
    snprintf(label, CFASTPATH_LABEL, "L%u_%012llx", (unsigned)FASTPATH_LAYOUT % 10, (unsigned long long)(hash >> 16));
}

int cfastpath_label(const char *path, char label[CFASTPATH_LABEL]) {
    struct object object;
    memset(&object, 0, sizeof object);
    const int error = read_whole(path, &object);
    if (error == 0)
        write_label(&object, label);
    free(object.bytes);
    return error;
}

static int lies_within(const struct object *object, uint64_t offset, uint64_t size) {
    return offset <= object->size && size <= object->size - offset;
}

/// Finds the sections; every offset that is used later is looked at here or where it is used.
static int index_sections(struct object *object) {
    const Elf64_Ehdr *const header = object->header = (const Elf64_Ehdr *)object->bytes;
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64 ||
        header->e_machine != EM_BPF || header->e_shentsize != sizeof(Elf64_Shdr) ||
        !lies_within(object, header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr)) ||
        header->e_shoff % 8 != 0 || header->e_shstrndx >= header->e_shnum)
        return ENOEXEC;
    object->sections = (const Elf64_Shdr *)(object->bytes + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++) {
        const Elf64_Shdr *const s = &object->sections[i];
        if (s->sh_type != SHT_NOBITS && (!lies_within(object, s->sh_offset, s->sh_size)))
            return ENOEXEC;
    }
    const Elf64_Shdr *const titles = &object->sections[header->e_shstrndx];
    for (int i = 0; i < header->e_shnum; i++) {
        const Elf64_Shdr *const s = &object->sections[i];
        if (s->sh_name >= titles->sh_size)
            return ENOEXEC;
        const char *const title = object->bytes + titles->sh_offset + s->sh_name;
        if (strcmp(title, "maps") == 0)
            object->maps_section = i;
        if (strcmp(title, "license") == 0)
            object->licence = object->bytes + s->sh_offset;
        if (s->sh_type == SHT_SYMTAB && s->sh_link < header->e_shnum && s->sh_offset % 8 == 0) {
            object->symbols = (const Elf64_Sym *)(object->bytes + s->sh_offset);
            object->symbol_count = s->sh_size / sizeof(Elf64_Sym);
            object->names = object->bytes + object->sections[s->sh_link].sh_offset;
            object->names_size = object->sections[s->sh_link].sh_size;
        }
    }
    return object->symbols && object->licence && object->maps_section > 0 ? 0 : ENOEXEC;
}

static const char *name_of(const struct object *object, const Elf64_Sym *symbol) {
    return symbol->st_name < object->names_size ? object->names + symbol->st_name : "";
}

/// The symbol of the section of maps that stands at this offset; -1 where it is none of ours.
static int map_at(const struct object *object, uint64_t offset) {
    for (size_t i = 0; i < object->symbol_count; i++) {
        const Elf64_Sym *const symbol = &object->symbols[i];
        if (symbol->st_shndx != object->maps_section || ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT ||
            symbol->st_value != offset)
            continue;
        for (int index = 0; index < MAP_COUNT; index++)
            if (strcmp(name_of(object, symbol), map_names[index]) == 0)
                return index;
    }
    return -1;
}

static uint32_t entries_of(int index, const struct cfastpath_sizes *sizes, uint32_t defined) {
    switch (index) {
    case 0: return sizes->flows4;
    case 1: return sizes->flows6;
    case 2: return sizes->places;
    default: return defined;
    }
}

static int make_maps(
    const struct object *object, const struct cfastpath_sizes *sizes, struct cfastpath *loaded, char *message,
    size_t capacity
) {
    const Elf64_Shdr *const section = &object->sections[object->maps_section];
    const size_t definition = 5 * sizeof(uint32_t);
    for (uint64_t offset = 0; offset + definition <= section->sh_size; offset += definition) {
        const int index = map_at(object, offset);
        if (index < 0)
            return refuse(message, capacity, ENOEXEC, "the object", "it has a map that is not known");
        uint32_t fields[5];
        memcpy(fields, object->bytes + section->sh_offset + offset, sizeof fields);
        union bpf_attr a;
        memset(&a, 0, sizeof a);
        a.map_type = fields[0];
        a.key_size = fields[1];
        a.value_size = fields[2];
        a.max_entries = entries_of(index, sizes, fields[3]);
        a.map_flags = fields[4];
        if (map_of(loaded, index) == &loaded->places)
            write_label(object, a.map_name);
        else
            snprintf(a.map_name, sizeof a.map_name, "portreeve_%.4s", map_names[index]);
        const int descriptor = cfastpath_bpf(BPF_MAP_CREATE, &a);
        if (descriptor < 0) {
            const int error = errno;
            return refuse(message, capacity, error, map_names[index], strerror(error));
        }
        *map_of(loaded, index) = descriptor;
    }
    for (int index = 0; index < MAP_COUNT; index++)
        if (*map_of(loaded, index) < 0)
            return refuse(message, capacity, ENOEXEC, map_names[index], "the object has no such map");
    return 0;
}

/// Puts the descriptors of maps where the instructions of a section name them.
static int relocate(
    const struct object *object, uint32_t section, struct bpf_insn *code, size_t count, struct cfastpath *loaded
) {
    for (int i = 0; i < object->header->e_shnum; i++) {
        const Elf64_Shdr *const s = &object->sections[i];
        if (s->sh_type != SHT_REL || s->sh_info != section)
            continue;
        for (size_t k = 0; k < s->sh_size / sizeof(Elf64_Rel); k++) {
            Elf64_Rel entry;
            memcpy(&entry, object->bytes + s->sh_offset + k * sizeof entry, sizeof entry);
            const uint64_t place = entry.r_offset / sizeof *code, symbol = ELF64_R_SYM(entry.r_info);
            if (ELF64_R_TYPE(entry.r_info) != RELOCATION_OF_MAP || place >= count || symbol >= object->symbol_count ||
                object->symbols[symbol].st_shndx != object->maps_section ||
                code[place].code != (BPF_LD | BPF_IMM | BPF_DW))
                return ENOEXEC;
            const int index = map_at(object, object->symbols[symbol].st_value);
            if (index < 0)
                return ENOEXEC;
            code[place].src_reg = BPF_PSEUDO_MAP_FD;
            code[place].imm = *map_of(loaded, index);
        }
    }
    return 0;
}

/// Loads it, and where it is refused, once more for the kernel's words about it.
static int load_code(
    const struct object *object, const char *name, const struct bpf_insn *code, size_t count, int *program, char *message,
    size_t capacity
) {
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    a.insns = (uint64_t)(uintptr_t)code;
    a.insn_cnt = (uint32_t)count;
    a.license = (uint64_t)(uintptr_t)object->licence;
    snprintf(a.prog_name, sizeof a.prog_name, "portreeve_%.4s", name);
    *program = cfastpath_bpf(BPF_PROG_LOAD, &a);
    if (*program >= 0)
        return 0;
    const int error = errno;
    char *const words = calloc(1, LOG_SIZE);
    if (!words)
        return refuse(message, capacity, error, name, strerror(error));
    a.log_buf = (uint64_t)(uintptr_t)words;
    a.log_size = LOG_SIZE;
    a.log_level = 1;
    const int again = cfastpath_bpf(BPF_PROG_LOAD, &a);
    if (again >= 0)
        close(again);
    const size_t length = strlen(words);
    snprintf(
        message, capacity, "%s: %s; the kernel says: %s", name, strerror(error),
        words + (length > LOG_SHOWN ? length - LOG_SHOWN : 0));
    free(words);
    return error;
}

static int load_program(
    const struct object *object, const char *name, int *program, struct cfastpath *loaded, char *message, size_t capacity
) {
    for (size_t i = 0; i < object->symbol_count; i++) {
        const Elf64_Sym *const symbol = &object->symbols[i];
        if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || strcmp(name_of(object, symbol), name) != 0 ||
            symbol->st_shndx >= object->header->e_shnum)
            continue;
        const Elf64_Shdr *const section = &object->sections[symbol->st_shndx];
        const size_t count = section->sh_size / sizeof(struct bpf_insn);
        struct bpf_insn *const code = malloc(count * sizeof *code + 1);
        if (!code)
            return refuse(message, capacity, ENOMEM, name, strerror(ENOMEM));
        memcpy(code, object->bytes + section->sh_offset, count * sizeof *code);
        int error = relocate(object, symbol->st_shndx, code, count, loaded);
        error = error != 0 ? refuse(message, capacity, error, name, "its relocations are not of maps alone")
                           : load_code(object, name, code, count, program, message, capacity);
        free(code);
        return error;
    }
    return refuse(message, capacity, ENOEXEC, name, "the object has no such program");
}

int cfastpath_load(
    const char *path, const struct cfastpath_sizes *sizes, struct cfastpath *loaded, char *message, size_t capacity
) {
    *loaded = (struct cfastpath){-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    struct object object;
    memset(&object, 0, sizeof object);
    int error = read_whole(path, &object);
    if (error != 0)
        refuse(message, capacity, error, path, strerror(error));
    else if ((error = index_sections(&object)) != 0)
        refuse(message, capacity, error, path, "it is no program for the kernel");
    if (error == 0)
        error = make_maps(&object, sizes, loaded, message, capacity);
    const struct {
        const char *name;
        int *descriptor;
    } programs[] = {
        {"judge4", &loaded->program4}, {"judge6", &loaded->program6}, {"fast4", &loaded->stub4}, {"fast6", &loaded->stub6}};
    for (size_t i = 0; i < sizeof programs / sizeof *programs && error == 0; i++)
        error = load_program(&object, programs[i].name, programs[i].descriptor, loaded, message, capacity);
    free(object.bytes);
    if (error != 0)
        cfastpath_close(loaded);
    return error;
}

void cfastpath_close(struct cfastpath *loaded) {
    int *const all[] = {&loaded->flows4,   &loaded->flows6,   &loaded->places,  &loaded->cells,
                        &loaded->outcomes, &loaded->listeners, &loaded->programs, &loaded->program4,
                        &loaded->program6, &loaded->stub4,    &loaded->stub6};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (*all[i] >= 0)
            close(*all[i]);
        *all[i] = -1;
    }
}
