"""F44 and F45: what it costs to watch many workspaces, and how soon an alert is told.

F44 is the CPU time of the daemon with the watch as it is by default, less that of the same daemon over the same
machines with the watch asleep: it is killed in between, and the next one takes the machines over."""

import os
import statistics
import time

from cofferdam import Cofferdam, wait_for

SECONDS = 20
ASLEEP = ("--watch-every", "1h", "--watch-ask-every", "1h")


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def share(one):
    """Of one core, in percent: the daemon's, and that of all its VMMs."""
    vmms = [p.pid for p in one.vmms()]
    before, theirs = cpu_seconds(one.pid), sum(map(cpu_seconds, vmms))
    began = time.monotonic()
    time.sleep(SECONDS)
    took = time.monotonic() - began
    return (cpu_seconds(one.pid) - before) / took * 100, (sum(map(cpu_seconds, vmms)) - theirs) / took * 100


def cost(table, start, golden, count, accelerator):
    """F44."""
    one = start(golden, "--pool-size", "0", "--pool-standby", "0", "--max-workspaces", str(count + 1))
    try:
        for _ in range(count):
            one.api.create(image="minimal", memory_mb=128)
        time.sleep(15)  # what a start leaves to be done
        watched = share(one)
        looked_at = len(one.json("top")["workspaces"])
        one.kill()
        one.start("--pool-size", "0", "--pool-standby", "0", "--max-workspaces", str(count + 1), *ASLEEP)
        wait_for(lambda: len(one.vmms()) == count and one("ls").status == 0, 60, "the machines to be taken over")
        time.sleep(15)
        asleep = share(one)
        more, theirs = watched[0] - asleep[0], watched[1] - asleep[1]
        table.add("F44", f"{count} workspaces looked at each second and asked every 4 s: the daemon's CPU", f"{more:.1f}",
                  "% of a core", "5", "", accelerator,
                  f"{looked_at} seen; {watched[0]:.1f} less {asleep[0]:.1f} %; in all their VMMs {theirs:+.1f} %",
                  more <= 5 and looked_at == count)
        return {"watched": watched, "asleep": asleep}
    finally:
        one.close()


def delay(table, golden, runs, accelerator):
    """F45: from a process that nobody started to the alert that a program is given."""
    one = Cofferdam(golden=golden)
    told = one.base / "told"
    tell = one.base / "tell"
    tell.write_text(f"#!/bin/sh\ncat >>{told}; echo >>{told}\n")
    tell.chmod(0o755)
    told.touch()
    one.start("--alerts-rules", "stray_process for=0s", "--alerts-command", tell)
    try:
        took = []
        for i in range(max(5, runs // 3)):
            name = one.create()
            began = time.monotonic()
            one.exec(name, "(setsid sleep 600 </dev/null >/dev/null 2>&1 &)")
            wait_for(lambda: len(told.read_text().splitlines()) > i, 30, "the alert")
            took.append(time.monotonic() - began)
            one("rm", name)
        worst = max(took)
        table.add("F45", "from a stray process to the alert that a program is given, the longest", f"{worst:.1f}", "s", "5", "",
                  accelerator, f"median {statistics.median(took):.1f} s of {len(took)}", worst <= 5)
        return took
    finally:
        one.close()
