"""Where bytes can be found again on this host: in every file of an installation, and in the memory of its processes."""

import ctypes
import os
import pathlib
import subprocess
import tempfile

CHUNK = 4 << 20
LUKS_MAGIC = b"LUKS\xba\xbe"
LUKS_FILLED = 4096 + 4000 * 64
KEPT_KEY = 30  # the descriptor in a VMM that holds its disk's passphrase


def _search(read, needles, start, end, found, place):
    overlap = max(len(needle) for needle in needles) - 1
    tail = b""
    at = start
    while at < end:
        piece = read(at, min(CHUNK, end - at))
        if not piece:
            return
        window = tail + piece
        for needle in needles:
            if needle in window:
                found.add((place, needle))
        tail = window[-overlap:] if overlap else b""
        at += len(piece)


def in_file(path, needles):
    """The needles that are in the file. Holes are zeros, and are not read."""
    found = set()
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        size = os.fstat(fd).st_size
        at = 0
        while at < size:
            try:
                data = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                break
            hole = os.lseek(fd, data, os.SEEK_HOLE)
            _search(lambda offset, n: os.pread(fd, n, offset), needles, data, hole, found, str(path))
            at = hole
    finally:
        os.close(fd)
    return found


def in_files(folder, needles, skip=()):
    """The same for every regular file below the folder, but below its sub-folders `skip`."""
    found = set()
    for current, folders, names in os.walk(folder):
        if pathlib.Path(current) == pathlib.Path(folder):
            folders[:] = [name for name in folders if name not in skip]
        for name in names:
            path = os.path.join(current, name)
            if os.path.isfile(path) and not os.path.islink(path):
                found |= in_file(path, needles)
    return found


def in_open_files(pid, needles):
    """The files that a process has open, also those without a name."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{fd}"
        try:
            target = os.readlink(path)
            if not target.startswith("/") or "memfd:" in target or not os.path.isfile(path):
                continue
            real = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            size = os.fstat(real).st_size
            at = 0
            while at < size:
                try:
                    data = os.lseek(real, at, os.SEEK_DATA)
                except OSError:
                    break
                hole = os.lseek(real, data, os.SEEK_HOLE)
                _search(lambda offset, n: os.pread(real, n, offset), needles, data, hole, found, target)
                at = hole
        finally:
            os.close(real)
    return found


def in_memory(pid, needles):
    """The needles that are anywhere in what a process has mapped."""
    found = set()
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps:
        ranges = [line.split() for line in maps]
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        for fields in ranges:
            if not fields[1].startswith("r") or "[vvar" in fields[-1] or "[vsyscall" in fields[-1]:
                continue
            begin, end = (int(part, 16) for part in fields[0].split("-"))

            def read(offset, n):
                try:
                    return os.pread(memory, n, offset)
                except OSError:
                    return b""

            _search(read, needles, begin, end, found, f"memory of {pid}: {' '.join(fields)}")
    finally:
        os.close(memory)
    return found


def swap():
    """The files and partitions the host swaps to."""
    with open("/proc/swaps", encoding="ascii") as text:
        return [line.split()[0] for line in text.readlines()[1:]]


def passphrase_of(vmm_pid):
    """What opens the disk of a running VMM: looked at, not taken out."""
    libc = ctypes.CDLL(None, use_errno=True)
    kept = os.open(f"/proc/{vmm_pid}/fd/{KEPT_KEY}", os.O_RDONLY)
    reading, writing = os.pipe()
    try:
        length = libc.tee(kept, writing, 4096, 2)
        assert length > 0, os.strerror(ctypes.get_errno())
        return os.read(reading, length)
    finally:
        for fd in (kept, reading, writing):
            os.close(fd)


def luks_header(path):
    """The LUKS header that lies in a disk's file; None: there is none."""
    with open(path, "rb") as file:
        start = file.read(1 << 20)
        at = start.find(LUKS_MAGIC)
        if at < 0:
            return None
        file.seek(at)
        return file.read(LUKS_FILLED)


def opens(header, passphrase):
    """Whether LUKS opens this header with this passphrase."""
    with tempfile.NamedTemporaryFile() as image:
        image.write(header)
        image.truncate(4 << 20)
        image.flush()
        done = subprocess.run(["cryptsetup", "open", "--test-passphrase", "--type", "luks1", "--key-file", "-", image.name],
                              input=passphrase, capture_output=True, check=False, timeout=60)
        return done.returncode == 0
