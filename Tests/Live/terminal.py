# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal that a program thinks it has: tmux, on a server of its own."""

import os
import subprocess

from lab import wait_until


class Terminal:
    """Runs a command in so many columns and rows; `with` ends it."""

    def __init__(self, directory, command, columns, rows=24, **environment):
        self.socket = os.path.join(directory, f"tmux-{columns}-{id(self)}")
        self.columns, self.rows = columns, rows
        # tmux does not always learn it.
        self.status = self.socket + ".status"
        command = f"trap : INT; {command}; echo $? > {self.status}"
        settings = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", **environment}
        subprocess.run(["tmux", "-f", "/dev/null", "-S", self.socket, "new-session", "-d", "-x", str(columns), "-y", str(rows), command],
                       check=True, env=settings)
        self._tmux("set-option", "-g", "remain-on-exit", "on")

    def _tmux(self, *words):
        return subprocess.run(["tmux", "-S", self.socket, *words], check=True, capture_output=True, text=True, timeout=30).stdout

    def press(self, *keys):
        self._tmux("send-keys", *keys)

    def screen(self):
        """Its lines."""
        return self._tmux("capture-pane", "-p").split("\n")[:self.rows]

    def wait(self, text, what=None):
        """Waits until a text stands on it; returns the screen."""
        wait_until(lambda: any(text in line for line in self.screen()), what or f"{text!r} on the screen")
        return self.screen()

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def ended(self):
        """The exit status of the command; None while it runs."""
        try:
            with open(self.status) as file:
                return int(file.read() or "no")
        except (FileNotFoundError, ValueError):
            return None

    def page(self):
        """The screen with its colours, as HTML."""
        ansi = self._tmux("capture-pane", "-e", "-p")
        return subprocess.run(["aha", "--black"], input=ansi, check=True, capture_output=True, text=True).stdout

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._tmux("kill-server")
