"""The rows of the ledger: entries a second, verification, proofs, and what it costs a command."""

import json
import pathlib
import statistics
import subprocess
import tempfile
import time

from cofferdam import BIN

ENTRIES = 1_000_000
PROOFS = 2000


def _tool(*words):
    done = subprocess.run([str(BIN / "bench-ledger"), *map(str, words)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def alone(table):
    """F40 to F42: one log of a million entries."""
    # Where the daemon's own state would lie, for the sake of the disk.
    with tempfile.TemporaryDirectory(prefix="cfd-ledger-", dir="/var/tmp") as place:
        wrote = _tool("write", place, ENTRIES)
        table.add("F40", "ledger entries a second, each awaited durable", f"{wrote['per_second']:.0f}", "", "50,000", "", "",
                  f"{ENTRIES} entries, 2,000 callers", wrote["per_second"] >= 50_000)
        ledger = pathlib.Path(place) / "ledger"
        start = time.perf_counter()
        subprocess.run([str(BIN / "coffer-verify"), str(ledger)], stdout=subprocess.DEVNULL, check=True)
        took = time.perf_counter() - start
        size = sum(p.stat().st_size for p in ledger.iterdir()) / ENTRIES
        table.add("F41", "coffer-verify of 1,000,000 entries", f"{took:.1f}", "s", "10", "", "",
                  f"{size:.0f} bytes an entry on disk", took <= 10)
        proof = _tool("prove", ledger, PROOFS)
        worst = max(proof["made_p99_ms"], proof["checked_p99_ms"])
        table.add("F42", "proof of one entry among them, made or checked, p99", f"{worst:.2f}", "ms", "1", "", "",
                  f"p50 made {proof['made_p50_ms']:.2f} ms, checked {proof['checked_p50_ms']:.2f} ms", worst <= 1)
        return {"write": wrote, "verify_s": took, "proof": proof}


# One emulated machine may be a fifth slower than its twin for as long as it lives, and commands behind those of another
# daemon are slower than they are alone: many machines, turns of many commands, and of each turn the first not counted.
MACHINES = 60
TURNS = 4
COMMANDS = 20
NOT_COUNTED = 5


def _turn(one, workspace):
    """How long each command took, in ms."""
    took = []
    for _ in range(NOT_COUNTED + COMMANDS):
        began = time.perf_counter()
        one.api.exec(workspace, ["/bin/true"])
        took.append((time.perf_counter() - began) * 1000)
    return took[NOT_COUNTED:]


def exec_latency(table, start, golden, accelerator):
    """F43: an exec of /bin/true with the ledger and without, taken in turns."""
    both = {"on": start(golden), "off": start(golden, "--ledger-write", "false")}
    took = {"on": [], "off": []}  # of each machine
    try:
        for machine in range(MACHINES):
            order = ("on", "off") if machine % 2 else ("off", "on")
            spaces = {key: both[key].api.create(image="minimal")["id"] for key in order}
            for key in order:
                took[key].append([])
            for turn in range(TURNS):
                for key in order if turn % 2 else reversed(order):
                    took[key][-1] += _turn(both[key], spaces[key])
            for key in order:
                both[key].api.destroy(spaces[key])
        on, off = (statistics.median(sum(took[key], [])) for key in ("on", "off"))
        ratios = [statistics.median(a) / statistics.median(b) for a, b in zip(took["on"], took["off"])]
        error = statistics.stdev(ratios) / MACHINES**0.5 * 100
        more = (on / off - 1) * 100
        table.add("F43", "exec of /bin/true, with the ledger over without", f"{more:+.1f}", "%", "5", "", accelerator,
                  f"medians {on:.2f} and {off:.2f} ms of {MACHINES} machines each, error +-{error:.1f} %", more <= 5)
        return took
    finally:
        for one in both.values():
            one.close()
