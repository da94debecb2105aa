#!/usr/bin/python3
"""The gate's figures, each with its peer in the same run: prints a table and writes build/bench-gate.json.

Throughput between two namespaces on this host against socat and HAProxy (tools/packages-bench.txt), 10,000 idle flows, and
how long a flow lives after the policy that let it through has changed. BENCH_RUNS (5), BENCH_MIB (1024), BENCH_FLOWS (10000).
"""

import json
import os
import pathlib
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import gate_client as gc  # noqa: E402
import gate_world  # noqa: E402
import netns  # noqa: E402
import outside  # noqa: E402
from gate_world import LISTED, Guest, read_until  # noqa: E402

RUNS = int(os.environ.get("BENCH_RUNS", "5"))
MIB = int(os.environ.get("BENCH_MIB", "1024"))
# Each flow has two sockets here and two in the gate.
FLOWS = min(int(os.environ.get("BENCH_FLOWS", "10000")), (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200) // 2)
SOURCE_PORT, PEER_PORTS = 9001, {"socat": 7001, "haproxy": 7002}
# Serves as many bytes of nothing as it is asked for, out of the kernel: the server must not be what is measured.
SOURCE = r"""
import os, socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
zero = os.memfd_create("zero")
os.ftruncate(zero, 64 << 20)
os.pwrite(zero, b"x" * (64 << 20), 0)
while True:
    one, _ = listener.accept()
    if os.fork() == 0:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = b""
        while not line.endswith(b"\n"):
            line += one.recv(64)
        left = int(line)
        while left > 0:
            left -= os.sendfile(one.fileno(), zero, 0, min(left, 64 << 20))
        os._exit(0)
    one.close()
"""
# Reads and throws away in the kernel, and says how long it took.
SINK = r"""
import socket, sys, time
one = socket.socket(fileno=int(sys.argv[1]))
wanted = int(sys.argv[2])
start = time.perf_counter()
one.sendall(b"%d\n" % wanted)
left, buffer = wanted, bytearray(1 << 20)
while left > 0:
    got = one.recv_into(buffer, 1 << 20, socket.MSG_TRUNC)
    if got == 0:
        sys.exit("the end came early")
    left -= got
print(time.perf_counter() - start)
"""


def p(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def row(what, value, unit, must):
    print(f"{what:74} {value:>10} {unit:6} must {must}", flush=True)


class Bench:
    def __init__(self):
        self.world = gate_world.World()
        self.processes = []
        self.figures = {}
        self.world.a.set_reach([(LISTED, port) for port in (9000, SOURCE_PORT)])
        self.world.start_gate()
        self.rules = [gc.range_rule(f"{LISTED}/32", [9000, SOURCE_PORT])]
        self.world.add(self.world.a, gc.policy(1, ranges=self.rules))
        self.folder = tempfile.mkdtemp(prefix="cfgate-bench-")

    def close(self):
        for one in self.processes:
            one.kill()
            one.wait()
        self.world.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def spawn(self, space, argv, **options):
        one = space.popen(argv, stdin=subprocess.DEVNULL, **options)
        self.processes.append(one)
        return one

    # -- throughput ------------------------------------------------------------------------------------------------
    def start_peers(self):
        """Each listens in A's namespace where the gate's guest can dial it, and dials out of the host's as the gate does."""
        world, started = self.world, {}
        listener = world.out.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", SOURCE_PORT))
        listener.listen(64)
        self.spawn(world.out, [sys.executable, "-c", SOURCE, str(listener.fileno())], pass_fds=[listener.fileno()])
        world.a.space.nft(f"insert rule ip gate before ip daddr {world.a.gateway} tcp dport 7001-7002 accept")
        for name in PEER_PORTS:
            if shutil.which(name) is None:
                print(f"{name} is not installed: left out (tools/install-deps.sh tools/packages-bench.txt)")
                continue
            inside = world.a.space.socket()
            inside.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            inside.bind((world.a.gateway, PEER_PORTS[name]))
            inside.listen(64)
            getattr(self, f"start_{name}")(inside)
            started[name] = PEER_PORTS[name]
        time.sleep(0.5)
        return started

    def start_socat(self, listener):
        # One process a connection, as its own `fork` would make. -b: with its default of 8 KiB it would be no peer.
        def serve():
            while True:
                one, _ = listener.accept()
                self.spawn(self.world.host, ["socat", "-b", "262144", f"FD:{one.fileno()}", f"TCP:{LISTED}:{SOURCE_PORT}"],
                           pass_fds=[one.fileno()], stderr=subprocess.DEVNULL)
                one.close()
        threading.Thread(target=serve, daemon=True).start()

    def start_haproxy(self, listener):
        path = pathlib.Path(self.folder) / "haproxy.cfg"
        path.write_text(f"""
global
  maxconn 2000
  tune.pipesize 262144
defaults
  mode tcp
  option splice-request
  option splice-response
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen relay
  bind fd@{listener.fileno()}
  server out {LISTED}:{SOURCE_PORT}
""")
        self.spawn(self.world.host, ["haproxy", "-db", "-f", str(path)], pass_fds=[listener.fileno()], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)

    def transfer(self, address, port, size):
        """Seconds for `size` bytes, over one connection."""
        one = self.world.a.guest.socket()
        one.connect((address, port))
        done = subprocess.run([sys.executable, "-c", SINK, str(one.fileno()), str(size)], pass_fds=[one.fileno()],
                              capture_output=True, text=True, check=True, timeout=300)
        one.close()
        return float(done.stdout)

    def throughput(self):
        ways = {"gate": (LISTED, SOURCE_PORT)}
        ways |= {name: (self.world.a.gateway, port) for name, port in self.start_peers().items()}
        size = MIB << 20
        for address, port in ways.values():
            self.transfer(address, port, 64 << 20)
        seen = {name: [] for name in ways}
        cpu = {name: [] for name in ways}
        for _ in range(RUNS):
            for name, (address, port) in ways.items():
                before = self.cpu_seconds(name)
                seen[name].append(MIB / self.transfer(address, port, size))
                cpu[name].append((self.cpu_seconds(name) - before) / MIB * 1024)
        self.figures["throughput_mib_s"] = seen
        self.figures["cpu_s_per_gib"] = cpu
        ours = statistics.median(seen["gate"])
        row("relay, one connection", round(ours), "MiB/s", "at least 0.5 of a peer")
        for name in ways:
            row(f"  {name}: {round(statistics.median(seen[name]))} MiB/s; the gate's is so many times that",
                round(ours / statistics.median(seen[name]), 2), "x", "0.5, aim 1.0 of haproxy")
            row(f"  {name}: CPU of a GiB", round(statistics.median(cpu[name]), 3), "s", "-")

    def cpu_seconds(self, name):
        """Of a relay's processes so far; socat's children count when they have ended."""
        pids = [self.world.gate.process.pid] if name == "gate" else [
            one.pid for one in self.processes if pathlib.Path(one.args[0]).name == name]
        total = 0
        for pid in pids:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
            total += sum(int(fields[i]) for i in (11, 12, 13, 14))
        return total / os.sysconf("SC_CLK_TCK")

    # -- latency of a connection ---------------------------------------------------------------------------------------
    def latency(self):
        server = outside.Server(self.world.out, 9002, lambda one: one.sendall(b"x"))
        self.world.a.set_reach([(LISTED, port) for port in (9000, SOURCE_PORT, 9002)])
        self.rules = [gc.range_rule(f"{LISTED}/32", [9000, SOURCE_PORT, 9002])]
        self.world.gate.set_policy("ws_0", gc.policy(2, ranges=self.rules))

        def one_ms(space, address):
            one = space.socket()
            start = time.perf_counter()
            one.connect((address, 9002))
            one.recv(1)
            took = (time.perf_counter() - start) * 1000
            one.close()
            return took
        through, direct = [], []
        for _ in range(300):
            through.append(one_ms(self.world.a.guest, LISTED))
            direct.append(one_ms(self.world.host, LISTED))
        server.close()
        self.figures["connection_ms"] = {"gate": through, "direct": direct}
        row("connection to first byte through the gate, added to a direct one, p50",
            round(p(through, 50) - p(direct, 50), 3), "ms", "1, aim 0.2")

    # -- idle flows ----------------------------------------------------------------------------------------------------
    def idle(self):
        def memory():
            lines = pathlib.Path(f"/proc/{self.world.gate.process.pid}/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

        def slab():
            return next(int(line.split()[1]) for line in pathlib.Path("/proc/meminfo").read_text().splitlines() if line.startswith("Slab"))
        quiet, held = [], []
        listener = self.world.out.socket()
        listener.bind(("0.0.0.0", 9003))
        listener.listen(4096)

        def accept():
            while len(quiet) < FLOWS:
                quiet.append(listener.accept()[0])
        threading.Thread(target=accept, daemon=True).start()
        self.world.a.set_reach([(LISTED, 9003)])
        self.world.gate.set_policy("ws_0", gc.policy(1000, ranges=[gc.range_rule(f"{LISTED}/32", [9003])]))
        before, slab_before = memory(), slab()
        with self.world.a.guest.inside():
            for i in range(FLOWS):
                one = socket.socket()
                one.connect((LISTED, 9003))
                held.append(one)
                if i % 256 == 0:
                    self.world.gate.read_event(0.001)
        self.world.gate.wait(lambda: self.world.gate.query("ws_0")["ws_0"]["open"] >= FLOWS and len(quiet) >= FLOWS, "the flows", 120)
        after, slab_after = memory(), slab()
        self.figures["idle"] = {"flows": FLOWS, "rss_kib": after, "rss_before_kib": before, "slab_kib": slab_after - slab_before}
        row(f"{FLOWS} idle flows: resident memory of the gate", round(after / 1024, 1), "MiB", "150")
        row("  the kernel's for all four sockets of each, two of them the gate's", round((slab_after - slab_before) / 1024), "MiB", "-")
        start = time.perf_counter()
        cut = self.world.gate.set_policy("ws_0", gc.policy(1001))
        row(f"  a policy change that cuts all {cut} of them", round((time.perf_counter() - start) * 1000, 1), "ms", "-")
        for one in [*held, *quiet]:
            one.close()
        listener.close()

    # -- from a policy change to the cut ----------------------------------------------------------------------------------
    def cut(self):
        self.world.a.set_reach([(LISTED, 9000)])
        took, guest = [], Guest(self.world.a)
        for i in range(100):
            generation = 10 + 2 * i
            self.world.gate.set_policy("ws_0", gc.policy(generation, ranges=[gc.range_rule(f"{LISTED}/32", [9000])]))
            with guest.connect(LISTED, 9000) as one:
                read_until(one, b"BANNER\n")
                start = time.perf_counter()
                self.world.gate.send(gc.POLICY, gc._text("ws_0") + gc.policy(generation + 1))
                try:
                    one.recv(1)
                except ConnectionResetError:
                    took.append((time.perf_counter() - start) * 1000)
        self.figures["cut_ms"] = took
        row("policy change to the reset at the guest, p50", round(p(took, 50), 3), "ms", "10")
        row("  p99", round(p(took, 99), 3), "ms", "10")


def main():
    bench = Bench()
    try:
        for part in sys.argv[1:] or ["throughput", "latency", "cut", "idle"]:
            getattr(bench, part)()
    finally:
        bench.close()
    target = ROOT / "build" / "bench-gate.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(bench.figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
