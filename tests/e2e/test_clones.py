"""Clones of one template share memory pages and nothing else: not randomness, not names, not the clock."""

import subprocess
import time

EVERYTHING = r"""
cat /proc/sys/kernel/random/boot_id
cat /proc/sys/kernel/random/uuid
head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n'; echo
cat /etc/machine-id
hostname
"""
PYTHON = "import random, uuid, os; print(random.random()); print(uuid.uuid4()); print(os.urandom(8).hex())"


def differ(samples):
    for line in zip(*samples):
        assert all(value.strip() for value in line), f"an empty value: {samples}"
        assert len(set(line)) == len(line), f"shared between clones: {line}"


def test_clones_share_no_random_state_and_no_name(daemon):
    samples = []
    for _ in range(3):
        done = daemon.run(EVERYTHING)
        assert done.status == 0 and len(done.out.splitlines()) == 5, done
        samples.append(done.out.splitlines())
    differ(samples)


def test_python_draws_differ_between_clones(daemon):
    samples = []
    for _ in range(3):
        done = daemon.run(["python3", "-c", PYTHON], image="debian-12")
        assert done.status == 0, done
        samples.append(done.out.splitlines())
    differ(samples)


def test_the_first_bytes_of_clones_made_together_differ(daemon):
    running = [daemon.spawn("run", "--image", "minimal", "--", "sh", "-c", "head -c 32 /dev/urandom | od -An -tx1")
               for _ in range(6)]
    drawn = [process.communicate(timeout=60)[0] for process in running]
    assert all(drawn) and len(set(drawn)) == len(drawn), drawn


def test_the_clock_is_the_hosts_to_50_ms(daemon):
    process = daemon.spawn("run", "--image", "debian-12", "-i", "--", "python3", "-uc",
                           "import sys, time\nprint('ready')\nfor line in sys.stdin: print(repr(time.time()))",
                           stdin=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdout.readline() == "ready\n"
    best = None
    for _ in range(20):
        before = time.time()
        process.stdin.write("\n")
        process.stdin.flush()
        guest = float(process.stdout.readline())
        after = time.time()
        # What the guest read lies between the two readings of the host: the error is what remains beyond them.
        error = max(before - guest, guest - after, 0.0)
        if best is None or after - before < best[0]:
            best = (after - before, error)
    process.stdin.close()
    assert process.wait(30) == 0
    assert best[1] <= 0.05, f"the guest's clock is off by at least {best[1]:.3f} s"


def test_the_clock_does_not_depend_on_the_timer_interrupt(daemon):
    with daemon.workspace() as name:
        source = daemon.exec(name, "cat /sys/devices/system/clocksource/clocksource0/current_clocksource").out.strip()
        assert source and "jiffies" not in source


def test_hostname_resolves_inside(daemon):
    done = daemon.run("grep -q \"$(hostname)\" /etc/hosts && echo listed")
    assert done.out == "listed\n", done
