"""Programs that take all they can: each ends in a clear result within its limits; neighbour and host are unharmed."""

import os
import pathlib
import signal
import time

import neighbour
import traces
from cofferdam import wait_for


def vmm_of(daemon, name):
    machine = traces.machine_of(daemon.state, name)
    found = [p for p in daemon.vmms() if machine in p.cgroup]
    assert len(found) == 1, (machine, [p.cgroup for p in daemon.vmms()])
    return found[0]


def test_filling_memory_ends_the_program_and_nothing_else(daemon):
    with neighbour.unharmed(daemon) as check, daemon.workspace("--memory", "192M") as name:
        done = daemon.exec(name, ["tail", "/dev/zero"])
        assert done.status == 137, done
        check()
        assert daemon.exec(name, "echo alive").out == "alive\n"
        resident = neighbour.memory_of(vmm_of(daemon, name).pid)
        assert resident < (192 + 160) << 10, f"the VMM has {resident} KiB"


def test_filling_a_file_system_in_memory_is_bounded_by_the_guests_memory(daemon):
    with neighbour.unharmed(daemon), daemon.workspace("--memory", "192M") as name:
        done = daemon.exec(name, "dd if=/dev/zero of=/dev/shm/fill bs=1M")
        assert done.status not in (0, 124), done
        assert daemon.exec(name, "rm -f /dev/shm/fill; echo alive").out == "alive\n"


def test_filling_the_disk_is_bounded_by_its_size(daemon):
    with neighbour.unharmed(daemon), daemon.workspace("--disk", "80M") as name:
        done = daemon.exec(name, "dd if=/dev/zero of=/root/fill bs=1M")
        assert done.status == 1 and "No space left" in done.err, done
        assert daemon.exec(name, "sync; ls -l /root/fill | awk '{exit $5 > 90*1024*1024}'; echo $?").out == "0\n"
        # Raw writes past the end of the device fail as well.
        done = daemon.exec(name, "dd if=/dev/zero of=/dev/vdb bs=1M seek=80 count=1")
        assert done.status == 1, done
        pid = vmm_of(daemon, name).pid
        on_disk = [os.stat(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")
                   if str(daemon.state) in os.readlink(f"/proc/{pid}/fd/{fd}")]
        assert on_disk and max(s.st_size for s in on_disk if s.st_nlink == 0 or s.st_size <= 80 << 20) <= 80 << 20


def test_a_hundred_thousand_files(daemon):
    with neighbour.unharmed(daemon), daemon.workspace() as name:
        done = daemon.exec(name, "mkdir /root/many; cd /root/many; seq 1 100000 | xargs touch; ls | wc -l",
                           "--timeout", "300", timeout=320)
        # All of them, or a clear end at the disk's bound.
        assert (done.status == 0 and done.out.strip() == "100000") or "No space left" in done.err, done
        assert daemon.exec(name, "echo alive").out == "alive\n"


def flood(daemon, *options, reader=None):
    process = daemon.spawn("run", "--image", "minimal", *options, "--", "sh", "-c",
                           "dd if=/dev/zero bs=1M count=1024; echo after >&2")
    got = 0
    while chunk := process.stdout.read1(1 << 20):
        got += len(chunk)
        if reader:
            reader(got)
    return got, process.wait(30), process.stderr.read().decode(errors="replace")


def test_a_gigabyte_of_output_arrives_and_ends_at_the_limit(daemon):
    with neighbour.unharmed(daemon) as check:
        looked = []

        def reader(got):
            if got > (len(looked) + 1) * (256 << 20):
                check()
                looked.append(neighbour.memory_of(daemon.pid))

        # What dd itself says afterwards is what goes over the limit.
        got, status, err = flood(daemon, "--timeout", "300", "--ttl", "320", reader=reader)
        assert got == 1 << 30 and status == 137 and "--max-output" in err, (got, status, err)


def test_nobody_reads_the_output_and_the_daemon_does_not_grow(daemon):
    with neighbour.unharmed(daemon) as check:
        process = daemon.spawn("run", "--image", "minimal", "--", "cat", "/dev/zero")
        first = process.stdout.read(1 << 16)
        assert len(first) == 1 << 16
        memory = neighbour.memory_of(daemon.pid)
        for _ in range(5):
            time.sleep(0.4)
            check()
        assert neighbour.memory_of(daemon.pid) < memory + (32 << 10)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_a_command_that_never_reads_its_input(daemon):
    with neighbour.unharmed(daemon):
        done = daemon.run("sleep 1; exit 6", "-i", stdin=b"\0" * (32 << 20))
        assert done.status == 6, done


def test_a_command_that_closes_its_output_and_goes_on(daemon):
    with neighbour.unharmed(daemon):
        start = time.monotonic()
        done = daemon.run("echo said; exec >&- 2>&-; sleep 2; exit 5")
        assert (done.status, done.out) == (5, "said\n"), done
        assert time.monotonic() - start >= 2


def test_a_child_that_keeps_the_output_open_does_not_hold_the_run(daemon):
    with neighbour.unharmed(daemon):
        done = daemon.run("sleep 300 & echo parent; exit 3", "--timeout", "20")
        assert done.out == "parent\n" and done.status in (3, 124), done


def test_killing_every_process_it_can_see(daemon):
    with neighbour.unharmed(daemon), daemon.workspace() as name:
        done = daemon.exec(name, "kill -9 -1; for p in /proc/[0-9]*; do kill -9 ${p#/proc/}; done; echo survived")
        assert done.status in (0, 1, 137), done
        assert daemon.exec(name, "echo alive").out == "alive\n"


def test_a_guest_that_switches_itself_off_is_a_named_end(daemon):
    with neighbour.unharmed(daemon):
        done = daemon.run("echo o >/proc/sysrq-trigger; poweroff -f; sleep 30")
        assert done.status in (125, 137), done
        assert done.err, "no word about the machine's end"


def test_a_guest_that_panics_is_a_named_end(daemon):
    with neighbour.unharmed(daemon):
        done = daemon.run("echo 1 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger; sleep 30", "--timeout", "15")
        assert done.status in (124, 125, 137), done
    assert not [w for w in daemon.json("ls")["workspaces"]]


def test_a_busy_loop_takes_no_more_than_its_cpu(daemon):
    with neighbour.unharmed(daemon), daemon.workspace("--cpus", "0.5") as name:
        pid = vmm_of(daemon, name).pid

        def used():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        spinning = daemon.spawn("exec", "--timeout", "6", name, "--", "sh", "-c", "while :; do :; done")
        time.sleep(1)
        before, start = used(), time.monotonic()
        time.sleep(4)
        share = (used() - before) / (time.monotonic() - start)
        spinning.wait(30)
        assert share < 0.75, f"half a CPU was asked, {share:.2f} were used"


def test_a_disk_is_no_faster_than_its_limit(daemon):
    for option, value in (("--disk-bps", "1M"), ("--disk-iops", "64")):
        with daemon.workspace(option, value) as name:
            start = time.monotonic()
            done = daemon.exec(name, "dd if=/dev/zero of=/root/f bs=16k count=256 oflag=direct", "--timeout", "60")
            assert done.status == 0, done
            assert time.monotonic() - start > 2.5, f"4 MiB in 256 writes at {option} {value}"


def test_a_console_flood_is_bounded_on_the_host(daemon):
    with neighbour.unharmed(daemon), daemon.workspace() as name:
        before = sum(p.stat().st_blocks for p in daemon.base.rglob("*") if p.is_file())
        daemon.exec(name, "i=0; while [ $i -lt 200 ]; do head -c 65536 /dev/zero | tr '\\0' x >/dev/hvc0; i=$((i+1)); done; "
                          "i=0; while [ $i -lt 2000 ]; do echo flood-$i >/dev/kmsg; i=$((i+1)); done", "--timeout", "40")
        after = sum(p.stat().st_blocks for p in daemon.base.rglob("*") if p.is_file())
        assert (after - before) * 512 < 8 << 20
        assert daemon.exec(name, "echo alive").out == "alive\n"


def test_clients_that_vanish_leave_no_descriptor_in_the_daemon(daemon):
    daemon.run("true")
    before = sum(traces.descriptors(daemon.pid).values())
    for _ in range(10):
        assert daemon.run("true").status == 0
        killed = daemon.spawn("run", "--image", "minimal", "--", "sh", "-c", "echo up; sleep 30")
        assert killed.stdout.readline() == b"up\n"
        killed.kill()
        killed.wait()
    # What they had started is removed in its turn.
    wait_for(lambda: sum(traces.descriptors(daemon.pid).values()) <= before + 24, 60,
             f"a daemon with no more than the {before} descriptors it had before, and some")
