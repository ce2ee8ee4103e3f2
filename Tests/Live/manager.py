# SPDX-License-Identifier: GPL-3.0-or-later
"""A service manager's side of sd_notify(3), for an agent in the lab: it hears what the agent says, keeps the descriptors
that the agent gives it, and hands them to the agent's next run. The kernel does for them what it does for systemd's."""

import array
import ctypes
import fcntl
import os
import socket
import threading
import time

from agent import Agent, binaries
from lab import wait_until

# Numbers that no program of the lab uses.
FIRST_KEPT = 200


class Manager:
    """Keeps one service's descriptors. `said` is every assignment heard, in order, with the time."""

    def __init__(self, address, namespace):
        self.address, self.namespace = address, namespace
        self.said, self.kept = [], {}
        self._socket = None
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        wait_until(lambda: self._socket, "the manager listens")

    def _open(self):
        """Names of the abstract namespace are of one network namespace: the agent's."""
        with open(f"/run/netns/{self.namespace.name}") as network:
            if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), 0):
                raise OSError(ctypes.get_errno(), "setns")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind("\0" + self.address[1:] if self.address[0] == "@" else self.address)
        if self.address[0] != "@":
            os.chmod(self.address, 0o777)
        self._socket = listener

    def _listen(self):
        self._open()
        while True:
            try:
                message, control, _, _ = self._socket.recvmsg(8192, socket.CMSG_SPACE(64 * 4))
            except OSError:
                return
            if not message:
                return
            descriptors = array.array("i")
            for level, kind, content in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors.frombytes(content[:len(content) // 4 * 4])
            self._hear(message.decode().splitlines(), list(descriptors))

    def _hear(self, assignments, descriptors):
        words = dict(line.split("=", 1) for line in assignments)
        name = words.get("FDNAME", "stored")
        if words.get("FDSTOREREMOVE") == "1":
            self.drop(name)
        if words.get("FDSTORE") == "1":
            for descriptor in descriptors:
                # The same socket once more is no second one.
                known = {os.fstat(kept).st_ino for kept in self.kept.get(name, [])}
                if os.fstat(descriptor).st_ino not in known:
                    self.kept.setdefault(name, []).append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_KEPT))
        for descriptor in descriptors:
            os.close(descriptor)
        self.said += [(time.monotonic(), line) for line in assignments]

    def drop(self, name=None):
        """Closes what is kept under a name, or everything."""
        for key in [name] if name else list(self.kept):
            for descriptor in self.kept.pop(key, []):
                os.close(descriptor)

    def keep(self, name, descriptor):
        """Has something kept that the agent never gave."""
        self.kept.setdefault(name, []).append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_KEPT))

    def words(self, *names):
        """The assignments of these names heard so far; all without one."""
        return [line for _, line in self.said if not names or line.split("=")[0] in names]

    def close(self):
        self.drop()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


class ManagedAgent(Agent):
    """portreeved under a manager. `user`: as that user, with no capability but CAP_NET_ADMIN, as the unit runs it."""

    def __init__(self, *arguments, user=None, watchdog=None, abstract=False, **options):
        super().__init__(*arguments, **options)
        self.user, self.watchdog, self.has_ended = user, watchdog, False
        path = os.path.join(self.directory, "notify")
        self.manager = Manager("@" + path if abstract else path, self.namespace)
        # Beside the control socket.
        self.state = os.path.join(self.directory, "state")
        if user:
            os.chown(self.directory, user, user)

    def launch(self):
        """Starts it, with what is kept from the run before."""
        kept = [(name, descriptor) for name, all in self.manager.kept.items() for descriptor in all]
        environment = {"NOTIFY_SOCKET": self.manager.address}
        if self.watchdog:
            environment["WATCHDOG_USEC"] = str(self.watchdog)
        if kept:
            environment |= {"LISTEN_FDS": str(len(kept)), "LISTEN_FDNAMES": ":".join(name for name, _ in kept)}
        places = " ".join(f"{3 + place}<&{descriptor}-" for place, (_, descriptor) in enumerate(kept))
        # As systemd opens StandardInput=file: for a user who may not.
        table = "" if self.user is None else "</proc/self/net/netfilter/nfnetlink_queue"
        words = [os.path.join(binaries(), "portreeved"), "--policy", self.policy, "--control", self.control,
                 "--queue", self.queue_argument]
        if self.user:
            words = ["setpriv", "--reuid", self.user, "--regid", self.user, "--clear-groups", "--inh-caps", "+net_admin",
                     "--ambient-caps", "+net_admin", "--bounding-set", "-all,+net_admin", *words]
        self._heard = len(self.manager.said)
        self.process = self.namespace.start(
            "bash", "-c", f'export LISTEN_PID=$$; exec "$@" {table} {places}', "bash", *words, name=self.name,
            environment=environment, descriptors=[descriptor for _, descriptor in kept])
        return self

    def start(self, seconds=30):
        self.launch()
        wait_until(lambda: "READY=1" in [line for _, line in self.manager.said[self._heard:]], "READY=1", seconds,
                   self.process)
        return self

    def restart(self):
        """As systemd does: SIGTERM, the end, the next run."""
        status = self.stop()
        self.start()
        return status

    def end(self):
        if not self.has_ended:
            self.stop()
            self.manager.close()
        self.has_ended = True
