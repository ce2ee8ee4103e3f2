# SPDX-License-Identifier: GPL-3.0-or-later
"""load.py URL FOLDER [FILE]: rows that rsyslog writes to files in FOLDER, into ClickHouse by its HTTP interface, until it is ended.

URL is that of the interface, such as http://localhost:8123; FILE has `user:password` in its first line. Each INSERT has rows of one file.
Which ones is noted beside the file before they are sent: who was interrupted sends exactly these again, by the same token, and ClickHouse
makes an INSERT once. A row that is there twice, because a host sent again what was not confirmed in time, goes in once: the last two million
rows are known by their hashes, which takes some 200 MB at most. A file that is all in and two hours old is removed.
"""

import base64
import hashlib
import json
import os
import sys
import time
import urllib.request

ROWS, BYTES, PAUSE, KEPT, KNOWN = 10_000, 32 << 20, 1, 7_200, 1_000_000
INSERT = ("INSERT INTO portreeve.incoming SETTINGS insert_deduplication_token='{}', insert_deduplicate=1, "
          "deduplicate_blocks_in_dependent_materialized_views=1 FORMAT JSONEachRow\n")


def whole_rows(path, begin):
    """Rows from `begin` on that are written to their end, so many as one INSERT takes."""
    rows, size = [], 0
    with open(path, "rb") as file:
        file.seek(begin)
        for row in file:
            if not row.endswith(b"\n") or len(rows) == ROWS or size + len(row) > BYTES:
                break
            rows.append(row)
            size += len(row)
    return b"".join(rows)


class Known:
    """Rows that were seen lately: the last KNOWN of them at least, twice as many at most."""

    def __init__(self):
        self.new, self.old = set(), set()

    def unseen(self, rows):
        """Those of the rows that were not seen before."""
        found = []
        for row in rows.splitlines(keepends=True):
            key = hashlib.blake2b(row, digest_size=8).digest()
            if key not in self.new and key not in self.old:
                found.append(row)
            self.new.add(key)
            if len(self.new) >= KNOWN:
                self.new, self.old = set(), self.new
        return b"".join(found)

    def forget(self, rows):
        """They are not in."""
        keys = {hashlib.blake2b(row, digest_size=8).digest() for row in rows.splitlines(keepends=True)}
        self.new -= keys
        self.old -= keys

    def recall(self, folder):
        """After a start: what the newest files have that is in already."""
        for name in sorted(name for name in os.listdir(folder) if name.endswith(".rows"))[-2:]:
            path = os.path.join(folder, name)
            left = Place(path).done
            with open(path, "rb") as file:
                while left > 0:
                    rows = b"".join(file.readlines(min(left, BYTES)))[:left]
                    left -= len(rows)
                    self.unseen(rows)


class Place:
    """How far a file is in ClickHouse, and what may be on its way there: PATH.place."""

    def __init__(self, path):
        self.path, self.done, self.sent = path + ".place", 0, 0
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as file:
                self.done, self.sent = json.load(file)

    def note(self, done, sent):
        self.done, self.sent = done, sent
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump([done, sent], file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.path + ".new", self.path)


def load(path, insert, known):
    """Takes what is new in a file; returns whether there was anything."""
    place = Place(path)
    if place.sent > place.done:
        with open(path, "rb") as file:
            file.seek(place.done)
            rows = file.read(place.sent - place.done)
    else:
        rows = whole_rows(path, place.done)
        if not rows:
            if time.time() - os.path.getmtime(path) > KEPT and place.done == os.path.getsize(path):
                os.remove(path)
                os.remove(place.path)
            return False
        place.note(place.done, place.done + len(rows))
    fresh = known.unseen(rows)
    try:
        if fresh:
            insert(f"{os.path.basename(path)}:{place.done}-{place.sent}", fresh)
    except OSError:
        known.forget(fresh)
        raise
    place.note(place.sent, place.sent)
    return True


def main():
    url, folder = sys.argv[1:3]
    headers = {}
    if len(sys.argv) > 3:
        with open(sys.argv[3], "rb") as file:
            headers["Authorization"] = "Basic " + base64.b64encode(file.readline().strip()).decode()

    def insert(token, rows):
        request = urllib.request.Request(url, data=INSERT.format(token).encode() + rows, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()

    known, trouble = Known(), None
    known.recall(folder)
    while True:
        went_on = False
        try:
            for name in sorted(os.listdir(folder)):
                if name.endswith(".rows"):
                    went_on = load(os.path.join(folder, name), insert, known) or went_on
            if trouble:
                print("rows go in again", flush=True)
            trouble = None
        except OSError as error:
            if str(error) != trouble:
                trouble = str(error)
                print(f"rows wait: {trouble}", file=sys.stderr, flush=True)
        if not went_on:
            time.sleep(PAUSE)


main()
