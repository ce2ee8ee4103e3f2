# SPDX-License-Identifier: GPL-3.0-or-later
"""Receivers of syslog as administrators have them: rsyslog and syslog-ng, each with a Unix socket, UDP, TCP and TLS.

What they parsed of a message is written as one JSON object a line. Debian's packages of the two exclude each other, so that
syslog-ng is unpacked into .build/syslog-ng (make deps-lab).
"""

import glob
import json
import os
import re
import shutil

from lab import wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SYSLOG_NG = os.path.join(ROOT, ".build", "syslog-ng")
UDP, TCP, TLS, STRICT_TLS = 514, 601, 6514, 6515

RSYSLOG = """
global(workDirectory="{directory}" defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{certificate}"
       defaultNetstreamDriverKeyFile="{key}" maxMessageSize="64k" processInternalMessages="off")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imtcp")
template(name="parsed" type="list" option.jsonf="on") {{
  property(outname="inputname" name="inputname" format="jsonf")
  property(outname="facility" name="syslogfacility-text" format="jsonf")
  property(outname="severity" name="syslogseverity-text" format="jsonf")
  property(outname="app-name" name="app-name" format="jsonf")
  property(outname="procid" name="procid" format="jsonf")
  property(outname="msgid" name="msgid" format="jsonf")
  property(outname="hostname" name="hostname" format="jsonf")
  property(outname="structured-data" name="structured-data" format="jsonf")
  property(outname="msg" name="msg" format="jsonf")
}}
ruleset(name="all") {{ action(type="omfile" file="{output}" template="parsed") }}
input(type="imuxsock" Socket="{socket}" UseSpecialParser="off" ParseHostname="on" RateLimit.Interval="0" Ruleset="all")
input(type="imudp" port="{udp}" ruleset="all" name="udp")
input(type="imtcp" port="{tcp}" ruleset="all" name="tcp")
input(type="imtcp" port="{tls}" ruleset="all" name="tls" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" port="{strict}" ruleset="all" name="strict" streamDriver.name="ossl" streamDriver.mode="1"
      streamDriver.authMode="x509/certvalid")
"""

SYSLOG_NG_CONFIGURATION = """@version: 3.38
options {{ stats-freq(0); flush-lines(1); log-msg-size(65536); keep-hostname(yes); use-dns(no); time-reopen(1); }};
template parsed {{ template("$(format-json --scope rfc5424 --key SOURCE --key .SDATA.*)\\n"); }};
source s_local {{ unix-{kind}("{socket}" flags(syslog-protocol)); }};
source s_udp {{ network(ip(0.0.0.0) transport("udp") port({udp}) flags(syslog-protocol)); }};
source s_tcp {{ syslog(ip(0.0.0.0) transport("tcp") port({tcp})); }};
source s_tls {{ syslog(ip(0.0.0.0) transport("tls") port({tls})
    tls(key-file("{key}") cert-file("{certificate}") peer-verify(optional-untrusted))); }};
source s_strict {{ syslog(ip(0.0.0.0) transport("tls") port({strict})
    tls(key-file("{key}") cert-file("{certificate}") ca-file("{ca}") peer-verify(required-trusted))); }};
destination d_all {{ file("{output}" template(parsed)); }};
log {{ source(s_local); source(s_udp); source(s_tcp); source(s_tls); source(s_strict); destination(d_all); }};
"""


def unavailable(kind):
    """Why there is no such receiver here, or None."""
    if kind == "rsyslog":
        return None if shutil.which("rsyslogd") else "rsyslog is missing: make deps-lab"
    return None if os.path.exists(os.path.join(SYSLOG_NG, "usr/sbin/syslog-ng")) else "syslog-ng is missing: make deps-lab"


def page(name):
    """A block of README.md, which stands under a comment that names it."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        return re.search(rf"<!-- live: {name} -->\n```\w*\n(.*?\n)```", file.read(), re.DOTALL)[1]


class Certificates:
    """An authority with certificates of a receiver and of this host, and another authority that nobody has heard of."""

    def __init__(self, lab, name, address):
        self.lab = lab
        self.ca, self.wrong_ca = self._authority("ca"), self._authority("wrong-ca")
        self.certificate, self.key = self._issue("receiver", f"subjectAltName=DNS:{name},IP:{address}")
        self.client_certificate, self.client_key = self._issue("client", "subjectAltName=DNS:agent")

    def _openssl(self, *words):
        self.lab.namespaces[-1].run("openssl", *words)

    def _authority(self, name):
        key, certificate = self.lab.file(f"{name}.key"), self.lab.file(f"{name}.pem")
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out",
                      certificate, "-subj", f"/CN={name}", "-days", "30")
        return certificate

    def _issue(self, name, extension):
        key, request, certificate = (self.lab.file(f"{name}.{end}") for end in ("key", "csr", "pem"))
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request,
                      "-subj", f"/CN={name}")
        extensions = self.lab.file(f"{name}.ext", extension + "\n")
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca.replace(".pem", ".key"), "-CAcreateserial",
                      "-out", certificate, "-days", "30", "-extfile", extensions)
        return certificate, key


class Receiver:
    """rsyslog or syslog-ng in a namespace, which can be started, stopped and started again."""

    def __init__(self, namespace, kind, certificates, local="dgram"):
        self.namespace, self.kind = namespace, kind
        self.directory = namespace.lab.file(kind)
        os.makedirs(self.directory)
        self.output = os.path.join(self.directory, "received.jsonl")
        self.socket = os.path.join(self.directory, "log.sock")
        text = RSYSLOG if kind == "rsyslog" else SYSLOG_NG_CONFIGURATION
        self.configuration = namespace.lab.file(os.path.join(self.directory, "configuration"), text.format(
            directory=self.directory, ca=certificates.ca, certificate=certificates.certificate, key=certificates.key,
            output=self.output, socket=self.socket, kind=local, udp=UDP, tcp=TCP, tls=TLS, strict=STRICT_TLS))
        self.process = None

    def start(self):
        pid = os.path.join(self.directory, "pid")
        if self.kind == "rsyslog":
            words, environment = ["rsyslogd", "-n", "-i", pid, "-f", self.configuration], {}
        else:
            modules = os.path.join(SYSLOG_NG, "usr/lib/syslog-ng")
            words = [os.path.join(SYSLOG_NG, "usr/sbin/syslog-ng"), "-F", "--no-caps", "-f", self.configuration, "-p", pid, "-R",
                     os.path.join(self.directory, "persist"), "-c", os.path.join(self.directory, "control"),
                     f"--module-path={modules}/3.38"]
            environment = {"LD_LIBRARY_PATH": ":".join([modules, *glob.glob(os.path.join(SYSLOG_NG, "usr/lib/*-linux-gnu"))])}
        self.process = self.namespace.start(*words, name=self.kind, environment=environment)
        ports = [("u", UDP), ("t", TCP), ("t", TLS), ("t", STRICT_TLS)]
        wait_until(lambda: os.path.exists(self.socket) and all(self.namespace.listens(port, protocol) for protocol, port in ports),
                   f"{self.kind} listens", process=self.process)

    def stop(self):
        self.process.stop()

    def received(self):
        """All messages so far, as the receiver parsed them."""
        if not os.path.exists(self.output):
            return []
        with open(self.output, encoding="utf-8") as file:
            return [Message(self.kind, json.loads(line)) for line in file if line.endswith("\n")]


class Message:
    """A message as the receiver parsed it."""

    def __init__(self, kind, read):
        if kind == "rsyslog":
            self.source = "local" if read["inputname"] == "imuxsock" else read["inputname"]
            self.facility, self.severity = read["facility"], read["severity"]
            self.application, self.process, self.kind, self.host = (
                read[key] for key in ("app-name", "procid", "msgid", "hostname"))
            self.data, self.text = read["structured-data"], read["msg"].lstrip()
        else:
            self.source = read["SOURCE"].removeprefix("s_")
            self.facility, self.severity = read["FACILITY"], read["PRIORITY"]
            self.application, self.process, self.kind, self.host = (read[key] for key in ("PROGRAM", "PID", "MSGID", "HOST"))
            self.data, self.text = json.dumps(read["_SDATA"]), read["MESSAGE"]
