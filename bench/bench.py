#!/usr/bin/python3
"""The figures of docs/promises.md, measured: prints a table and writes build/bench.json.

Peers (gVisor's runsc, bwrap) run interleaved with ours, so that a slow minute of the machine is a slow minute for all.
BENCH_RUNS (30), BENCH_LEAK_RUNS (1000), BENCH_WORKSPACES (60) set the sizes; BENCH_ONLY=F1,F4 picks rows;
BENCH_FIRST_RUN=1 also measures ./run in a bare Debian root without any cache, which takes minutes.
"""

import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import network  # noqa: E402
import at_rest  # noqa: E402
import traces  # noqa: E402
import ledger  # noqa: E402
import watch  # noqa: E402
import containment  # noqa: E402
import estate  # noqa: E402
from api import Api  # noqa: E402
from cofferdam import BIN, Cofferdam, maker_of  # noqa: E402

RUNS = int(os.environ.get("BENCH_RUNS", "30"))
LEAK_RUNS = int(os.environ.get("BENCH_LEAK_RUNS", "1000"))
WORKSPACES = int(os.environ.get("BENCH_WORKSPACES", "60"))
WATCHED = int(os.environ.get("BENCH_WATCHED", "200"))
APPLIED = int(os.environ.get("BENCH_APPLIED", "50"))
ONLY = set(filter(None, os.environ.get("BENCH_ONLY", "").split(",")))
GOLDEN = pathlib.Path(os.environ.get("COFFER_TEST_IMAGES") or ROOT / "build" / "test-state")


def p(values, percent):
    """The percentile as one of the values: nothing is interpolated."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def timed_ms(command, **options):
    start = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          check=False, **options)
    took = (time.perf_counter() - start) * 1000
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}: {done.stderr.decode(errors='replace')}")
    return took


class Table:
    """The rows, as they come."""

    def __init__(self):
        self.rows = []

    def add(self, promise, what, value, unit, must, aim, accelerator="", note="", reached=None):
        self.rows.append({"promise": promise, "what": what, "value": value, "unit": unit, "must": must, "aim": aim,
                          "accelerator": accelerator, "note": note, "reached": reached})
        mark = "" if reached is None else ("  yes" if reached else "  NO")
        label = f" [{accelerator}]" if accelerator else ""
        print(f"{promise}  {what + label:68} {value:>9} {unit:4} must {must:>14}  aim {aim:>8}{mark}  {note}", flush=True)


POOL = 2  # the daemon's own default


def wait_for_pool(one, members=POOL, seconds=30):
    """Until the pool is full: that many machines stand ready that no workspace uses, and none is being made."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if one.api.pool_ready() >= members:
            return
        time.sleep(0.01)
    raise RuntimeError("the pool was not filled in time")


def wait_for_standby(one, seconds=30):
    end = time.monotonic() + seconds
    while one.api.standing_by() < 1:
        if time.monotonic() > end:
            raise RuntimeError("no VMM stands by")
        time.sleep(0.01)


def start(golden, *options):
    one = Cofferdam(golden=golden)
    one.start(*options) if options else one.up()
    one.api = Api(one.run_dir / "cofferd.sock")
    return one


def run_true(table, one, accelerator):
    """F1: the whole process of `coffer run -- true`, the pool ready, beside its peers."""
    environment = one._environment()  # noqa: SLF001
    ours, runsc, bwrap = [], [], []
    command = [str(BIN / "coffer"), "run", "--image", "minimal", "--", "true"]
    bwrap_command = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-all", "true"]
    runsc_command = ["runsc", "--platform=ptrace", "--network=none", "do", "true"]
    for _ in range(RUNS + 1):
        wait_for_pool(one)
        ours.append(timed_ms(command, env=environment))
        if shutil.which("runsc"):
            runsc.append(timed_ms(runsc_command))
        if shutil.which("bwrap"):
            bwrap.append(timed_ms(bwrap_command))
    # The first of each fills caches.
    value = statistics.median(ours[1:])
    gvisor = statistics.median(runsc[1:]) if runsc else None
    bubble = statistics.median(bwrap[1:]) if bwrap else None
    ratio = value / gvisor if gvisor else None
    note = f"runsc {gvisor:.0f} ms, ours is {ratio:.2f} of it; " if gvisor else "no runsc; "
    note += f"bwrap {bubble:.1f} ms, ours is {value / bubble:.1f} times it" if bubble else "no bwrap"
    table.add("F1", "coffer run --image minimal -- true, median", f"{value:.1f}", "ms", "0.6 of runsc", "3 bwrap",
              accelerator, note, ratio is not None and ratio <= 0.6)
    return {"ours_ms": ours[1:], "runsc_ms": runsc[1:], "bwrap_ms": bwrap[1:]}


def first_byte(table, one, accelerator, promise, what, must, aim, pooled):
    """F2, F3: from the claim to the first byte of output, as the daemon measured it."""
    values = []
    for _ in range(RUNS):
        if pooled:
            wait_for_pool(one)
        else:
            wait_for_standby(one)
        workspace = one.api.create(image="minimal")
        answer = one.api.exec(workspace["id"], ["echo", "x"])
        values.append((workspace["create_us"] + answer["timings_us"]["first_byte"]) / 1000)
        one.api.destroy(workspace["id"])
    half, worst = statistics.median(values), p(values, 99)
    reached = half <= must[0] and (len(must) < 2 or worst <= must[1])
    table.add(promise, f"{what}, p50", f"{half:.1f}", "ms", " / ".join(map(str, must)), aim, accelerator,
              f"p99 {worst:.1f} ms", reached)
    return {"ms": values}


def second_exec(table, one, accelerator):
    """F4: an exec in a running workspace, as a round trip of the API over the Unix socket."""
    workspace = one.api.create(image="minimal")
    values = []
    for number in range(RUNS * 3 + 2):
        start_at = time.perf_counter()
        answer = one.api.exec(workspace["id"], ["/bin/true"])
        if number > 1:
            values.append((time.perf_counter() - start_at) * 1000)
        if answer["exit_code"] != 0:
            raise RuntimeError(f"/bin/true failed: {answer}")
    one.api.destroy(workspace["id"])
    half = statistics.median(values)
    table.add("F4", "second exec of /bin/true, API round trip, p50", f"{half:.1f}", "ms", "10", "3", accelerator,
              f"p99 {p(values, 99):.1f} ms", half <= 10)
    return {"ms": values}


def private_memory(table, one, accelerator):
    """F5: what an idle clone has for itself."""
    workspace = one.api.create(image="minimal", memory_mb=256)
    time.sleep(2)
    machine = traces.machine_of(one.state, workspace["id"])
    process = next(x for x in one.vmms() if machine in x.cgroup)
    fields = {}
    for line in pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value, *_ = line.split()
        fields[name.rstrip(":")] = int(value)
    one.api.destroy(workspace["id"])
    mib = (fields["Private_Clean"] + fields["Private_Dirty"]) / 1024
    table.add("F5", "private memory of an idle 256 MiB clone", f"{mib:.0f}", "MiB", "60", "35", accelerator,
              "Private_Clean + Private_Dirty of QEMU", mib <= 60)
    return {"mib": mib}


def many_workspaces(table, one, accelerator):
    """F6: many alive at once, and what a neighbour notices."""
    neighbour = one.api.create(image="minimal", memory_mb=256)

    def exec_ms():
        values = []
        for _ in range(RUNS):
            start_at = time.perf_counter()
            one.api.exec(neighbour["id"], ["/bin/true"])
            values.append((time.perf_counter() - start_at) * 1000)
        return statistics.median(values)

    alone = exec_ms()
    start_at = time.perf_counter()
    others = [one.api.create(image="minimal", memory_mb=256) for _ in range(WORKSPACES - 1)]
    took = time.perf_counter() - start_at
    answers = sum(one.api.exec(w["id"], ["echo", "here"])["stdout"].strip() == "here" for w in others)
    crowded = exec_ms()
    for workspace in [*others, neighbour]:
        one.api.destroy(workspace["id"])
    good = answers == len(others) and crowded <= 2 * alone
    table.add("F6", f"{WORKSPACES} workspaces alive: those that answer", f"{answers + 1}", "", "all", "150", accelerator,
              f"made in {took:.1f} s; a neighbour's exec p50 {alone:.1f} -> {crowded:.1f} ms", good)
    return {"alone_ms": alone, "crowded_ms": crowded, "answers": answers + 1, "create_all_s": took}


def destroy(table, one, accelerator):
    """F7: from the request to no process, no cgroup, no file."""
    values = []
    for _ in range(RUNS):
        workspace = one.api.create(image="minimal")
        machine = traces.machine_of(one.state, workspace["id"])
        process = next(x for x in one.vmms() if machine in x.cgroup)
        cgroups = traces.cgroups_of(process)
        start_at = time.perf_counter()
        one.api.destroy(workspace["id"])
        while os.path.exists(f"/proc/{process.pid}") or any(c.exists() for c in cgroups):
            time.sleep(0.0005)
        values.append((time.perf_counter() - start_at) * 1000)
    half = statistics.median(values)
    table.add("F7", "destroy, until nothing is left, p50", f"{half:.1f}", "ms", "50", "15", accelerator,
              f"p99 {p(values, 99):.1f} ms", half <= 50)
    return {"ms": values}


def run_script(table, accelerator):
    """F8: ./run the second time; and, when asked, the first time on a bare machine."""
    values = []
    subprocess.run(["./run"], cwd=ROOT, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    for _ in range(5):
        values.append(timed_ms(["./run"], cwd=ROOT) / 1000)
    half = statistics.median(values)
    table.add("F8", "./run, the second time, median of 5", f"{half:.1f}", "s", "5", "1", accelerator, "", half <= 5)
    result = {"second_s": values}
    if os.environ.get("BENCH_FIRST_RUN") == "1":
        result["first_s"] = first_run()
        table.add("F8", "./run on a bare Debian, packages and image included", f"{result['first_s'] / 60:.1f}", "min", "12",
                  "6", accelerator, "", result["first_s"] <= 720)
    return result


def first_run():
    base = tempfile.mkdtemp(prefix="cofferdam-first-", dir="/var/tmp")
    try:
        subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "bookworm", f"{base}/root"], check=True)
        target = f"{base}/root{ROOT}"
        os.makedirs(target)
        os.makedirs(f"{base}/ccache")
        os.makedirs(f"{base}/apt/partial")
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        archive = subprocess.run(["tar", "-c", "--null", "-T", "-"], cwd=ROOT, input=names, capture_output=True, check=True)
        subprocess.run(["tar", "-x", "-C", target], input=archive.stdout, check=True)
        return timed_ms([str(ROOT / "tests/setup/in_bare_root.sh"), f"{base}/root", str(ROOT), f"{base}/ccache",
                         f"{base}/apt", "", "./run && build/bin/coffer down"]) / 1000
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", base], check=False)


def leaks(table, one):
    """F9: create, run, destroy, again and again; then count what is there that was not there before."""
    def count():
        found = traces.of_folders(one.state, one.run_dir)
        namespaces = {os.readlink(f"/proc/{x.pid}/ns/net") for x in found if os.path.exists(f"/proc/{x.pid}/ns/net")}
        return {"processes": len(found), "descriptors": sum(traces.descriptors(one.pid).values()),
                "network namespaces": len(namespaces), "cgroups": len(one.cgroups()),
                "files": len(traces.files(one.state)) + len(traces.files(one.run_dir)),
                "mounts": len(traces.mounts(one.state, one.run_dir))}

    def settled():
        """The pool full, and the counts the same twice."""
        wait_for_pool(one)
        last, now = None, count()
        for _ in range(50):
            if now == last:
                break
            time.sleep(0.3)
            last, now = now, count()
        return now

    one.run("true")
    one.vmms()
    before = settled()
    start_at = time.perf_counter()
    for number in range(LEAK_RUNS):
        done = one.run("true")
        if done.status != 0:
            raise RuntimeError(f"run {number}: {done}")
    took = time.perf_counter() - start_at
    after = settled()
    leaked = {kind: after[kind] - before[kind] for kind in before if after[kind] > before[kind]}
    table.add("F9", f"{LEAK_RUNS} create-run-destroy in a row: what leaked", f"{sum(leaked.values())}", "", "0", "0", "",
              f"{', '.join(f'{n} {k}' for k, n in leaked.items()) or 'nothing'}; {LEAK_RUNS / took:.1f} runs/s", not leaked)
    return {"before": before, "after": after, "runs": LEAK_RUNS, "seconds": took}


def golden_images():
    with maker_of(GOLDEN) as one:
        one.ok("image", "build", "minimal", timeout=600)
        one.run("true")
        one.run("true", "--memory", "256M")


def yardstick():
    """Milliseconds of a fixed piece of work on one CPU, the best of three: figures of two machines, or of one machine on two
    days, are told apart by it. It is no row: nobody promises anything about it."""
    best = float("inf")
    for _ in range(3):
        start, total = time.perf_counter(), 0
        for i in range(2_000_000):
            total += i
        best = min(best, (time.perf_counter() - start) * 1000)
    return best


def wanted(promise):
    return not ONLY or promise in ONLY


def requests_per_second(table, one, accelerator):
    """F10: small requests to the API beside a bare server on the same library, each on one thread, in turns."""
    workspace = one.api.create(image="minimal")
    ours, bare, p99 = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "hello.sock"
        peer = subprocess.Popen([str(BIN / "bench-hello"), str(path)], stdout=subprocess.PIPE)
        peer.stdout.readline()

        def load(address, target):
            done = subprocess.run([str(BIN / "bench-load"), str(address), "32", "3", f"GET {target}"],
                                  capture_output=True, text=True, check=True)
            return json.loads(done.stdout)

        try:
            for _ in range(5):
                bare.append(load(path, "/")["requests_per_second"])
                answer = load(one.run_dir / "cofferd.sock", f"/workspace/{workspace['id']}")
                ours.append(answer["requests_per_second"])
                p99.append(answer["p99_ms"])
        finally:
            peer.kill()
            peer.wait()
    one.api.destroy(workspace["id"])
    ratio = statistics.median(ours) / statistics.median(bare)
    table.add("F10", "GET /workspace/{id}, of the requests/s of a bare Beast server", f"{ratio:.2f}", "", "0.5", "0.8",
              accelerator, f"{statistics.median(ours):.0f} of {statistics.median(bare):.0f} a second, "
              f"p99 {statistics.median(p99):.1f} ms at 32 connections", ratio >= 0.5)
    return {"ours": ours, "bare": bare}


def mixed_load(table, one, accelerator):
    """F12: 200 clients at once, 25 with each of 8 workspaces; each lists, looks, runs a command and reads a file in turn."""
    ids = [one.api.create(image="minimal")["id"] for _ in range(8)]
    names, requests = ("list", "get", "exec", "read"), []
    command = json.dumps({"cmd": ["/bin/true"], "stream": False})
    for workspace in ids:
        requests += ["GET /workspace", f"GET /workspace/{workspace}",
                     f"POST /workspace/{workspace}/runtime/exec {command}",
                     f"GET /workspace/{workspace}/files/raw?path=/etc/passwd", ","]
    done = subprocess.run([str(BIN / "bench-load"), str(one.run_dir / "cofferd.sock"), "200", "30", *requests],
                          capture_output=True, text=True, check=False)
    for workspace in ids:
        one.api.destroy(workspace)
    answer = json.loads(done.stdout)
    p99 = {name: max(kind["p99_ms"] for kind in answer["kinds"][i::len(names)]) for i, name in enumerate(names)}
    errors = answer["not_2xx"] + answer["broken_connections"]
    sys.stderr.write(done.stderr)
    table.add("F12", "200 clients that list, look, execute and read for 30 s: errors", str(errors), "", "0", "",
              accelerator, f"{answer['requests']} requests; p99 " +
              ", ".join(f"{name} {value:.0f} ms" for name, value in p99.items()), errors == 0)
    return answer


def idle_streams(table, one, accelerator):
    """F11: a thousand clients that listen to a workspace's figures, all at once."""
    workspace = one.api.create(image="minimal")
    before = private_kib(one.pid)
    streams = []
    for _ in range(1000):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(one.run_dir / "cofferd.sock"))  # blocks while the server's backlog is full
        client.settimeout(60)
        client.sendall(f"GET /workspace/{workspace['id']}/logs/stream/boot HTTP/1.1\r\nHost: x\r\n"
                       "Accept: text/event-stream\r\n\r\n".encode())
        streams.append(client)
    answered = sum(client.recv(12) == b"HTTP/1.1 200" for client in streams)
    grown = private_kib(one.pid) - before
    start_at = time.perf_counter()
    one.api.exec(workspace["id"], ["/bin/true"])
    exec_ms = (time.perf_counter() - start_at) * 1000
    for client in streams:
        client.close()
    one.api.destroy(workspace["id"])
    table.add("F11", "idle event streams held at once", str(answered), "", "1000", "", accelerator,
              f"{grown / 1000:.0f} KiB each; an exec meanwhile {exec_ms:.0f} ms", answered == 1000)
    return {"answered": answered, "kib_each": grown / 1000}


def key_deletion(table):
    """F20: one key of ten thousand erased, beside the bare flushes of the disk that it waits for."""
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        done = subprocess.run([str(BIN / "bench-keys"), folder, "10000", "300"], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    half, bare = statistics.median(answer["erase_ms"]), statistics.median(answer["three_flushes_ms"])
    table.add("F20", "one key of 10,000 erased, its old root destroyed, p50", f"{half:.1f}", "ms", "10", "", "",
              f"p95 {p(answer['erase_ms'], 95):.1f} ms; three bare flushes {bare:.1f} ms", half <= 10)
    return answer


def private_kib(pid):
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def main():
    if os.geteuid() != 0:
        sys.exit("the benchmark starts microVMs and needs root")
    golden_images()
    table, raw, pace = Table(), {}, yardstick()
    one = start(GOLDEN)
    try:
        accelerator = one.api.accelerator()
        print(f"accelerator {accelerator}, {os.cpu_count()} CPUs, medians of {RUNS} runs; 2 million additions in Python take "
              f"{pace:.0f} ms here")
        one.run("true")
        steps = [("F1", lambda: run_true(table, one, accelerator)),
                 ("F2", lambda: first_byte(table, one, accelerator, "F2", "claim from the pool to the first byte",
                                           (25, 80), "8", True)),
                 ("F4", lambda: second_exec(table, one, accelerator)),
                 ("F5", lambda: private_memory(table, one, accelerator)),
                 ("F6", lambda: many_workspaces(table, one, accelerator)),
                 ("F7", lambda: destroy(table, one, accelerator)),
                 ("F10", lambda: requests_per_second(table, one, accelerator)),
                 ("F11", lambda: idle_streams(table, one, accelerator)),
                 ("F12", lambda: mixed_load(table, one, accelerator)),
                 ("F22", lambda: at_rest.snapshots(table, one, accelerator)),
                 ("F25", lambda: at_rest.erasure(table, one, accelerator)),
                 ("F46", lambda: containment.steps(table, one, RUNS, accelerator)),
                 ("F9", lambda: leaks(table, one))]
        for promise, step in steps:
            if wanted(promise):
                raw[promise] = step()
    finally:
        one.close()
    if wanted("F3"):
        cold = start(GOLDEN, "--pool-size", "0")
        try:
            cold.run("true")
            raw["F3"] = first_byte(table, cold, accelerator, "F3", "the same with an empty pool", (150,), "60", False)
        finally:
            cold.close()
    if wanted("F30") or wanted("F31"):
        raw["F30"] = network.measure(table, accelerator, GOLDEN, RUNS)
    if wanted("F21"):
        raw["F21"] = at_rest.disk_io(table, GOLDEN, BIN, accelerator)
    if wanted("F20"):
        raw["F20"] = key_deletion(table)
    if wanted("F40") or wanted("F41") or wanted("F42"):
        raw["F40"] = ledger.alone(table)
    if wanted("F43"):
        raw["F43"] = ledger.exec_latency(table, start, GOLDEN, accelerator)
    if wanted("F44"):
        raw["F44"] = watch.cost(table, start, GOLDEN, WATCHED, accelerator)
    if wanted("F45"):
        raw["F45"] = watch.delay(table, GOLDEN, RUNS, accelerator)
    if wanted("F47"):
        raw["F47"] = estate.apply(table, start, GOLDEN, APPLIED, RUNS, accelerator)
    if wanted("F8"):
        raw["F8"] = run_script(table, accelerator)
    result = {"accelerator": accelerator, "cpus": os.cpu_count(), "runs": RUNS, "yardstick_ms": pace, "rows": sorted(
        table.rows, key=lambda row: row["promise"]), "raw": raw}
    (ROOT / "build" / "bench.json").write_text(json.dumps(result, indent=1) + "\n")
    missed = [row["what"] for row in table.rows if row["reached"] is False]
    print(f"written to build/bench.json; {len(table.rows) - len(missed)} of {len(table.rows)} rows reach what they must")
    return 0


if __name__ == "__main__":
    sys.exit(main())
