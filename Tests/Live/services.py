# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers for the lab. Each function starts one in a namespace, waits until it listens, and returns its process."""

import os
import pwd

import isolation
from lab import wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


def nginx(namespace, files=None, port=80, limit=""):
    """Serves `files` ({name: bytes}) over IPv4 and IPv6; `limit` are more words of the server's block."""
    lab = namespace.lab
    root = lab.file(f"www-{port}")
    os.mkdir(root)
    for name, content in (files or {"index.html": b"portreeve lab\n"}).items():
        lab.file(os.path.join(root, name), content)
    settings = lab.file(f"nginx-{port}.conf", f"""
        daemon off; user root; worker_processes 1; pid {root}/.pid; error_log stderr;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; sendfile on; client_body_temp_path {root}/.body; proxy_temp_path {root}/.proxy;
            fastcgi_temp_path {root}/.fastcgi; uwsgi_temp_path {root}/.uwsgi; scgi_temp_path {root}/.scgi;
            server {{ listen {port} backlog=1024; listen [::]:{port} backlog=1024; root {root}; {limit} }}
        }}""")
    process = namespace.start("nginx", "-e", "stderr", "-c", settings, name=f"nginx-{port}")
    wait_until(lambda: namespace.listens(port), f"nginx listens on {port}", process=process)
    return process


class SSH:
    """An sshd with keys of its own, and the client's command lines for it."""

    def __init__(self, namespace, port=22):
        lab = self.lab = namespace.lab
        self.port = port
        self.key, host_key = lab.file(f"client-key-{port}"), lab.file(f"host-key-{port}")
        for path in (self.key, host_key):
            namespace.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
        with open(self.key + ".pub") as public_key:
            authorized = lab.file(f"authorized-{port}", public_key.read())
        settings = lab.file(f"sshd-{port}.conf", f"""
Port {port}
HostKey {host_key}
AuthorizedKeysFile {authorized}
StrictModes no
UsePAM no
PidFile none
PermitRootLogin yes
UseDNS no
Subsystem sftp internal-sftp
""")
        self.user, command = "root", ["/usr/sbin/sshd", "-D", "-e", "-f", settings]
        if isolation.is_user_namespace():
            # As root, sshd changes to a user that does not exist here. As the caller it changes nothing; the low port
            # is then opened to it.
            self.user = pwd.getpwuid(isolation.caller()[0]).pw_name
            namespace.sysctl(net__ipv4__ip_unprivileged_port_start=0)
            command = isolation.as_caller(command)
        self.process = namespace.start(*command, name=f"sshd-{port}")
        wait_until(lambda: namespace.listens(port), f"sshd listens on {port}", process=self.process)

    @property
    def options(self):
        return ["-i", self.key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
                "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-F", "none"]

    def ssh(self, address, *command):
        """Words that run `command` over ssh."""
        return ["ssh", "-p", self.port, *self.options, "-l", self.user, address, *command]

    def scp(self, source, address, target):
        """Words that copy the file `source` to `target` on the server."""
        host = f"[{address}]" if ":" in address else address
        return ["scp", "-q", "-P", self.port, *self.options, source, f"{self.user}@{host}:{target}"]


def iperf3(namespace, port=5201):
    process = namespace.start("iperf3", "-s", "-p", port, name=f"iperf3-{port}")
    wait_until(lambda: namespace.listens(port), f"iperf3 listens on {port}", process=process)
    return process


def dnsmasq(namespace, records=None, port=53):
    """Answers A and AAAA questions from `records` ({name: address}), and no others."""
    words = [word for name, address in (records or {}).items()
             for word in (f"--address=/{name}/{address}", f"--local=/{name}/")]
    process = namespace.start(
        "dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file=",
        f"--port={port}", *words, name=f"dnsmasq-{port}")
    wait_until(lambda: namespace.listens(port, "u"), f"dnsmasq listens on {port}", process=process)
    return process


def echo(namespace, port=7):
    """Gives back what it gets, over TCP and UDP, IPv4 and IPv6; half-closed TCP connections are answered to the end."""
    process = namespace.start("/usr/bin/python3", os.path.join(HERE, "echo.py"), port, name=f"echo-{port}")
    wait_until(lambda: namespace.listens(port) and namespace.listens(port, "u"), f"echo on {port}", process=process)
    return process


class Capture:
    """Everything that passes an interface, into the file `path`."""

    def __init__(self, namespace, interface="eth0"):
        self.namespace, self.path = namespace, namespace.lab.file("capture.pcap")
        self.process = namespace.start(
            "/usr/bin/python3", os.path.join(HERE, "capture.py"), interface, self.path, name="capture")
        wait_until(lambda: "capturing" in self.process.output(), "the capture begins", process=self.process)

    def stop(self, expression=""):
        """Ends it; returns the packets that the filter expression selects, one line each as tcpdump prints them."""
        self.process.stop()
        words = ["tcpdump", "-n", "-r", self.path, *expression.split()]
        lines = self.namespace.run(*isolation.as_caller(words)).splitlines()
        return [line for line in lines if not line.startswith("reading from file")]


def vsftpd(namespace, files, port=21, passive=(40_000, 40_099), tls=False):
    """Serves `files` ({name: bytes}) to anybody over IPv4 and IPv6, actively from port 20."""
    lab = namespace.lab
    root = lab.file(f"ftp-{port}")
    os.mkdir(root)
    for name, content in files.items():
        lab.file(os.path.join(root, name), content)
    secure = lab.file(f"ftp-empty-{port}")
    os.mkdir(secure, 0o555)
    encrypted = ""
    if tls:
        key = lab.file(f"ftp-{port}.pem")
        namespace.run(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=lab", "-keyout", key, "-out", key + ".crt")
        encrypted = (f"ssl_enable=YES\nallow_anon_ssl=YES\nforce_anon_data_ssl=NO\nforce_anon_logins_ssl=NO\n"
                     f"require_ssl_reuse=NO\nrsa_cert_file={key}.crt\nrsa_private_key_file={key}\n")
    settings = lab.file(f"vsftpd-{port}.conf", (
        f"listen=NO\nlisten_ipv6=YES\nlisten_port={port}\nbackground=NO\nrun_as_launching_user=YES\n"
        f"anonymous_enable=YES\nno_anon_password=YES\nanon_root={root}\nallow_writeable_chroot=YES\nlocal_enable=NO\n"
        f"seccomp_sandbox=NO\nsecure_chroot_dir={secure}\nconnect_from_port_20=YES\nanon_world_readable_only=NO\n"
        f"pasv_min_port={passive[0]}\npasv_max_port={passive[1]}\n{encrypted}"))
    process = namespace.start("vsftpd", settings, name=f"vsftpd-{port}")
    wait_until(lambda: namespace.listens(port), f"vsftpd listens on {port}", process=process)
    return process
