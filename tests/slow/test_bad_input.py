"""Absurd requests, damaged files, a full disk: a named error that says what to do, nothing leaked, the next one works."""

import os
import pathlib
import shutil
import subprocess

import pytest
import traces
from cofferdam import SHARED, Cofferdam, unchanged, wait_for


def works(daemon, *options):
    done = daemon.run("echo fine", *options)
    assert (done.status, done.out) == (0, "fine\n"), f"{done}\n{daemon.log()}"


@pytest.mark.parametrize("options", [
    ["--memory", "0"], ["--memory", "-1"], ["--memory", "1M"], ["--memory", "900T"], ["--memory", "99999999999999999999"],
    ["--memory", "lots"], ["--cpus", "0"], ["--cpus", "-2"], ["--cpus", "4096"], ["--cpus", "nan"], ["--disk", "0"],
    ["--disk", "-5"], ["--disk", "8E"], ["--ttl", "-1"], ["--ttl", "x"], ["--timeout", "-3"], ["--env", "no-equals-sign"],
    ["--env", "=x"], ["--workdir", "relative"], ["--file", "/no/such/local/file:/x"], ["--env-file", "/no/such/file"],
], ids=" ".join)
def test_absurd_options_are_refused_by_name(daemon, options):
    machines = len(daemon.json("ls")["workspaces"])
    done = daemon.run("echo ran", *options)
    assert done.status in (2, 125), done
    assert done.out == "" and done.err.strip(), done
    assert len(daemon.json("ls")["workspaces"]) == machines


def test_more_memory_than_the_host_has_is_refused(daemon):
    done = daemon.run("true", "--memory", "64G")
    total = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) >> 10
    if total > 60 << 10:
        pytest.skip("this host has more memory than the largest workspace")
    assert done.status == 125 and "memory" in done.err.lower(), done


def test_hostile_names_are_refused(daemon):
    for name in ("../../etc", "a/b", "x\ny", "", "a" * 5000, "-rf"):
        done = daemon("exec", "--timeout=5", "--", name, "--", "true")
        assert done.status in (2, 125), (name, done)
        done = daemon.run("true", image=name)
        assert done.status in (2, 125), (name, done)


def test_a_huge_argument_list_is_refused_or_runs(daemon):
    done = daemon.run(["echo", *["x" * 100] * 5000])
    assert (done.status == 0 and len(done.out) > 500_000) or (done.status in (2, 125, 126) and done.err), done.status


@pytest.fixture
def copied(golden):
    """A fresh daemon whose templates are copies, so that they can be damaged."""
    one = Cofferdam(golden=golden)
    shutil.rmtree(one.state / "templates", ignore_errors=True)
    with unchanged(golden):
        subprocess.run(["cp", "-a", "--sparse=always", str(golden / "templates"), str(one.state)], check=True)
    yield one
    one.close()


def flip(path):
    """Changes one byte where there is data."""
    with open(path, "r+b") as file:
        try:
            start = os.lseek(file.fileno(), 0, os.SEEK_DATA)
        except OSError:
            return False
        size = os.fstat(file.fileno()).st_size
        offset = start + min(4096, (size - start) // 2)
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x41]))
    return True


def template_files(daemon):
    return [p for p in (daemon.state / "templates").rglob("*") if p.is_file() and p.stat().st_size > 0]


def identities(daemon):
    return {p.relative_to(daemon.state): (p.stat().st_ino, p.stat().st_mtime_ns) for p in template_files(daemon)}


def test_a_template_with_one_byte_changed_is_rebuilt_not_used(copied):
    files = template_files(copied)
    assert files
    for name in sorted({p.name for p in files}):
        for path in template_files(copied):
            if path.name == name:
                assert flip(path)
        before = identities(copied)
        copied.up()
        works(copied)
        after = identities(copied)
        changed = [path for path, identity in after.items() if path.name == name and before.get(path) != identity]
        assert changed, f"after a change of {name} the template was used as it was"
        copied.down()


def test_a_template_cut_short_is_rebuilt(copied):
    for path in template_files(copied):
        os.truncate(path, path.stat().st_size // 2)
    copied.up()
    works(copied)


def test_a_missing_kernel_is_a_named_error(fresh):
    kernels = [p for p in (fresh.state / "images").rglob("*") if p.is_file() and "vmlinuz" in p.name or "bzImage" in p.name
               or "kernel" in p.name and p.is_file()]
    assert kernels, traces.files(fresh.state / "images")
    shutil.rmtree(fresh.state / "templates", ignore_errors=True)
    for path in kernels:
        path.unlink()
    fresh.up()
    done = fresh.run("true")
    assert done.status == 125 and "kernel" in done.err.lower(), done
    fresh.down()
    fresh.assert_nothing_left()


def test_a_missing_root_file_system_is_a_named_error(fresh):
    roots = [p for p in (fresh.state / "images").rglob("*.erofs") if p.is_file()]
    assert roots, traces.files(fresh.state / "images")
    for path in roots:
        path.unlink()
    fresh.up()
    done = fresh.run("true")
    assert done.status == 125 and "image" in done.err.lower(), done
    fresh.down()
    fresh.assert_nothing_left()


@pytest.fixture
def small_disk(golden, tmp_path):
    """A daemon whose state lies on a file system that can be filled."""
    mount = tmp_path / "small"
    mount.mkdir()
    with unchanged(golden):
        shared = [str(golden / name) for name in SHARED if (golden / name).exists()]
        usage = subprocess.run(["du", "-skc", *shared], capture_output=True, text=True, check=True).stdout
        used = int(usage.splitlines()[-1].split()[0])
        # Not a tmpfs: what a VMM writes there counts as its memory.
        backing = tmp_path / "small.img"
        with open(backing, "wb") as file:
            file.truncate((used + (600 << 10)) << 10)  # a template of another size, a snapshot of all its memory
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(backing)], check=True)
        subprocess.run(["mount", "-o", "loop", str(backing), str(mount)], check=True)
        subprocess.run(["cp", "-a", "--sparse=always", *shared, str(mount)], check=True)
    one = Cofferdam(state=mount)
    yield one
    one.close()
    subprocess.run(["umount", "-l", str(mount)], check=True)


def fill(folder):
    """Takes all the room there is; returns what to remove."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * (64 << 10))
        except OSError:
            pass
    return filler


def test_a_full_host_disk_is_a_named_error(small_disk):
    small_disk.up()
    works(small_disk, "--disk", "64M")
    filler = fill(small_disk.state)
    done = small_disk("create", "--image", "minimal", "--permanent", "--disk", "66M")  # none is ready
    assert done.status == 1 and ("space" in done.err.lower() or "room" in done.err.lower()), done
    assert not [w for w in small_disk.json("ls")["workspaces"]]
    filler.unlink()
    works(small_disk, "--disk", "64M")


def test_a_host_disk_that_fills_under_a_guest_is_the_guests_error(small_disk):
    small_disk.up()
    with small_disk.workspace("--disk", "256M", "--ttl", "120") as name:
        filler = fill(small_disk.state)
        os.truncate(filler, filler.stat().st_size - (32 << 20))
        done = small_disk.exec(name, "dd if=/dev/zero of=/root/fill bs=1M count=100 conv=fsync", "--timeout", "60")
        # The file's write fails, or that of the guest's journal: its file system then takes no more.
        assert done.status == 1 and ("error" in done.err.lower() or "read-only" in done.err.lower()), done
        assert small_disk("ls").status == 0
        assert small_disk.exec(name, "echo alive").out == "alive\n"
        filler.unlink()
    works(small_disk, "--disk", "64M")


def test_a_host_disk_that_fills_in_the_middle_of_a_snapshot_costs_the_snapshot_alone(small_disk):
    small_disk.up()
    with small_disk.workspace("--disk", "64M", "--memory", "256M", "--ttl", "600") as name:
        assert small_disk.exec(name, "head -c 100000000 /dev/urandom >/dev/shm/x; echo kept >/root/x; sync").status == 0
        filler = fill(small_disk.state)
        os.truncate(filler, filler.stat().st_size - (48 << 20))
        refused = small_disk("snapshot", "create", name)
        assert refused.status == 1 and ("space" in refused.err.lower() or "room" in refused.err.lower()), refused
        assert small_disk.json("snapshot", "ls", name)["snapshots"] == []
        assert not [path for path in (small_disk.state / "workspaces").rglob("*") if path.is_file()]
        assert small_disk.exec(name, "cat /root/x").out == "kept\n"
        filler.unlink()
        small_disk.ok("snapshot", "create", name)
        assert len(small_disk.json("snapshot", "ls", name)["snapshots"]) == 1
    works(small_disk, "--disk", "64M")


def test_a_ledger_without_room_refuses_changes_and_lets_work_go_on(small_disk):
    small_disk.up()
    with small_disk.workspace("--disk", "64M", "--ttl", "600") as name:
        running = small_disk.spawn("exec", "-i", name, "--", "sh", "-c", "read x; echo went-on", stdin=subprocess.PIPE)
        wait_for(lambda: any("read x" in str(e) for e in small_disk.json("events", "--kind", "exec.started")["events"]),
                 what="the start of a command")
        filler = fill(small_disk.state)
        # What is reserved holds for a while; each of these takes some 16 KiB of it.
        words = ["true", *["x" * 4000] * 8]
        refused = None
        for _ in range(400):
            done = small_disk.exec(name, words)
            if done.status != 0:
                refused = done
                break
        assert refused is not None and "the ledger has no room" in refused.err, refused
        done = small_disk("token", "create", "--ttl", "10m")
        assert done.status == 1 and "the ledger has no room" in done.err and "make room" in done.err, done
        assert small_disk("ls").status == 0
        out, err = running.communicate(b"\n", timeout=60)
        assert (running.returncode, out) == (0, b"went-on\n"), (running.returncode, out, err)
        filler.unlink()
        wait_for(lambda: small_disk("token", "create", "--ttl", "10m").status == 0, what="room")
        ended = small_disk.json("events", "--kind", "exec.ended", "--limit", "1000")["events"]
        assert [e for e in ended if e["bytes_out"] == len("went-on\n")], ended[-5:]
        assert small_disk("ledger", "verify").status == 0
    works(small_disk, "--disk", "64M")


def test_an_unwritable_run_folder_is_a_named_error(fresh):
    fresh.run_dir.write_text("a file, not a folder")
    done = fresh("up", timeout=60)
    assert done.status == 1 and str(fresh.run_dir) in done.err, done
    fresh.run_dir.unlink()
    fresh.up()
    works(fresh)


def test_an_import_cut_off_by_the_daemons_death_leaves_nothing(fresh, tmp_path):
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin" / "sh")
    for number in range(300):
        (root / f"file{number}").write_bytes(os.urandom(100_000))
    fresh.up()
    before = traces.files(fresh.state / "images")
    process = fresh.spawn("image", "import", root, "--name", "cut-off")
    wait_for(lambda: traces.files(fresh.state / "images") != before or process.poll() is not None, 20, "the import's start")
    fresh.kill()
    process.communicate(timeout=30)
    fresh.up()
    fresh.ok("image", "import", root, "--name", "cut-off", timeout=120)
    assert fresh.run(["/bin/sh", "-c", "echo imported"], image="cut-off").out == "imported\n"
    fresh.ok("image", "rm", "cut-off")
    after = [f for f in traces.files(fresh.state / "images") if f not in before]
    assert not [f for f in after if "tmp" in f or "cut-off" in f or "partial" in f], after
