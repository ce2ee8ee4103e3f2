# SPDX-License-Identifier: GPL-3.0-or-later
"""A page as a browser shows it: Chromium without a window draws it, and its picture is read back."""

import os
import shutil
import struct
import subprocess
import tempfile
import zlib

BROWSER = shutil.which("chromium-headless-shell") or shutil.which("chromium")


def _run(page, directory, *options):
    words = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             "--force-color-profile=srgb", f"--user-data-dir={directory}", *options, f"file://{os.path.abspath(page)}"]
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120, check=True).stdout


def screenshot(page, picture, width=1280, height=900, scheme="light"):
    """As somebody sees it whose desktop is light, or dark."""
    with tempfile.TemporaryDirectory() as directory:
        _run(page, directory, f"--window-size={width},{height}", f"--screenshot={picture}",
             f"--blink-settings=preferredColorScheme={('dark', 'light').index(scheme)}")


def document(page):
    """The page's document as the browser has it."""
    with tempfile.TemporaryDirectory() as directory:
        return _run(page, directory, "--dump-dom").decode()


def colours(picture):
    """How many pixels of a PNG file have each colour, as (red, green, blue)."""
    data = open(picture, "rb").read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert depth == 8 and colour in (2, 6), (depth, colour)
            size = 3 if colour == 2 else 4
        packed += body if kind == b"IDAT" else b""
        at += 12 + length
    raw, found, before = zlib.decompress(packed), {}, bytearray(width * size)
    for row in range(height):
        start = row * (width * size + 1)
        line = _unfiltered(raw[start], bytearray(raw[start + 1:start + 1 + width * size]), before, size)
        for pixel in range(0, len(line), size):
            key = (line[pixel], line[pixel + 1], line[pixel + 2])
            found[key] = found.get(key, 0) + 1
        before = line
    return found


def _unfiltered(kind, line, before, size):
    """One row of a PNG without its filter (ISO 15948 section 9)."""
    for index in range(len(line) if kind else 0):
        left = line[index - size] if index >= size else 0
        above, corner = before[index], before[index - size] if index >= size else 0
        if kind == 4:
            guess = left + above - corner
            distances = [(abs(guess - left), 0, left), (abs(guess - above), 1, above), (abs(guess - corner), 2, corner)]
            add = min(distances)[2]
        else:
            add = (0, left, above, (left + above) // 2)[kind]
        line[index] = (line[index] + add) & 255
    return line
