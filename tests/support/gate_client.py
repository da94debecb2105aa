"""The daemon's end of the conversation in src/gate/control.h: starts a coffer-gate and speaks with it."""

import array
import dataclasses
import os
import pathlib
import socket
import struct
import subprocess
import time

KINDS = ["egress", "link", "ingress", "dns"]
EVENTS = ["opened", "closed", "refused"]
REASONS = ["none", "ended", "reset", "idle", "not_allowed", "denied_by_operator", "no_sni", "sni_mismatch", "ech", "bad_tls",
           "host_mismatch", "bad_http", "wrong_protocol", "head_deadline", "unresolved", "forbidden_address",
           "unreachable", "connection_rate", "connection_limit", "policy_changed", "contained", "cut", "removed",
           "gate_full", "target_gone", "dns_malformed", "dns_name", "dns_type", "dns_rate", "proxy_unreachable",
           "proxy_refused"]
REQUIRE, OBSERVE, RAW = range(3)
START, SETTINGS, ADD, POLICY, SOCKETS, CUT, RELEASE, REMOVE, INGRESS, COUNTERS, PING = range(11)
MAX_PACKET = 128 << 10
PATIENCE_S = 20


def _text(value):
    raw = value.encode()
    return struct.pack("<I", len(raw)) + raw


def _list(items, write):
    return struct.pack("<H", len(items)) + b"".join(write(item) for item in items)


def _ports(ports):
    ranges = [(p, p) if isinstance(p, int) else p for p in ports]
    return _list(ranges, lambda r: struct.pack("<HH", *r))


def name_rule(name, ports=(443, 80), inspect=REQUIRE, strict=False, upgrade=False):
    return _text(name) + _ports(ports) + bytes([inspect, strict, upgrade])


def range_rule(cidr, ports):
    return _text(cidr) + _ports(ports)


def link(name, address, ports, target):
    return _text(name) + _text(address) + _ports(ports) + _text(target)


def policy(generation=1, names=(), ranges=(), links=(), exposed=(), bytes_per_second=0, connections_per_second=0,
           connections=0, dns_per_second=0, idle_seconds=0, proxy=None):
    """`proxy`: (host, port, by_name, login)."""
    own = b"\0" if proxy is None else b"\1" + _text(proxy[0]) + struct.pack("<HB", proxy[1], proxy[2]) + _text(proxy[3])
    whole = [_list(list(rules), lambda raw: raw) for rules in (names, ranges, links)]
    return (struct.pack("<Q", generation) + b"".join(whole) + _list(list(exposed), lambda p: struct.pack("<H", p)) +
            struct.pack("<QIIII", bytes_per_second, connections_per_second, connections, dns_per_second, idle_seconds) + own)


def settings(resolvers=(), denied_names=(), denied_ranges=(), opened_ranges=(), proxy=None, head_ms=10_000,
             connect_ms=15_000, ttl=30):
    """`proxy`: (address, port, by_name, login)."""
    packed = _list(list(resolvers), lambda r: _text(r[0]) + struct.pack("<H", r[1]))
    for texts in (denied_names, denied_ranges, opened_ranges):
        packed += _list(list(texts), _text)
    packed += b"\0" if proxy is None else b"\1" + _text(proxy[0]) + struct.pack("<HB", proxy[1], proxy[2]) + _text(proxy[3])
    return packed + struct.pack("<III", head_ms, connect_ms, ttl)


@dataclasses.dataclass
class Record:
    workspace: str
    flow: int
    kind: str
    event: str
    reason: str
    time_us: int
    name: str
    address: str
    port: int
    peer: str
    bytes_out: int
    bytes_in: int
    duration_us: int
    generation: int
    via: str


class _Reader:
    def __init__(self, raw):
        self.raw = raw

    def take(self, form):
        size = struct.calcsize("<" + form)
        values = struct.unpack("<" + form, self.raw[:size])
        self.raw = self.raw[size:]
        return values[0] if len(values) == 1 else values

    def text(self):
        size = self.take("I")
        value, self.raw = self.raw[:size].decode(), self.raw[size:]
        return value

    def record(self):
        workspace, flow = self.text(), self.take("Q")
        kind, event, reason = self.take("BBB")
        when = self.take("Q")
        name, address, port, peer = self.text(), self.text(), self.take("H"), self.text()
        return Record(workspace, flow, KINDS[kind], EVENTS[event], REASONS[reason], when, name, address, port, peer,
                      *self.take("QQQQ"), self.text())


class Refused(Exception):
    """The gate answered Failed."""


class Gate:
    """`launch(argv, **options)` starts a program where the gate shall live."""

    def __init__(self, binary, packed_settings, launch=subprocess.Popen, uid=987654, max_flows=50_000):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.process = launch(["bash", "-c", f'exec "$0" 3<&{theirs.fileno()}', str(binary)], pass_fds=[theirs.fileno()],
                              stdin=subprocess.DEVNULL)
        theirs.close()
        self.number = 0
        self.records, self.omitted, self.counters, self.answers = [], {}, {}, {}
        self.on_need_sockets = lambda workspace, count: None
        self.ask(START, struct.pack("<III", uid, uid, max_flows) + packed_settings)

    # -- requests ------------------------------------------------------------------------------------------------
    def send(self, kind, body=b"", fds=()):
        self.number += 1
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.control.sendmsg([bytes([kind]) + struct.pack("<Q", self.number) + body], ancillary)
        return self.number

    def ask(self, kind, body=b"", fds=()):
        """The number of flows that were cut; raises Refused."""
        return self.answer_to(self.send(kind, body, fds))

    def answer_to(self, number):
        self.wait(lambda: number in self.answers, "an answer")
        done, value = self.answers.pop(number)
        if not done:
            raise Refused(value)
        return value

    def add(self, workspace, guest, synthetic, packed_policy, sockets):
        self.ask(ADD, _text(workspace) + _text(guest) + _text(synthetic) + packed_policy, [s.fileno() for s in sockets])

    def set_policy(self, workspace, packed_policy):
        return self.ask(POLICY, _text(workspace) + packed_policy)

    def change_settings(self, packed_settings):
        return self.ask(SETTINGS, packed_settings)

    def add_sockets(self, workspace, sockets):
        return self.send(SOCKETS, _text(workspace), [s.fileno() for s in sockets])

    def cut(self, workspace, contain=False):
        return self.ask(CUT, _text(workspace) + bytes([contain]))

    def release(self, workspace):
        return self.ask(RELEASE, _text(workspace))

    def remove(self, workspace):
        return self.ask(REMOVE, _text(workspace))

    def ingress(self, workspace, port, client_socket, forwarded=False, client="tester"):
        return self.ask(INGRESS, _text(workspace) + struct.pack("<HB", port, forwarded) + _text(client),
                        [client_socket.fileno()])

    def query(self, workspace=""):
        self.counters.clear()
        self.ask(COUNTERS, _text(workspace))
        return dict(self.counters)

    # -- events --------------------------------------------------------------------------------------------------
    def read_event(self, seconds):
        self.control.settimeout(max(seconds, 0.001))
        try:
            raw = self.control.recv(MAX_PACKET)
        except TimeoutError:
            return False
        if not raw:
            raise EOFError("the gate has ended")
        reader = _Reader(raw[1:])
        kind = raw[0]
        if kind == 0:
            number, cut = reader.take("QI")
            self.answers[number] = (True, cut)
        elif kind == 1:
            number, _code = reader.take("QB")
            self.answers[number] = (False, reader.text())
        elif kind == 2:
            workspace = reader.text()
            self.on_need_sockets(workspace, reader.take("I"))
        elif kind == 3:
            self.records += [reader.record() for _ in range(reader.take("H"))]
            for _ in range(reader.take("H")):
                workspace = reader.text()
                self.omitted[workspace] = self.omitted.get(workspace, 0) + reader.take("Q")
        elif kind == 4:
            workspace = reader.text()
            names = ["bytes_out", "bytes_in", "opened", "refused", "dns_answered", "dns_refused", "omitted"]
            self.counters[workspace] = dict(zip(names, reader.take("7Q")), open=reader.take("I"),
                                            generation=reader.take("Q"))
        return True

    def wait(self, condition, what, seconds=PATIENCE_S):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{what} did not come within {seconds} s; records: {self.records[-10:]}")
            self.read_event(min(0.2, end - time.monotonic()))

    def record(self, **wanted):
        """The first record that is so, waited for, and taken off the list."""
        def found():
            return [r for r in self.records if all(getattr(r, k) == v for k, v in wanted.items())]
        self.wait(found, f"a record with {wanted}")
        one = found()[0]
        self.records.remove(one)
        return one

    def close(self):
        self.control.close()
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def status_lines(self):
        return dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines())

    def descriptors(self):
        """What it has open beside its standard streams."""
        folder = f"/proc/{self.process.pid}/fd"
        return [os.readlink(f"{folder}/{n}") for n in os.listdir(folder) if int(n) > 2]
