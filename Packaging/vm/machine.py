# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual machine under qemu, and the line by line report of what runs inside."""

import json
import os
import subprocess
import time

QEMU = "qemu-system-x86_64"
MEMORY = "1024"
KERNEL_LINE = "root=/dev/vda rw console=ttyS0 quiet net.ifnames=0 mitigations=off systemd.show_status=no panic=-1"


class Machine:
    """Boots from `base`; what is written to its disk is forgotten at the end. `tests` is a directory that it sees."""

    def __init__(self, base, tests, directory):
        self.report_path, self.console_path, self.complaints = (
            os.path.join(directory, name) for name in ("report", "console", "qemu"))
        disk = os.path.join(directory, "tests.ext4")
        open(self.report_path, "wb").close()
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-L", "tests", "-d", tests, disk, "256M"], check=True,
                       stdout=subprocess.DEVNULL)
        self.process = subprocess.Popen(
            [QEMU, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", MEMORY,
             "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-device", "virtio-rng-pci",
             "-kernel", base.kernel, "-initrd", base.initrd, "-append", KERNEL_LINE,
             "-drive", f"if=none,id=root,format=raw,snapshot=on,file={base.disk}", "-device", "virtio-blk-pci,drive=root",
             "-drive", f"if=none,id=tests,format=raw,readonly=on,file={disk}", "-device", "virtio-blk-pci,drive=tests",
             "-device", "virtio-serial-pci", "-chardev", f"file,id=report,path={self.report_path}",
             "-device", "virtserialport,chardev=report,name=report", "-serial", f"file:{self.console_path}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.complaints, "wb"),
            env={**os.environ, "TMPDIR": directory})

    def report(self, until):
        """The lines of the report as they come, until the machine ends or the monotonic time `until`."""
        with open(self.report_path, errors="replace") as file:
            line = ""
            while True:
                line += file.readline()
                if line.endswith("\n"):
                    yield json.loads(line)
                    line = ""
                elif self.process.poll() is not None or time.monotonic() > until:
                    return
                else:
                    time.sleep(0.2)

    def console(self, lines=40):
        """The end of what it wrote to its console, and what qemu said."""
        text = []
        for path in (self.console_path, self.complaints):
            if os.path.exists(path):
                with open(path, errors="replace") as file:
                    text += file.readlines()[-lines:]
        return "".join(text)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
