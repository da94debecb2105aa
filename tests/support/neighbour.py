"""A workspace beside the one that misbehaves, and the host itself: both must go on as before."""

import contextlib
import os
import pathlib
import time


def memory_of(pid):
    """Resident kilobytes of a process."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def host_threads():
    return int(pathlib.Path("/proc/loadavg").read_text().split()[3].split("/")[1])


@contextlib.contextmanager
def unharmed(daemon):
    """Yields a check that a neighbour and the daemon answer now; checks once more at the end, and that the neighbour is
    the same machine with the same file, and that the daemon did not grow."""
    pid = daemon.pid
    with daemon.workspace("--name", f"neighbour-{time.monotonic_ns()}") as name:
        before = daemon.exec(name, "echo precious >/root/file; cat /proc/sys/kernel/random/boot_id")
        assert before.status == 0, before
        memory = memory_of(pid)

        def check():
            done = daemon.exec(name, "cat /root/file /proc/sys/kernel/random/boot_id")
            assert (done.status, done.out) == (0, "precious\n" + before.out), done

        yield check
        check()
        assert daemon.pid == pid and os.path.exists(f"/proc/{pid}")
        assert memory_of(pid) < memory + (96 << 10), f"cofferd grew from {memory} to {memory_of(pid)} KiB"
