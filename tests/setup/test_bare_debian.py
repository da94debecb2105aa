"""The set-up itself, on a Debian 12 that has a shell and nothing more: a minbase root with nothing added."""

import contextlib
import os
import pathlib
import subprocess
import tempfile

import pytest
from cofferdam import ROOT

# What a built tree and its packages take.
ROOM_KIB = 6 << 20
DEADLINE_S = 900


@pytest.fixture
def bare_root():
    """The root file system, in memory where there is enough: dpkg's syncs make a disk several times slower."""
    base = pathlib.Path(tempfile.mkdtemp(prefix="cofferdam-bare-", dir="/var/tmp"))
    available = next(int(line.split()[1]) for line in pathlib.Path("/proc/meminfo").read_text().splitlines()
                     if line.startswith("MemAvailable:"))
    in_memory = available > 2 * ROOM_KIB
    if in_memory:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM_KIB}k,mode=755", "tmpfs", str(base)], check=True)
    try:
        subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "bookworm", str(base)], check=True,
                       timeout=DEADLINE_S)
        yield base
    finally:
        if in_memory:
            subprocess.run(["umount", "-l", str(base)], check=True)
            base.rmdir()
        else:
            subprocess.run(["rm", "-rf", "--one-file-system", str(base)], check=True)


def copy_tree(root):
    """The sources as a clone has them, at the path they have here, so that the compiler cache knows them."""
    target = root / str(ROOT).lstrip("/")
    target.mkdir(parents=True)
    names = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others",
                            "--exclude-standard"], cwd=ROOT, capture_output=True, check=False).stdout
    present = b"\0".join(name for name in names.split(b"\0") if name and os.path.lexists(ROOT / name.decode()))
    assert present, "git lists no file: the sources are copied from a git work tree"
    archive = subprocess.run(["tar", "-c", "--null", "-T", "-"], cwd=ROOT, input=present, capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", str(target)], input=archive.stdout, check=True)
    return ROOT


def in_bare_root(root, command, images):
    archives = ROOT / "build" / "test-state" / "apt"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    cache = subprocess.run(["ccache", "-k", "cache_dir"], capture_output=True, text=True, check=True).stdout.strip()
    os.makedirs(cache, exist_ok=True)
    done = subprocess.run([str(ROOT / "tests/setup/in_bare_root.sh"), str(root), str(ROOT), cache, str(archives),
                           str(images) if images else "", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=DEADLINE_S, check=False)
    text = done.stdout.decode(errors="replace")
    print(text)
    return done.returncode, text


def test_run_works_on_a_bare_debian_and_again(bare_root, golden):
    copy_tree(bare_root)
    with contextlib.suppress(FileNotFoundError):
        assert not (bare_root / "usr/bin/make").exists() and not (bare_root / "usr/bin/python3").exists()
    status, text = in_bare_root(bare_root, "./run && echo FIRST-DONE && ./run && echo SECOND-DONE && build/bin/coffer down",
                                golden / "images")
    assert status == 0, text[-4000:]
    first, second = text.split("FIRST-DONE")
    assert "installing" in first and "own kernel" in first and "nothing is left" in first
    assert "installing" not in second and "own kernel" in second and "SECOND-DONE" in second
