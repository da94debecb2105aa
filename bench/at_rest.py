"""The rows about what lies on the disk: encrypted I/O, snapshots, forks, deletes."""

import json
import os
import statistics
import subprocess
import tempfile
import time

ROUNDS = 5
DELETES = 3


def disk_io(table, golden, binaries, accelerator):
    """F21: direct I/O in the guest on an encrypted disk, against the same VM on a plain raw file."""
    with tempfile.TemporaryDirectory(prefix="cfd-disk-", dir="/tmp") as base:
        os.chmod(base, 0o755)
        state = f"{base}/state"
        os.mkdir(state, 0o755)
        for name in ("images", "templates", "vmm"):
            if os.path.exists(f"{golden}/{name}"):
                subprocess.run(["cp", "-al", f"{golden}/{name}", state], check=True)
        done = subprocess.run([f"{binaries}/bench-disk", state, f"{base}/run", binaries, "debian-12", "3"],
                              capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    rounds = json.loads(done.stdout)
    for kind, what, unit, must in (("seq_write", "sequential 4 KiB writes", "a second", 0.6),
                                   ("seq_read", "sequential 4 KiB reads", "a second", 0.6),
                                   ("rand_write", "random 4 KiB writes", "a second", 0.6),
                                   ("rand_read", "random 4 KiB reads", "a second", 0.6),
                                   ("big_write", "sequential 1 MiB writes", "MiB/s", 0),
                                   ("big_read", "sequential 1 MiB reads", "MiB/s", 0)):
        ours = statistics.median(r["encrypted"][kind] for r in rounds)
        theirs = statistics.median(r["plain"][kind] for r in rounds)
        table.add("F21", f"{what} on the encrypted disk, of a plain file's", f"{ours / theirs:.2f}", "",
                  str(must or ""), "0.9" if must else "", accelerator, f"{ours:.0f} of {theirs:.0f} {unit}", ours / theirs >= must)
    return rounds


def snapshots(table, one, accelerator):
    """F22, F23, F24: 512 MiB with 200 MiB dirty."""
    workspace = one.api.create(image="minimal", memory_mb=512)["id"]
    filled = one.exec(workspace, "head -c 209715200 /dev/urandom >/dev/shm/x", "--timeout", "120", timeout=150)
    if filled.status != 0:
        raise RuntimeError(f"{filled}")
    pauses, restores, forks, bytes_kept = [], [], [], 0
    for _ in range(ROUNDS):
        taken = one.json("snapshot", "create", workspace)
        pauses.append(taken["pause_ms"])
        bytes_kept = taken["size_bytes"]
        start_at = time.perf_counter()
        one.ok("snapshot", "restore", workspace, taken["id"])
        if one.exec(workspace, "echo up").out != "up\n":
            raise RuntimeError("a restored workspace does not answer")
        restores.append((time.perf_counter() - start_at) * 1000)
        start_at = time.perf_counter()
        children = one.ok("fork", workspace, "--snapshot", taken["id"], "--count", "10").out.split()
        forks.append((time.perf_counter() - start_at) * 1000)
        for child in children:
            one.ok("rm", child)
        one.ok("snapshot", "rm", workspace, taken["id"])
    one.api.destroy(workspace)
    rows = (("F22", "pause of a snapshot, 512 MiB with 200 MiB dirty", pauses, 500, "50"),
            ("F23", "restore of it to the first exec", restores, 1500, "150"),
            ("F24", "fork of 10 from one snapshot", forks, 2000, "250"))
    for promise, what, values, must, aim in rows:
        half = statistics.median(values)
        table.add(promise, what, f"{half:.0f}", "ms", str(must), aim, accelerator,
                  f"{bytes_kept >> 20} MiB kept, worst {max(values):.0f} ms", half <= must)
    return {"pause_ms": pauses, "restore_ms": restores, "fork_ms": forks, "bytes": bytes_kept}


def bare_delete(folder):
    """How long the host takes to free a plain file with 2 GiB, in ms: what no delete can be faster than."""
    path = folder / "bare"
    with open(path, "wb", 0) as file:
        for _ in range(2048):
            file.write(b"x" * (1 << 20))
        os.fsync(file.fileno())
    start_at = time.perf_counter()
    path.unlink()
    return (time.perf_counter() - start_at) * 1000


def erasure(table, one, accelerator):
    """F25: the delete of a permanent workspace with 2 GiB written, beside that of a plain file."""
    keys, wholes, bare, left = [], [], [], []
    for _ in range(DELETES):
        bare.append(bare_delete(one.base))
        workspace = one.ok("create", "--image", "minimal", "--permanent").out.strip()
        filled = one.exec(workspace, "dd if=/dev/zero of=/root/x bs=1M count=2048 && sync", "--timeout", "300",
                          timeout=330)
        if filled.status != 0:
            raise RuntimeError(f"{filled}")
        start_at = time.perf_counter()
        removed = one.api.destroy(workspace)["removed"]
        wholes.append((time.perf_counter() - start_at) * 1000)
        keys.append(removed["keys_gone_ms"])
        left += list((one.state / "workspaces").glob("*"))
    key, whole = statistics.median(keys), statistics.median(wholes)
    table.add("F25", "delete with 2 GiB written, until nothing opens what is left", f"{key:.0f}", "ms", "100", "", accelerator,
              f"worst {max(keys):.0f} ms", key <= 100)
    plain = statistics.median(bare)
    table.add("F25", "the same, until nothing is left", f"{whole:.0f}", "ms", "1000", "100", accelerator,
              f"a plain file of that size: {plain:.0f} ms; key, blocks, file, record, receipt; worst {max(wholes):.0f} ms",
              whole <= 1000 and not left)
    table.add("F25", "the same, beyond what the host takes to free a plain file", f"{max(whole - plain, 0):.0f}", "ms", "1000",
              "100", accelerator, f"{whole / plain:.2f} of it", whole - plain <= 1000 and not left)
    return {"keys_gone_ms": keys, "ms": wholes, "plain_ms": bare}
