// SPDX-License-Identifier: GPL-3.0-or-later

#ifndef CFASTPATH_CALLS_H
#define CFASTPATH_CALLS_H

#include <linux/bpf.h>

/// bpf(2), for which the C library has no function. Returns what the kernel does, with `errno`.
int cfastpath_bpf(int command, union bpf_attr *attributes);

#endif
