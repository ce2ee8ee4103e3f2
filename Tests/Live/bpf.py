# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine's kernel says of programs and maps, by bpf(2): no tool for it is a package on every machine."""

import ctypes
import os
import platform

_NUMBER = {"x86_64": 321, "aarch64": 280}[platform.machine()]
_CREATE, _LOOK_UP, _PIN, _GET_PINNED, _MAP_BY_NUMBER, _INFO = 0, 1, 6, 7, 14, 15
_ARRAY = 2
_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command, attributes):
    # As large as the kernel's own for these commands.
    buffer = ctypes.create_string_buffer(attributes, 128)
    result = _libc.syscall(_NUMBER, command, buffer, len(buffer))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _pack(*fields):
    return b"".join(value.to_bytes(size, "little") for value, size in fields)


def pinned(path):
    """A descriptor of what has this name."""
    name = ctypes.create_string_buffer(path.encode())
    return _bpf(_GET_PINNED, _pack((ctypes.addressof(name), 8)))


def pin_array(path, name):
    """Gives an array of one number, which calls itself so, this name."""
    array = _bpf(_CREATE, _pack((_ARRAY, 4), (4, 4), (8, 4), (1, 4), (0, 4), (0, 4), (0, 4)) + name.encode().ljust(16, b"\0"))
    try:
        text = ctypes.create_string_buffer(path.encode())
        _bpf(_PIN, _pack((ctypes.addressof(text), 8), (array, 4)))
    finally:
        os.close(array)


def array_of(program):
    """A descriptor of the only map that a program uses."""
    numbers = (ctypes.c_uint32 * 1)()
    info = ctypes.create_string_buffer(256)
    # struct bpf_prog_info: nr_map_ids and map_ids stand at 52 and 56.
    info[52:56] = (1).to_bytes(4, "little")
    info[56:64] = ctypes.addressof(numbers).to_bytes(8, "little")
    _bpf(_INFO, _pack((program, 4), (len(info), 4), (ctypes.addressof(info), 8)))
    return _bpf(_MAP_BY_NUMBER, _pack((numbers[0], 4)))


def places_of(stub):
    """The places of the array of programs, from which the stub with this name goes on, that have a program. Holds nothing afterwards, but
    while it looks: an array that somebody holds is not emptied."""
    program = pinned(stub)
    try:
        array = array_of(program)
    finally:
        os.close(program)
    try:
        return [place for place in range(2) if _holds(array, place)]
    finally:
        os.close(array)


def _holds(array, place):
    key, value = ctypes.c_uint32(place), ctypes.c_uint32()
    try:
        _bpf(_LOOK_UP, _pack((array, 8), (ctypes.addressof(key), 8), (ctypes.addressof(value), 8), (0, 8)))
    except FileNotFoundError:
        return False
    return True
