"""What an installation has on this host right now: processes, cgroups, files, mounts. Reads the kernel, asks no daemon."""

import contextlib
import json
import os
import pathlib
import re
import sqlite3

CGROUPS = pathlib.Path("/sys/fs/cgroup")
PROC = pathlib.Path("/proc")


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""


class Process:
    """One process, as /proc showed it."""

    def __init__(self, pid):
        base = PROC / str(pid)
        self.pid = pid
        self.name = _read(base / "comm").decode(errors="replace").strip()
        self.argv = _read(base / "cmdline").decode(errors="replace").split("\0")[:-1]
        self.cgroup = _read(base / "cgroup").decode(errors="replace")
        stat = _read(base / "stat").decode(errors="replace")
        fields = stat.rsplit(")", 1)[-1].split()
        self.state = fields[0] if fields else "X"
        self.parent = int(fields[1]) if len(fields) > 1 else 0
        self.start = fields[19] if len(fields) > 19 else ""

    def opened(self):
        """Where its descriptors point."""
        base = PROC / str(self.pid) / "fd"
        try:
            return [_link(base / fd) for fd in os.listdir(base)]
        except OSError:
            return []

    def __repr__(self):
        return f"{self.name}[{self.pid}]"


def processes():
    return [Process(int(entry)) for entry in os.listdir(PROC) if entry.isdigit()]


def of_folders(*folders):
    """Every live process that has one of the folders in its arguments, its working folder or its open files, and all
    they started. Zombies count: an unreaped child is a leak too."""
    texts = [str(folder) for folder in folders]
    everything = {process.pid: process for process in processes()}
    everything.pop(os.getpid(), None)

    def belongs(process):
        if process.name not in ("cofferd", "coffer-jail", "coffer-gate", "coffer") and not process.name.startswith("qemu-system"):
            return False
        places = [*process.argv, _link(PROC / str(process.pid) / "cwd"), *process.opened()]
        return any(text in place for text in texts for place in places)

    found = {pid for pid, process in everything.items() if belongs(process)}
    grown = True
    while grown:
        grown = False
        for pid, process in everything.items():
            if pid not in found and process.parent in found:
                found.add(pid)
                grown = True
    return [everything[pid] for pid in sorted(found)]


def vmms(*folders):
    return [p for p in of_folders(*folders) if p.name.startswith("qemu-system") and p.state != "Z"]


def jails(*folders):
    return [p for p in of_folders(*folders) if p.name == "coffer-jail" and p.state != "Z"]


def machine_of(state, workspace):
    """The id of the machine a running workspace has, from the daemon's database: it names cgroups and folders."""
    database = sqlite3.connect(f"file:{pathlib.Path(state) / 'cofferd.db'}?mode=ro", uri=True)
    with contextlib.closing(database):
        (record,) = database.execute("SELECT record FROM workspaces WHERE id = ?", (workspace,)).fetchone()
    return json.loads(record)["vm_id"]


def cgroups_of(process):
    """The folders of the cgroups it is in, those that say cofferdam."""
    found = []
    for line in process.cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        if "coffer" not in path:
            continue
        names = [name for name in controllers.split(",") if name]
        tops = [CGROUPS / name.removeprefix("name=") for name in names] or [CGROUPS, CGROUPS / "unified"]
        tops += [CGROUPS / controllers] if len(names) > 1 else []
        found += [top / path.lstrip("/") for top in tops if (top / path.lstrip("/")).is_dir()]
    return found


def cgroups_below(parents):
    """Every cgroup below the given ones."""
    found = []
    for parent in parents:
        for folder, children, _ in os.walk(parent):
            found += [os.path.join(folder, child) for child in children]
    return sorted(found)


def cgroups_naming(text):
    found = []
    for folder, children, _ in os.walk(CGROUPS):
        found += [os.path.join(folder, child) for child in children if text in child]
    return sorted(found)


def files(folder, skip=()):
    """Every path below the folder, relative, except below the named top folders."""
    found = []
    for current, folders, names in os.walk(folder):
        base = os.path.relpath(current, folder)
        if base == ".":
            folders[:] = [name for name in folders if name not in skip]
        found += [os.path.normpath(os.path.join(base, name)) for name in [*folders, *names]]
    return sorted(found)


def mounts(*folders):
    text = pathlib.Path("/proc/self/mountinfo").read_text()
    return [line for line in text.splitlines() if any(str(folder) in line for folder in folders)]


def descriptors(pid):
    """How many descriptors a process has open, by kind: paths and numbers are taken off."""
    counts = {}
    base = PROC / str(pid) / "fd"
    for fd in os.listdir(base):
        kind = re.sub(r"\[\d+\]|#\d+", "", _link(base / fd))
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def interfaces():
    return sorted(os.listdir("/sys/class/net"))


def named_network_namespaces():
    try:
        return sorted(os.listdir("/run/netns"))
    except OSError:
        return []
