"""Any process may die while something is kept or erased: then the old state is there or the new one, never a half."""

import os
import random
import time

# 1,000 of them are a matter of an hour under TCG.
CYCLES = int(os.environ.get("COFFER_CRASH_CYCLES", "6"))


def rounds_of(daemon, name):
    """The lines of the file that only grows, checked to be whole."""
    done = daemon.exec(name, "cat /root/rounds")
    assert done.status == 0, done
    lines = done.out.splitlines()
    assert lines == [str(number) for number in range(len(lines))], lines
    return len(lines)


def test_no_byte_is_lost_in_cycles_of_write_snapshot_kill_and_restore(fresh):
    rng = random.Random(7)
    fresh.up()
    name = fresh.create("--permanent", "--disk", "100M")
    assert fresh.exec(name, "echo 0 >/root/rounds; sync").status == 0
    kept = {}  # snapshot to the number of rounds it holds
    written = 1
    for _ in range(CYCLES):
        assert fresh.exec(name, f"echo {written} >>/root/rounds; sync").status == 0
        written += 1
        if rng.random() < 0.5 or not kept:
            running = fresh.spawn("--json", "snapshot", "create", name)
        else:
            running = fresh.spawn("snapshot", "restore", name, rng.choice(list(kept)))
        time.sleep(rng.uniform(0, 1.5))
        fresh.kill()
        running.communicate(timeout=60)
        fresh.up()
        listed = {one["id"] for one in fresh.json("snapshot", "ls", name)["snapshots"]}
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
