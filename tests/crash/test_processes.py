"""Any process may die at any moment: what still lives is adopted, what should not live is removed, nothing leaks."""

import os
import random
import signal
import subprocess
import time

import pytest
import traces
from cofferdam import BIN, wait_for
from runtime_client import Runtime


def listed(daemon):
    return {w["id"]: w for w in daemon.json("ls")["workspaces"]}


def vmm_and_jail(daemon, name):
    """The two processes of a running workspace."""
    machine = traces.machine_of(daemon.state, name)
    vmm = [p for p in daemon.vmms() if machine in p.cgroup]
    assert len(vmm) == 1, (machine, daemon.vmms())
    jail = [p for p in daemon.jails() if p.pid == vmm[0].parent]
    assert len(jail) == 1, (vmm[0].parent, daemon.jails())
    return vmm[0], jail[0], machine


def gone(process):
    return not os.path.exists(f"/proc/{process.pid}") or traces.Process(process.pid).start != process.start


def test_a_new_daemon_adopts_the_workspaces_of_a_killed_one(fresh):
    fresh.up()
    names = [fresh.create("--ttl", "600"), fresh.create("--permanent", "--disk", "100M")]
    before = [fresh.exec(name, "echo kept >/root/x; cat /proc/sys/kernel/random/boot_id").out for name in names]
    fresh.kill()
    fresh.up()
    for name, boot_id in zip(names, before):
        done = fresh.exec(name, "cat /root/x /proc/sys/kernel/random/boot_id")
        assert (done.status, done.out) == (0, "kept\n" + boot_id), done
    for name in names:
        fresh.ok("rm", name)
    fresh.down()
    fresh.assert_nothing_left()


def test_the_files_of_an_older_vmm_go_when_nothing_runs_from_them(fresh):
    fresh.up()
    name = fresh.create("--permanent", "--disk", "100M")
    bundles = fresh.state / "vmm"
    for digest in ("a" * 64, "b" * 64):
        (bundles / digest / "usr").mkdir(parents=True)
    machine = traces.machine_of(fresh.state, name)
    fresh.kill()
    # As if QEMU had been upgraded since the workspace began.
    record = fresh.run_dir / "vm" / machine / "record"
    uid, machine_id, _ = record.read_text().split()
    record.write_text(f"{uid} {machine_id} {'b' * 64}\n")
    fresh.up()
    assert fresh.exec(name, "echo alive").out == "alive\n"
    assert not (bundles / ("a" * 64)).exists() and (bundles / ("b" * 64)).exists()
    fresh.ok("rm", name)
    fresh.down()
    fresh.up()
    assert not (bundles / ("b" * 64)).exists()


@pytest.mark.parametrize("end", ["kill", "down"])
def test_tasks_run_on_and_are_followed_by_the_next_daemon(fresh, end):
    fresh.up()
    name = fresh.create("--permanent", "--disk", "100M")
    runtime = Runtime(fresh, name)
    line = "echo first; while [ ! -e /root/go ]; do sleep 0.1; done; read word; echo got $word; exit 7"
    task = runtime.ask("POST", "/exec", {"cmd": ["sh", "-c", line], "background": True})["id"]
    quick = runtime.ask("POST", "/exec", {"cmd": ["sh", "-c", "while [ ! -e /root/quick ]; do sleep 0.1; done; exit 3"],
                                          "background": True})["id"]
    wait_for(lambda: runtime.ask("GET", f"/exec/{task}")["stdout"] == "first\n", what="the first line")
    getattr(fresh, end)()
    fresh.up()
    tasks = {t["id"]: t for t in runtime.ask("GET", "/exec")["tasks"]}
    assert tasks[task]["status"] == "running" and tasks[task]["command"][0] == "sh", tasks
    fresh.exec(name, "touch /root/go /root/quick")
    runtime.ask("POST", f"/exec/{task}/input", b"hello\n")
    ended = wait_for(lambda: (t := runtime.ask("GET", f"/exec/{task}"))["status"] == "exited" and t, what="its end")
    assert (ended["exit_code"], ended["stdout"]) == (7, "got hello\n"), ended
    assert wait_for(lambda: (t := runtime.ask("GET", f"/exec/{quick}"))["status"] == "exited" and t)["exit_code"] == 3
    # The next one gets an id of its own, and the ledger has one start and one end of each.
    assert int(runtime.ask("POST", "/exec", {"cmd": ["true"], "background": True})["id"]) > int(quick)
    events = fresh.json("events", "--limit", "1000", "--kind", "exec")["events"]
    started = [e for e in events if e["kind"] == "exec.started" and e["argv"] == ["sh", "-c", line]]
    assert len(started) == 1, started
    over = [e for e in events if e["kind"] == "exec.ended" and e["exec"] == started[0]["exec"]]
    assert [(e["exit"], e["how"], e["actor"]) for e in over] == [(7, "exited", "local:0")], over
    fresh.ok("rm", name)
    fresh.down()
    fresh.assert_nothing_left()


def test_pool_members_end_with_their_daemon(fresh):
    fresh.up()
    assert fresh.run("true").status == 0
    wait_for(fresh.vmms, 30, "a pool member")
    fresh.kill()
    wait_for(lambda: not fresh.vmms() and not fresh.jails(), 15, "the end of the pool")
    fresh.assert_nothing_left()


def test_a_client_of_a_killed_daemon_gets_a_named_error(fresh):
    fresh.up()
    process = fresh.spawn("run", "--image", "minimal", "--", "sh", "-c", "echo ready; sleep 60")
    assert process.stdout.readline() == b"ready\n"
    fresh.kill()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 125 and err, (process.returncode, out, err)


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_the_next_start_is_clean(fresh, seed):
    rng = random.Random(seed)
    fresh.up()
    fresh.run("true")
    fresh.vmms()
    running = [fresh.spawn("run", "--image", "minimal", "--ttl", "120", "--", "true") for _ in range(3)]
    running.append(fresh.spawn("create", "--image", "minimal", "--memory", "128M"))
    time.sleep(rng.uniform(0, 0.4))
    fresh.kill()
    for process in running:
        process.communicate(timeout=30)
        assert process.returncode is not None
    fresh.up()
    assert fresh.run("echo fine").out == "fine\n"
    for name in listed(fresh):
        fresh.ok("rm", name)
    fresh.down()
    fresh.assert_nothing_left()


def test_the_ttl_holds_while_the_daemon_is_dead(fresh):
    fresh.up()
    start = time.monotonic()
    name = fresh.create("--ttl", "4")
    vmm, jail, machine = vmm_and_jail(fresh, name)
    fresh.kill()
    assert not gone(vmm), "the workspace ended with the daemon, not at its TTL"
    wait_for(lambda: gone(vmm) and gone(jail), 15, "the end at the TTL")
    took = time.monotonic() - start
    assert took > 3.0, f"ended after {took:.1f} s of 4"
    wait_for(lambda: traces.cgroups_naming(machine) == [], 5, "the end of its cgroups")
    fresh.up()
    assert name not in listed(fresh)
    fresh.down()
    fresh.assert_nothing_left()


def test_a_killed_vmm_is_a_named_error_and_leaves_nothing(fresh):
    fresh.up()
    name = fresh.create()
    vmm, jail, machine = vmm_and_jail(fresh, name)
    waiting = fresh.spawn("exec", name, "--", "sleep", "60")
    time.sleep(0.5)
    os.kill(vmm.pid, signal.SIGKILL)
    _, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 125 and err, (waiting.returncode, err)
    wait_for(lambda: gone(jail) and traces.cgroups_naming(machine) == [], 10, "the jail's end")
    after = fresh.exec(name, "true")
    assert after.status == 125 and after.err, after
    assert fresh.run("echo fine").out == "fine\n"
    fresh("rm", name)
    fresh.down()
    fresh.assert_nothing_left()


def test_a_killed_jail_takes_its_vmm_along(fresh):
    fresh.up()
    name = fresh.create()
    vmm, jail, machine = vmm_and_jail(fresh, name)
    os.kill(jail.pid, signal.SIGKILL)
    wait_for(lambda: gone(vmm), 10, "the VMM's end")
    wait_for(lambda: traces.cgroups_naming(machine) == [], 10, "the end of its cgroups")
    after = fresh.exec(name, "true")
    assert after.status == 125 and after.err, after
    assert fresh.run("echo fine").out == "fine\n"
    fresh("rm", name)
    fresh.down()
    fresh.assert_nothing_left()


def test_a_jail_and_its_daemon_killed_together(fresh):
    fresh.up()
    name = fresh.create()
    vmm, jail, machine = vmm_and_jail(fresh, name)
    fresh.kill()
    os.kill(jail.pid, signal.SIGKILL)
    wait_for(lambda: gone(vmm), 10, "the VMM's end")
    fresh.up()
    assert traces.cgroups_naming(machine) == []
    assert name not in listed(fresh) or listed(fresh)[name]["status"] != "running"
    fresh("rm", name)
    fresh.down()
    fresh.assert_nothing_left()


def test_every_vmm_killed_while_runs_are_going_on(fresh):
    fresh.up()
    fresh.run("true")
    running = [fresh.spawn("run", "--image", "minimal", "--", "sh", "-c", "sleep 20") for _ in range(3)]
    time.sleep(1)
    for process in fresh.vmms():
        os.kill(process.pid, signal.SIGKILL)
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 125 and err, (process.returncode, out, err)
    assert fresh.run("echo fine").out == "fine\n"
    assert listed(fresh) == {}
    fresh.down()
    fresh.assert_nothing_left()


def test_a_second_daemon_on_the_same_folders_is_refused(fresh):
    fresh.up()
    second = subprocess.run([str(BIN / "cofferd"), "--state", str(fresh.state), "--run", str(fresh.run_dir)],
                            capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode != 0 and second.stderr, second
    assert fresh.run("echo fine").out == "fine\n"


def test_a_ledger_of_a_killed_daemon_is_whole_and_names_what_was_unsigned(fresh):
    """What was answered is in it, whenever the daemon dies; the next one says what it found."""
    fresh.up()
    name = fresh.create()
    for round_ in range(3):
        running = [fresh.spawn("exec", name, "--", "echo", f"round-{round_}-{i}") for i in range(6)]
        answered = [i for i, p in enumerate(running[:3]) if p.wait(60) == 0]
        fresh.kill()
        for process in running:
            process.communicate(timeout=30)
        fresh.up()
        done = fresh("ledger", "verify")
        assert done.status == 0, done
        seen = fresh.json("events", "--limit", "1000", "--kind", "exec.started")["events"]
        for i in answered:
            assert any(e["argv"] == ["echo", f"round-{round_}-{i}"] for e in seen), (round_, i)
    fresh.ok("rm", name)
