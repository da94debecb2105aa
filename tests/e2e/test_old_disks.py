"""A state folder from before disks were encrypted: its workspaces go on, on encrypted disks, and nothing is left in the clear."""

import json
import os
import sqlite3
import subprocess

MARK = "kept-in-the-clear-41c7"


def debugfs(image, command):
    done = subprocess.run(["debugfs", "-w", "-R", command, image], capture_output=True, text=True, check=True)
    assert not [line for line in done.stderr.splitlines()[1:] if line.strip()], done.stderr  # behind its version


def stopped_with_a_plain_disk(daemon, tmp_path):
    """A stopped workspace with its disk as it was then: a raw file system with what the guest wrote over its image. Its id
    and its folder; the daemon is down."""
    daemon.up()
    name = daemon.create("--permanent", "--disk", "100M")
    daemon.ok("stop", name)
    daemon.down()
    folder = daemon.state / "workspaces" / name
    (empty,) = (daemon.state / "disks" / "formats").glob("100-*.img")
    disk = folder / "disk.img"
    subprocess.run(["cp", "--sparse=always", empty, disk], check=True)
    disk.chmod(0o600)
    note = tmp_path / "note"
    note.write_text(MARK + "\n")
    for command in ("mkdir /upper", "mkdir /upper/root", "mkdir /work", f"write {note} /upper/root/note"):
        debugfs(disk, command)
    for path in [*folder.glob("disk-*.img"), *folder.glob("*.log*")]:
        path.unlink(missing_ok=True)
    (folder / "boot.log").write_text(f"2026-01-01T00:00:00.000Z {MARK}\n")
    with sqlite3.connect(daemon.state / "cofferd.db") as database:
        (text,) = database.execute("SELECT record FROM workspaces WHERE id = ?", (name,)).fetchone()
        record = json.loads(text)
        record.update(disk_key_id="", disk_header="", sealed_env="")
        record["spec"]["env"] = ["OLD=value"]
        database.execute("UPDATE workspaces SET record = ? WHERE id = ?", (json.dumps(record), name))
    return name, folder


def test_a_workspace_with_a_disk_that_is_not_encrypted_goes_on_with_one_that_is(fresh, tmp_path):
    name, folder = stopped_with_a_plain_disk(fresh, tmp_path)
    assert MARK.encode() in (folder / "disk.img").read_bytes()

    fresh.up()
    shown = fresh.json("ls")["workspaces"][0]
    assert (shown["id"], shown["status"]) == (name, "stopped")
    fresh.ok("start", name)
    assert fresh.exec(name, "cat /root/note; echo $OLD").out == f"{MARK}\nvalue\n"
    assert fresh.exec(name, "echo more >/root/more; sync").status == 0
    assert sorted(path.name for path in folder.glob("*.img*")) == [next(folder.glob("disk-key_*.img")).name]
    for path in folder.rglob("*"):
        assert not path.is_file() or MARK.encode() not in path.read_bytes(), path
    fresh.ok("stop", name)
    fresh.ok("start", name)
    assert fresh.exec(name, "cat /root/note /root/more").out == f"{MARK}\nmore\n"
    snapshot = fresh.ok("snapshot", "create", name).out.strip()
    assert snapshot.startswith("snap_")
    fresh.ok("rm", name)
    fresh.down()
    fresh.assert_nothing_left()


def test_one_that_cannot_be_taken_over_says_why_and_is_kept(fresh, tmp_path):
    name, folder = stopped_with_a_plain_disk(fresh, tmp_path)
    os.truncate(folder / "disk.img", 101 << 20)
    fresh.up()
    refused = fresh("start", name)
    assert refused.status == 1 and "from before disks were encrypted" in refused.err and "no disk of 100 MiB" in refused.err, refused
    assert (folder / "disk.img").exists()
    os.truncate(folder / "disk.img", 100 << 20)
    fresh.ok("start", name)
    assert fresh.exec(name, "cat /root/note").out == MARK + "\n"
