#!/usr/bin/python3
"""How long a guest stands still for a snapshot of its memory, measured three ways on one bare QEMU each, outside any cage:

  freeze  QEMU's background-snapshot: memory is write-protected with userfaultfd, the guest runs on, each page is written
          out before it changes
  stop    what Cofferdam does: the guest stands still, QEMU writes its devices, and the pages that the guest has for
          itself are copied from outside
  whole   the guest stands still until QEMU has written all of its memory

    bench/pause.py [MEMORY_MIB] [CHANGED_MIB] [ROUNDS]        as root; 512, 200 and 5 when they are not given

Prints the medians in ms, and how long after the guest's stop all was written. The guest's memory is a private mapping of
a sealed file, as a clone's is, of which CHANGED_MIB hold random bytes of its own.
"""

import fcntl
import json
import mmap
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

PAGE = 4096
PRESENT, SWAPPED, OF_FILE = 1 << 63, 1 << 62, 1 << 61
LOADED_AT = 64 << 20


class Monitor:
    """QMP, with the events that came on the way."""

    def __init__(self, path):
        end = time.monotonic() + 20
        while True:
            self.link = socket.socket(socket.AF_UNIX)
            try:
                self.link.connect(path)
                break
            except OSError:
                self.link.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
        self.link.settimeout(60)
        self.lines = self.link.makefile("r", encoding="utf-8")
        self.events = []
        json.loads(self.lines.readline())
        self("qmp_capabilities")

    def __call__(self, command, **arguments):
        self.link.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = json.loads(self.lines.readline())
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']['desc']}")
            else:
                return answer["return"]

    def time_of(self, name):
        """Of the last event of this name, in ms."""
        stamp = [e["timestamp"] for e in self.events if e["event"] == name][-1]
        return stamp["seconds"] * 1000 + stamp["microseconds"] / 1000

    def migrate_to(self, path, capability=None):
        """All of it; how long that took, in ms."""
        if capability:
            self("migrate-set-capabilities", capabilities=[{"capability": capability, "state": True}])
        self("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        begin = time.perf_counter()
        self("migrate", uri=f"exec:cat >{path}")
        while True:
            state = self("query-migrate")
            if state["status"] == "completed":
                return (time.perf_counter() - begin) * 1000
            if state["status"] == "failed":
                raise RuntimeError(state.get("error-desc", "QEMU reports failure"))
            time.sleep(0.002)


class Vmm:
    """One with `memory` MiB, of which `changed` are its own."""

    def __init__(self, folder, memory, changed):
        self.memory = os.memfd_create("bench-memory", os.MFD_ALLOW_SEALING)
        os.ftruncate(self.memory, memory << 20)
        fcntl.fcntl(self.memory, 1033, 0x2 | 0x4 | 0x8)  # F_ADD_SEALS: shrink, grow, write
        content = f"{folder}/content"
        if not os.path.exists(content):
            with open(content, "wb") as file:
                for _ in range(changed):
                    file.write(os.urandom(1 << 20))
        monitor = f"{folder}/monitor-{time.monotonic_ns()}"
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg,thread=multi",
             "-M", "microvm,memory-backend=ram,isa-serial=off", "-m", f"{memory}M", "-object",
             f"memory-backend-file,id=ram,size={memory}M,mem-path=/proc/self/fd/{self.memory},share=off",
             "-device", f"loader,file={content},addr={LOADED_AT},force-raw=on",
             "-chardev", f"socket,id=monitor,path={monitor},server=on,wait=off", "-mon", "chardev=monitor,mode=control"],
            pass_fds=(self.memory,), stdin=subprocess.DEVNULL)
        self.qmp = Monitor(monitor)

    def end(self):
        self.process.kill()
        self.process.wait()
        os.close(self.memory)

    def copy_changed(self):
        """The pages that the VMM has for itself, as vm/memory_copy.cpp finds them; how many bytes that were."""
        inode = os.fstat(self.memory).st_ino
        with open(f"/proc/{self.process.pid}/maps", encoding="ascii") as maps:
            ranges = [line.split() for line in maps if "/memfd:bench-memory" in line]
        taken = 0
        with open(f"/proc/{self.process.pid}/pagemap", "rb", 0) as table, \
                open(f"/proc/{self.process.pid}/mem", "rb", 0) as memory:
            for fields in ranges:
                if int(fields[4]) != inode:
                    continue
                begin, end = (int(text, 16) for text in fields[0].split("-"))
                table.seek(begin // PAGE * 8)
                entries = struct.unpack(f"<{(end - begin) // PAGE}Q", table.read((end - begin) // PAGE * 8))
                runs = []
                for at, entry in enumerate(entries):
                    if not entry & (PRESENT | SWAPPED) or entry & OF_FILE:
                        continue
                    if runs and runs[-1][1] == at:
                        runs[-1][1] = at + 1
                    else:
                        runs.append([at, at + 1])
                size = sum(last - first for first, last in runs) * PAGE
                if size == 0:
                    continue
                with mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE) as copy, \
                        memoryview(copy) as view:
                    done = 0
                    for first, last in runs:
                        memory.seek(begin + first * PAGE)
                        with view[done:done + (last - first) * PAGE] as part:
                            done += memory.readinto(part)
                    taken += done
        return taken


def freeze(vmm, folder):
    took = vmm.qmp.migrate_to(f"{folder}/out", "background-snapshot")
    return vmm.qmp.time_of("RESUME") - vmm.qmp.time_of("STOP"), took


def stop(vmm, folder):
    begin = time.perf_counter()
    vmm.qmp("stop")
    vmm.qmp("xen-save-devices-state", filename=f"{folder}/devices", live=False)
    taken = vmm.copy_changed()
    vmm.qmp("cont")
    took = (time.perf_counter() - begin) * 1000
    if taken < 1 << 20:
        raise RuntimeError("the guest has no memory of its own")
    return took, took


def whole(vmm, folder):
    begin = time.perf_counter()
    vmm.qmp("stop")
    took = vmm.qmp.migrate_to(f"{folder}/out")
    vmm.qmp("cont")
    return (time.perf_counter() - begin) * 1000, took


def measure(memory=512, changed=200, rounds=5):
    """The way's name to its medians: (standing still, until all is written), or to why it cannot be done here."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="cfd-pause-", dir="/tmp") as folder:
        for name, way in (("freeze", freeze), ("stop", stop), ("whole", whole)):
            values = []
            for _ in range(rounds):
                vmm = Vmm(folder, memory, changed)
                try:
                    time.sleep(0.5)  # its firmware has halted
                    values.append(way(vmm, folder))
                except RuntimeError as error:
                    found[name] = str(error)
                    break
                finally:
                    vmm.end()
            else:
                found[name] = tuple(statistics.median(column) for column in zip(*values))
    return found


def main():
    memory, changed, rounds = (int(text) for text in (sys.argv[1:] + ["512", "200", "5"][len(sys.argv) - 1:]))
    for name, value in measure(memory, changed, rounds).items():
        print(f"{name:8}", value if isinstance(value, str) else f"stands still {value[0]:7.1f} ms, all written after {value[1]:7.1f} ms")


if __name__ == "__main__":
    main()
