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


def threads_below(pid):
    """Threads of a process and of all below it: what the host has to carry for a daemon, whatever else it does."""
    parents, threads = {}, {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            # The name in parentheses may hold anything; after it come state, parent and, 17 on, the number of threads.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(folder.name)], threads[int(folder.name)] = int(fields[1]), int(fields[17])
    found = {pid}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return sum(threads.get(one, 0) for one in found)


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
