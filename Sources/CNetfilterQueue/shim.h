// SPDX-License-Identifier: GPL-3.0-or-later
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
