"""Is anything recoverable after a delete? Known markers are written wherever a workspace can have them, then looked for
with an attacker's means: every file of the host's, the processes' memory, both copies of the state folder."""

import os
import shutil
import subprocess

import forensics
import pytest
import traces
from cofferdam import SHARED, wait_for
from runtime_client import Runtime


def marks(count):
    """Texts that the guest makes by itself: it is told them backwards, so that no request holds them."""
    return [f"mark-{os.urandom(12).hex()}" for _ in range(count)]


def needles_of(texts):
    return [text.encode() for text in texts]


def vmm_of(daemon, name):
    machine = traces.machine_of(daemon.state, name)
    (vmm,) = [p for p in daemon.vmms() if machine in p.cgroup]
    return vmm


def disk_of(daemon, vmm):
    """The file of its disk, with a name or without, as the VMM has it open."""
    places = [f"{daemon.state}/{folder}/" for folder in ("disks", "workspaces")]
    found = [f"/proc/{vmm.pid}/fd/{fd}" for fd in os.listdir(f"/proc/{vmm.pid}/fd")]
    files = {os.stat(path).st_ino: path for path in found if os.readlink(path).startswith(tuple(places))}
    assert len(files) == 1, files
    return next(iter(files.values()))


def write_marks(daemon, name, in_file, in_memory):
    """One in a file that is synced and in the kernel's log, one in a process's memory alone, under its environment's
    name."""
    done = daemon.exec(name, f"echo {in_file[::-1]} | rev >/root/secret && sync; cat /root/secret >/dev/kmsg; "
                             f"(M=$(echo {in_memory[::-1]} | rev) sh -c 'while :; do sleep 60; done') >/dev/null 2>&1 &")
    assert done.status == 0, done
    assert daemon.exec(name, "cat /root/secret").out.strip() == in_file


def own_processes(daemon):
    """All that runs of an installation: the daemon, its gate, and what its pool has."""
    return [process for process in traces.of_folders(daemon.state, daemon.run_dir) if process.state != "Z"]


def expect_forgotten(daemon, needles):
    """In no memory of the installation's, as soon as the last who had to do with the workspace has heard of its end."""
    found = set()

    def forgotten():
        found.clear()
        for process in own_processes(daemon):
            if os.path.exists(f"/proc/{process.pid}/maps"):
                found.update(forensics.in_memory(process.pid, needles))
        return not found

    try:
        wait_for(forgotten, 10)
    except AssertionError:
        raise AssertionError(f"still there: {found}") from None


def copy_of(state, to):
    shutil.copytree(state, to, ignore=lambda folder, names: [n for n in names if folder == str(state) and n in SHARED],
                    symlinks=True)
    return to


@pytest.mark.parametrize("kind", ["temporary", "permanent"])
def test_is_anything_recoverable_after_a_delete(fresh, kind):
    fresh.up()
    in_file, in_memory, in_environment = marks(3)
    needles = needles_of([in_file, in_memory, in_environment])
    options = ["--permanent"] if kind == "permanent" else ["--ttl", "600"]
    name = fresh.create("--env", f"MARK={in_environment}", *options)
    write_marks(fresh, name, in_file, in_memory)
    fresh.ok("snapshot", "create", name)
    fresh.ok("archive", "create", name, "--path", "/root")
    vmm = vmm_of(fresh, name)
    passphrase = forensics.passphrase_of(vmm.pid)
    keys = [passphrase, bytes.fromhex(passphrase.decode())]
    assert forensics.in_memory(vmm.pid, needles), "the guest's own memory should hold its marks"

    # While it runs: no file of the host holds a mark or a key, with a name or without.
    assert forensics.in_files(fresh.state, needles + keys, skip=SHARED) == set()
    assert forensics.in_files(fresh.run_dir, needles + keys) == set()
    for process in (vmm.pid, fresh.pid):
        assert forensics.in_open_files(process, needles + keys) == set()
    before = copy_of(fresh.state, fresh.base / "before")

    headers = [forensics.luks_header(path) for path in before.rglob("disk*") if path.is_file()]
    disk = open(disk_of(fresh, vmm), "rb")  # what an attacker who was quick has kept
    own = forensics.luks_header(disk_of(fresh, vmm))
    assert own and forensics.opens(own, passphrase)

    removed = fresh.json("rm", name)
    assert removed["success"], removed
    wait_for(lambda: not os.path.exists(f"/proc/{vmm.pid}"), what="the end of the VMM")

    # Afterwards: nowhere. The daemon has seen the marks pass, as requests, as an environment and as output, and its jails
    # and its gate are its children.
    assert forensics.in_files(fresh.state, needles + keys, skip=SHARED) == set()
    assert forensics.in_files(fresh.run_dir, needles + keys) == set()
    assert {"cofferd", "coffer-jail", "coffer-gate"} <= {process.name for process in own_processes(fresh)}
    for process in own_processes(fresh):
        assert forensics.in_memory(process.pid, keys) == set()
    expect_forgotten(fresh, needles)
    for place in forensics.swap():
        assert forensics.in_file(place, needles + keys) == set()
    assert not disk.read().strip(b"\0"), "the blocks of the deleted disk can still be read through an old descriptor"
    assert not [path for path in traces.files(fresh.state, skip=SHARED) if name in path]

    # The attacker's seat: yesterday's copy, today's copy with today's root.
    after = copy_of(fresh.state, fresh.base / "after")
    assert forensics.in_files(before, needles + keys) == set()
    assert forensics.in_files(after, needles + keys) == set()
    guesses = [path.read_bytes() for path in (after / "keys").rglob("*") if path.is_file() and path.stat().st_size < 4096]
    for header in filter(None, headers):
        for guess in [*guesses, b"", b"\0" * 64]:
            for piece in {guess, guess.strip(), guess[-32:], guess[-32:].hex().encode()}:
                assert not forensics.opens(header, piece)


def test_two_workspaces_share_no_key_and_no_cipher_text(fresh):
    fresh.up()
    names = [fresh.create("--ttl", "600") for _ in range(2)]
    passphrases, headers, blocks = [], [], []
    for name in names:
        assert fresh.exec(name, "head -c 1048576 /dev/zero | tr '\\0' 'm' >/root/same; sync").status == 0
        vmm = vmm_of(fresh, name)
        passphrases.append(forensics.passphrase_of(vmm.pid))
        headers.append(forensics.luks_header(disk_of(fresh, vmm)))
        with open(disk_of(fresh, vmm), "rb") as disk:
            data = disk.read()
        assert b"m" * 16 not in data
        # Behind the tables and the header: 4 KiB blocks, of which none may be there twice.
        blocks.append({data[at:at + 4096] for at in range(3 << 20, len(data), 4096)} - {bytes(4096)})
    assert passphrases[0] != passphrases[1]
    assert forensics.opens(headers[0], passphrases[0]) and not forensics.opens(headers[0], passphrases[1])
    assert blocks[0] and not blocks[0] & blocks[1]


def test_a_disk_under_another_workspace_does_not_open(fresh):
    fresh.up()
    names = [fresh.create("--permanent") for _ in range(2)]
    for name in names:
        assert fresh.exec(name, f"echo {name} >/root/whose; sync").status == 0
        fresh.ok("stop", name)
    disks = [next((fresh.state / "workspaces" / name).glob("disk-*.img")) for name in names]
    kept = disks[0].with_suffix(".kept")
    disks[0].rename(kept)
    shutil.copy(disks[1], disks[0])
    refused = fresh("start", names[0])
    assert refused.status == 1 and "header" in refused.err, refused
    kept.rename(disks[0])
    fresh.ok("start", names[0])
    assert fresh.exec(names[0], "cat /root/whose").out.strip() == names[0]


def test_a_damaged_or_cut_disk_is_named(fresh):
    fresh.up()
    name = fresh.create("--permanent")
    assert fresh.exec(name, "head -c 4194304 /dev/urandom >/root/x; sync").status == 0
    fresh.ok("stop", name)
    disk = next((fresh.state / "workspaces" / name).glob("disk-*.img"))
    whole = disk.read_bytes()
    with open(disk, "r+b") as file:
        file.truncate(len(whole) // 2)
    refused = fresh("start", name)
    assert refused.status == 1 and "cut" in refused.err, refused
    at = whole.find(forensics.LUKS_MAGIC) + 5000
    disk.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
    refused = fresh("start", name)
    assert refused.status == 1 and "header" in refused.err, refused
    disk.write_bytes(b"\0" * 4 + whole[4:])
    refused = fresh("start", name)
    assert refused.status == 1 and "no disk of a workspace" in refused.err, refused
    disk.write_bytes(whole)
    fresh.ok("start", name)
    assert fresh.exec(name, "stat -c %s /root/x").out.strip() == "4194304"


def test_discarded_blocks_go_back_to_the_host(fresh):
    fresh.up()
    with fresh.workspace() as name:
        disk = disk_of(fresh, vmm_of(fresh, name))
        assert fresh.exec(name, "head -c 67108864 /dev/urandom >/root/x; sync").status == 0
        full = os.stat(disk).st_blocks * 512
        assert full > 64 << 20, full
        # The guest's file system gives them back behind its commit, by itself.
        assert fresh.exec(name, "rm /root/x; sync").status == 0
        wait_for(lambda: os.stat(disk).st_blocks * 512 < full - (48 << 20), 60, "the deleted file's blocks")


def test_nothing_deletes_a_workspace_on_hold(fresh):
    fresh.up()
    name = fresh.create("--ttl", "3")
    fresh.ok("hold", name, "--reason", "case 7")
    refused = fresh("rm", name)
    assert refused.status == 1 and "case 7" in refused.err and "unhold" in refused.err, refused
    # Neither the end of its time nor that of the daemon.
    with pytest.raises(AssertionError):
        wait_for(lambda: name not in {w["id"] for w in fresh.json("ls")["workspaces"]}, 6)
    fresh.down()
    fresh.up()
    assert name in {w["id"] for w in fresh.json("ls")["workspaces"]}
    fresh.ok("unhold", name)
    fresh.ok("rm", name)
    fresh.down()
    fresh.assert_nothing_left()


def test_no_core_is_dumped_and_no_vmm_may_swap(daemon):
    with daemon.workspace() as name:
        vmm = vmm_of(daemon, name)
        limits = subprocess.run(["cat", f"/proc/{vmm.pid}/limits"], capture_output=True, text=True, check=True).stdout
        (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"], core
        for folder in traces.cgroups_of(vmm):
            swap = folder / "memory.swap.max"
            if swap.exists():
                assert swap.read_text().strip() == "0"


def test_what_passes_through_the_daemon_is_nowhere_in_its_memory_when_the_workspace_is_gone(fresh):
    """Half a megabyte of output, a file up and down, a log, the body of a call: each by another way through the daemon."""
    fresh.up()
    in_output, in_file, in_log, in_body = marks(4)
    name = fresh.create("--ttl", "600")
    # The marks come out of the guest many times, in pieces that end anywhere.
    lines = fresh.exec(name, f"m=$(echo {in_output[::-1]} | rev); i=0; while [ $i -lt 20000 ]; do echo $m; i=$((i+1)); done")
    assert lines.status == 0 and lines.out.count(in_output) == 20000
    fresh.ok("cp", "-", f"{name}:/root/in", stdin=(in_file + "\n").encode() * 50000)
    assert fresh.ok("cp", f"{name}:/root/in", "-").out.count(in_file) == 50000
    logged = fresh.exec(name, f"echo {in_log[::-1]} | rev | tee /dev/kmsg")
    assert logged.out.strip() == in_log
    assert in_log in fresh.ok("logs", "--source", "boot", name).out
    Runtime(fresh, name).ask("POST", "/files/write", {"path": "/root/note", "content": in_body}, status=201)
    vmm = vmm_of(fresh, name)
    passphrase = forensics.passphrase_of(vmm.pid)
    fresh.ok("rm", name)
    for process in own_processes(fresh):
        assert forensics.in_memory(process.pid, [passphrase, bytes.fromhex(passphrase.decode())]) == set()
    expect_forgotten(fresh, needles_of([in_output, in_file, in_log, in_body]))
