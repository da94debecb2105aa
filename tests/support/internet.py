"""A host and an internet of the test's own: two network namespaces and a wire between them.

The daemon under test runs in the first; the second holds a DNS server, web servers with and without TLS, and a
machine of the site's own inside network. Every packet that leaves the host is counted there.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import cofferdam

HOST = "45.83.0.2"
SERVER = "45.83.0.1"          # speaks DNS, HTTP and HTTPS
PROXY_LOGIN = "me:pass:word"  # as internet_services.py wants it
OTHER = "45.83.0.9"           # the same servers, for names nobody is allowed to reach
INSIDE = "10.99.0.5"          # of the site's inside network; the host has a route to it
SERVICES = pathlib.Path(__file__).with_name("internet_services.py")


def run(*argv, **options):
    return subprocess.run([str(word) for word in argv], check=True, capture_output=True, text=True, **options)


class Internet:
    def __init__(self):
        tag = f"cfd{os.getpid()}"
        self.host, self.world = f"{tag}h", f"{tag}w"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cfd-net-"))
        self.process = None
        run("ip", "netns", "add", self.host)
        run("ip", "netns", "add", self.world)
        for name in (self.host, self.world):  # or the interfaces speak on their own
            run("nsenter", f"--net=/run/netns/{name}", "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
                "net.ipv6.conf.default.disable_ipv6=1")
        run("ip", "-n", self.host, "link", "add", "up0", "type", "veth", "peer", "name", "down0", "netns", self.world)
        for name, link in ((self.host, "up0"), (self.world, "down0")):
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "link", "set", link, "up")
        run("ip", "-n", self.host, "addr", "add", f"{HOST}/24", "dev", "up0")
        run("ip", "-n", self.host, "route", "add", "default", "via", SERVER)
        for address in (f"{SERVER}/24", f"{OTHER}/24", f"{INSIDE}/32"):
            run("ip", "-n", self.world, "addr", "add", address, "dev", "down0")
        self._certificate()
        self._start()

    def _certificate(self):
        names = ",".join(f"DNS:{name}" for name in ("allowed.example", "*.allowed.example", "other.example", "files.example"))
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=test", "-addext", f"subjectAltName={names}", "-keyout", self.folder / "key.pem", "-out",
            self.folder / "cert.pem")

    def _start(self):
        self.log = self.folder / "log"
        self.log.touch()
        self.process = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.world}", sys.executable, SERVICES, self.folder],
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    @property
    def ca(self):
        return (self.folder / "cert.pem").read_bytes()

    @property
    def within(self):
        return ("nsenter", f"--net=/run/netns/{self.host}")

    @property
    def files(self):
        """A folder that the web servers serve below /files/."""
        folder = self.folder / "www" / "files"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def heard(self, word=""):
        """The lines that the servers logged, those with the word in them."""
        return [line for line in self.log.read_text().splitlines() if word in line]

    def forget(self):
        self.log.write_text("")

    @contextlib.contextmanager
    def watching(self, expression):
        """What tcpdump sees at the far end of the host's wire while the block runs; a list that is filled at its end."""
        lines = []
        dump = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.world}", "tcpdump", "-l", "-n", "-i", "any", expression],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while "listening on" not in dump.stderr.readline():
            assert dump.poll() is None, "tcpdump does not start"
        try:
            yield lines
        finally:
            time.sleep(0.3)
            dump.send_signal(signal.SIGINT)
            out, _ = dump.communicate(timeout=10)
            lines.extend(line for line in out.splitlines() if line)

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        for name in (self.host, self.world):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class Networked(cofferdam.Cofferdam):
    """An installation whose host is the first namespace, and whose resolver is the test's."""

    def __init__(self, golden, internet, *settings):
        super().__init__(golden=golden)
        self.within = internet.within
        lines = ["network:", f"  resolvers: {SERVER}", *[f"  {line}" for line in settings]]
        (self.base / "cofferd.yaml").write_text("\n".join(lines) + "\n")
        self.environment["COFFER_CONFIG"] = str(self.base / "cofferd.yaml")

    def log_in_to_proxy(self):
        """The login for the operator's proxy, from the next start on; answers the file that it is in."""
        login = self.base / "login"
        login.write_text(PROXY_LOGIN)
        login.chmod(0o600)
        with open(self.base / "cofferd.yaml", "a", encoding="utf-8") as file:
            file.write(f"  proxy_login: {login}\n")
        return login

    def gate(self):
        """The pid of the gate that runs, or None."""
        import traces
        found = [p.pid for p in traces.processes() if p.name == "coffer-gate" and p.parent == self.pid and p.state != "Z"]
        return found[0] if found else None

    def connections(self, workspace):
        return self.json("connections", workspace)["connections"]
