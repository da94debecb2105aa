"""Any process may die while something is kept or erased: then the old state is there or the new one, never a half."""

import hashlib
import os
import random
import time

# COFFER_CRASH_CYCLES=1000 takes an hour or two under TCG; COFFER_CRASH_SEED chooses other ones.
CYCLES = int(os.environ.get("COFFER_CRASH_CYCLES", "10"))
SEED = int(os.environ.get("COFFER_CRASH_SEED", "7"))
LINES = 4000  # of each round
MOST_KEPT = 5


def content_of(rounds):
    """What the file holds after so many rounds."""
    return b"".join(f"round {number}\n".encode() * LINES for number in range(rounds))


def write_round(daemon, name, number):
    done = daemon.exec(name, f"yes 'round {number}' | head -n {LINES} >>/root/data; sync")
    assert done.status == 0, done


def rounds_of(daemon, name):
    """How many rounds the file holds; every byte of them is checked."""
    done = daemon.exec(name, "tail -n 1 /root/data; wc -c </root/data; md5sum </root/data")
    assert done.status == 0, done
    last, size, digest = done.out.splitlines()
    rounds = int(last.split()[1]) + 1
    content = content_of(rounds)
    lost = len(content) - int(size)
    assert lost == 0, f"{lost} bytes are lost of {rounds} rounds"
    assert digest.split()[0] == hashlib.md5(content).hexdigest(), f"the bytes of {rounds} rounds are not what was written"
    return rounds


def test_no_byte_is_lost_in_cycles_of_write_snapshot_kill_and_restore(fresh):
    rng = random.Random(SEED)
    fresh.up()
    name = fresh.create("--permanent", "--disk", "100M")
    write_round(fresh, name, 0)
    kept = {}  # snapshot to the number of rounds it holds
    written = 1
    for _ in range(CYCLES):
        write_round(fresh, name, written)
        written += 1
        removed = None
        if len(kept) >= MOST_KEPT:
            removed = rng.choice(list(kept))
            running = fresh.spawn("snapshot", "rm", name, removed)
        elif rng.random() < 0.5 or not kept:
            running = fresh.spawn("--json", "snapshot", "create", name)
        else:
            running = fresh.spawn("snapshot", "restore", name, rng.choice(list(kept)))
        time.sleep(rng.uniform(0, 1.5) if removed is None else rng.uniform(0, 0.2))
        fresh.kill()
        running.communicate(timeout=60)
        fresh.up()
        listed = {one["id"] for one in fresh.json("snapshot", "ls", name)["snapshots"]}
        if removed not in listed:
            kept.pop(removed, None)
        assert set(kept) <= listed, "a snapshot that was kept is gone"
        for one in listed - set(kept):
            kept[one] = written
        folder = fresh.state / "workspaces" / name / "snapshots"
        assert {path.name for path in folder.iterdir()} == listed if folder.exists() else not listed
        assert len(list((fresh.state / "workspaces" / name).glob("disk-*.img"))) == 1
        if next(w["status"] for w in fresh.json("ls")["workspaces"] if w["id"] == name) != "running":
            fresh.ok("start", name)
        now = rounds_of(fresh, name)
        # Where it was, or where one of its snapshots was.
        assert now == written or now in kept.values(), (now, written, kept)
        written = now
    for one, rounds in kept.items():
        fresh.ok("snapshot", "restore", name, one)
        assert rounds_of(fresh, name) == rounds
    fresh.ok("rm", name)
    fresh.down()
    fresh.assert_nothing_left()


def test_a_removal_that_is_cut_off_is_finished_or_never_was(fresh):
    rng = random.Random(3)
    for _ in range(3):
        fresh.up()
        name = fresh.create("--permanent")
        assert fresh.exec(name, "head -c 8388608 /dev/urandom >/root/x; echo kept >/root/y; sync").status == 0
        fresh.ok("snapshot", "create", name)
        running = fresh.spawn("rm", name)
        time.sleep(rng.uniform(0, 0.3))
        fresh.kill()
        running.communicate(timeout=60)
        fresh.up()
        there = {w["id"]: w["status"] for w in fresh.json("ls")["workspaces"]}
        if name in there:
            if there[name] != "running":
                fresh.ok("start", name)
            assert fresh.exec(name, "cat /root/y").out == "kept\n"
            fresh.ok("rm", name)
        assert not list((fresh.state / "workspaces").glob("*"))
    fresh.down()
    fresh.assert_nothing_left()
