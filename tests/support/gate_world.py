"""A gate in a host of its own, two workspaces in front of it and an outside behind it, without any VM."""

import os
import pathlib
import shutil
import socket
import ssl
import struct
import tempfile

import gate_client as gc
import netns
import outside
from cofferdam import BIN

GOOD, OTHER, STRICT, LISTED = "45.1.0.1", "45.1.0.2", "45.1.0.3", "45.1.0.77"
INSIDE, METADATA, HOST = "10.9.9.9", "169.254.169.254", "45.0.0.1"
RESOLVER = "45.1.0.53"
PROXY = "45.1.0.80"
LOGIN = "me:pass:word"  # of the proxy on port 3129
TIMEOUT_S = 5

NAMES = {
    "good.example": [GOOD], "other.example": [OTHER], "strict.example": [STRICT], "a.sub.example": [OTHER],
    "raw.example": [GOOD], "web.example": [GOOD], "dead.example": ["45.1.0.200"],
    "inside.example": [INSIDE], "metadata.example": [METADATA], "loopback.example": ["127.0.0.1"], "own.example": [HOST],
    "mapped.example": ["::ffff:10.9.9.9"], "nat64.example": ["64:ff9b::a09:909"], "six.example": ["::1"],
    "mixed.example": [INSIDE, METADATA, GOOD], "denied-address.example": ["45.1.0.66"],
}
PROXIES = {"proxy.example": [PROXY], "two.proxy.example": [STRICT, PROXY], "inside.proxy.example": [INSIDE],
           "metadata.proxy.example": [METADATA], "own.proxy.example": [HOST], "mapped.proxy.example": ["::ffff:10.9.9.9"]}
ALLOWED = [*NAMES, "rebind.example", "nowhere.example"]


def default_settings(**changes):
    values = {"resolvers": [(RESOLVER, 53)], "denied_names": ["*.banned.example", "banned.example"],
              "denied_ranges": ["45.1.0.66/32"], "head_ms": 2000, "connect_ms": 8000}
    return gc.settings(**{**values, **changes})


def default_rules():
    rules = [gc.name_rule(name) for name in ALLOWED if name not in ("strict.example", "raw.example", "web.example")]
    return rules + [gc.name_rule("strict.example", strict=True), gc.name_rule("raw.example", [9000], inspect=gc.RAW),
                    gc.name_rule("web.example", upgrade=True), gc.name_rule("*.sub.example"),
                    gc.name_rule("*.banned.example")]


def default_policy(generation=1, **changes):
    values = {"names": default_rules(), "ranges": [gc.range_rule(f"{LISTED}/32", [443, 9000])]}
    return gc.policy(generation, **{**values, **changes})


class World:
    """`reach` of both workspaces covers what default_policy() allows."""

    def __init__(self):
        prefix = f"cfgate{os.getpid()}"
        self.folder = tempfile.mkdtemp(prefix="cfgate-", dir="/tmp")
        self.opened = []
        try:
            self._build(prefix)
        except BaseException:
            self.close()
            raise

    def _keep(self, thing):
        self.opened.append(thing)
        return thing

    def _build(self, prefix):
        self.out = self._keep(netns.Namespace(f"{prefix}-out"))
        self.host = self._keep(netns.Namespace(f"{prefix}-host"))
        netns.join(self.host, "up0", f"{HOST}/24", self.out, "down0", "45.0.0.2/24")
        for address in (GOOD, OTHER, STRICT, LISTED, RESOLVER, PROXY, "45.1.0.66", INSIDE, METADATA):
            self.out.ip("addr", "add", f"{address}/32", "dev", "lo")
        self.host.ip("route", "add", "default", "via", "45.0.0.2")
        self.host.ip("route", "add", METADATA, "via", "45.0.0.2")
        pem = outside.certificate(self.folder)
        self.http, self.tls = outside.Http(), outside.Tls(pem)
        self.web = self._keep(outside.Server(self.out, 80, self.http))
        self.secure = self._keep(outside.Server(self.out, 443, self.tls))
        self.raw = self._keep(outside.Server(self.out, 9000, outside.banner_first))
        self.proxy = outside.Proxy(self.out)
        self.own_proxy = outside.Proxy(self.out, LOGIN)
        self._keep(outside.Server(self.out, 3128, self.proxy))
        self.own_proxys_port = self._keep(outside.Server(self.out, 3129, self.own_proxy, PROXY))
        self._keep(outside.Server(self.out, 3129, self.own_proxy, GOOD))  # where the other proxy finds it by its name
        self.hosts_own = self._keep(outside.Server(self.host, 80, self.http))
        self.rebound = [GOOD]
        names = {**NAMES, **PROXIES, "rebind.example": lambda kind: self.rebound if kind == 1 else []}
        self.names = self._keep(outside.NameServer(self.out, RESOLVER, names))
        reach = [(netns.SYNTHETIC, port) for port in (80, 443, 9000)]
        reach += [(LISTED, 443), (LISTED, 9000)]
        self.reach = reach
        self.a = self._keep(netns.Workspace(prefix, 0, reach))
        self.b = self._keep(netns.Workspace(prefix, 1, reach))
        self.gate = None

    def start_gate(self, packed_settings=None, **options):
        self.gate = gc.Gate(BIN / "coffer-gate", packed_settings or default_settings(), launch=self.host.popen, **options)
        return self.gate

    def add(self, workspace, packed_policy):
        sockets = workspace.listening_sockets()
        self.gate.add(workspace.id, workspace.guest_address, netns.SYNTHETIC, packed_policy, sockets)
        for one in sockets:
            one.close()

    def stop_gate(self):
        if self.gate:
            self.gate.close()
            self.gate = None

    def close(self):
        self.stop_gate()
        for thing in reversed(self.opened):
            thing.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Guest:
    """What a program inside a workspace can do."""

    def __init__(self, workspace):
        self.workspace, self.space = workspace, workspace.guest

    def socket(self, kind=socket.SOCK_STREAM):
        one = self.space.socket(kind)
        one.settimeout(TIMEOUT_S)
        return one

    def connect(self, address, port, timeout=TIMEOUT_S):
        one = self.socket()
        one.settimeout(timeout)
        one.connect((address, port))
        one.settimeout(TIMEOUT_S)
        return one

    def is_refused(self, address, port):
        """A connection that ends without one byte; False when it does not even begin."""
        try:
            with self.connect(address, port) as one:
                return read_all(one)[0] == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    @staticmethod
    def question(name, kind=1):
        labels = b"".join(bytes([len(part)]) + part for part in name.encode("latin-1").split(b".") if part)
        return struct.pack(">HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)

    def ask(self, packet, server=None):
        """The raw answer, or None when there is none."""
        with self.socket(socket.SOCK_DGRAM) as one:
            one.settimeout(1)
            one.sendto(packet, (server or self.workspace.gateway, 53))
            try:
                return one.recv(2048)
            except TimeoutError:
                return None

    def resolve(self, name, kind=1):
        """(code, addresses)."""
        answer = self.ask(self.question(name, kind))
        if answer is None:
            return None, []
        code, count = answer[3] & 15, struct.unpack(">H", answer[6:8])[0]
        return code, [socket.inet_ntoa(answer[-4:])] if count and kind == 1 else []

    def address_of(self, name):
        code, addresses = self.resolve(name)
        assert code == 0 and addresses, (name, code, addresses)
        return addresses[0]

    def dial(self, name, port):
        return self.connect(self.address_of(name), port)

    def tls(self, name, sni=None, address=None):
        """A TLS connection to `name`'s address (or `address`) that shows `sni`."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        raw = self.connect(address or self.address_of(name), 443)
        try:
            return context.wrap_socket(raw, server_hostname=sni or name)
        except BaseException:
            raw.close()
            raise


def read_all(one):
    """Until the end or a reset: the bytes, and which of the two it was."""
    got = b""
    try:
        while more := one.recv(65536):
            got += more
    except ConnectionResetError:
        return got, "reset"
    except TimeoutError:
        return got, "silence"
    return got, "end"


def read_until(one, wanted):
    got = b""
    while wanted not in got:
        more = one.recv(65536)
        if not more:
            raise AssertionError(f"the end came before {wanted!r}: {got!r}")
        got += more
    return got
