# SPDX-License-Identifier: GPL-3.0-or-later
"""faults.py [SYSCALL:ERRNO[:ARGUMENT=VALUE|ARGUMENT>VALUE]]... -- COMMAND...: runs a command whose system calls fail.

A seccomp filter answers in the kernel's place (seccomp(2)), so the program under test is the real one, and what it is told is
what a kernel without memory, a policy module or an older kernel would say. The condition is on one argument's low 32 bits.
x86-64 only.
"""

import ctypes
import errno
import os
import re
import struct
import sys

NUMBERS = {"socket": 41, "connect": 42, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47, "bind": 49}
LOAD, EQUAL, GREATER, RETURN = 0x20, 0x15, 0x25, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000


def filter_of(faults):
    """The program: the first fault whose call and condition hold decides."""
    code = []
    for name, number, argument, operator, value in faults:
        test = [(EQUAL if operator == "=" else GREATER, 0, 1, value)] if argument is not None else []
        load = [(LOAD, 0, 0, 16 + 8 * argument)] if test else []
        block = [(LOAD, 0, 0, 0), (EQUAL, 0, len(load) + len(test) + 1, NUMBERS[name]), *load, *test,
                 (RETURN, 0, 0, FAIL | number)]
        code += block
    return code + [(RETURN, 0, 0, ALLOW)]


def install(code):
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in code))
    program = struct.pack("@HP", len(code), ctypes.addressof(instructions))
    # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP with SECCOMP_MODE_FILTER
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
        sys.exit(f"faults.py: seccomp: {os.strerror(ctypes.get_errno())}")


def parse(text):
    name, symbol, *condition = text.split(":")
    argument = operator = value = None
    if condition:
        argument, operator, value = re.fullmatch(r"(\d)([=>])(\d+)", condition[0]).groups()
        argument, value = int(argument), int(value)
    return name, getattr(errno, symbol), argument, operator, value


split = sys.argv.index("--")
install(filter_of([parse(word) for word in sys.argv[1:split]]))
os.execvp(sys.argv[split + 1], sys.argv[split + 1:])
