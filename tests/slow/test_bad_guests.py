"""Guests that do not come up: an init that fails, one that ends, one that says nothing. Each is a named error in its time,
nothing is left, and the next image runs."""

import os
import shutil
import struct
import subprocess

import pytest
from cofferdam import wait_for

BUSYBOX = "/bin/busybox"
PAUSE = bytes.fromhex("b822000000" "0f05" "ebf7")        # for (;;) pause()
EXIT = bytes.fromhex("bf03000000" "b83c000000" "0f05")   # _exit(3)
BASE = 0x400000


def program(code):
    """A static program of nothing but `code`."""
    head = 64 + 56
    size = head + len(code)
    elf = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01" + bytes(9), 2, 62, 1, BASE + head, 64, 0, 0, 64, 56, 1, 0,
                      0, 0)
    return elf + struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 4096) + code


def works(daemon):
    done = daemon.run("echo fine")
    assert (done.status, done.out) == (0, "fine\n"), f"{done}\n{daemon.log()}"


def end_without_a_trace(daemon):
    wait_for(lambda: daemon.vmms() == [], what="the end of the guest")
    daemon.down()
    daemon.assert_nothing_left()


def with_init(daemon, tmp_path, code):
    """The daemon with another init for its guests, and no machine made ahead."""
    init = tmp_path / "init"
    init.write_bytes(program(code))
    init.chmod(0o755)
    return daemon.start("--guest", str(init), "--pool-size", "0", "--pool-standby", "0")


@pytest.fixture
def damaged(fresh, tmp_path):
    """A daemon with an image whose root file system is none any more."""
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin" / "busybox")
    (root / "bin" / "sh").symlink_to("busybox")
    fresh.start("--pool-size", "0", "--pool-standby", "0")
    before = set((fresh.state / "images").rglob("*.erofs"))
    fresh.ok("image", "import", root, "--name", "broken", timeout=120)
    made = set((fresh.state / "images").rglob("*.erofs")) - before
    assert len(made) == 1, made
    with open(made.pop(), "r+b") as file:
        file.write(os.urandom(4096))
    return fresh


def test_an_init_that_fails_says_why(damaged):
    done = damaged.run("true", image="broken", timeout=300)
    assert done.status == 125, done
    assert "the guest cannot go on" in done.err and "broken" in done.err, done
    works(damaged)
    end_without_a_trace(damaged)


def test_an_init_that_ends_is_named(fresh, tmp_path):
    with_init(fresh, tmp_path, EXIT)
    done = fresh.run("true", timeout=300)
    assert done.status == 125, done
    assert "the guest ended" in done.err and "minimal" in done.err, done
    end_without_a_trace(fresh)


def test_a_guest_that_is_silent_for_three_minutes_is_named_and_holds_up_nobody(fresh, tmp_path):
    with_init(fresh, tmp_path, PAUSE)
    waiting = fresh.spawn("run", "--image", "minimal", "--", "true", stderr=subprocess.PIPE)
    wait_for(lambda: fresh.vmms(), 60, "the guest")
    assert fresh("ls").status == 0
    out, err = waiting.communicate(timeout=400)
    assert waiting.returncode == 125, err
    assert b"silent for 180 seconds" in err and b"minimal" in err, err
    end_without_a_trace(fresh)
