"""Suspended workspaces: the memory is on disk, the host has none of it, and all goes on where it was."""

import json
import threading
import time

import pytest
from cofferdam import wait_for
from runtime_client import Connection, Runtime

COUNTER = "i=0; while :; do i=$((i+1)); echo $i >/run/count.new; mv /run/count.new /run/count; sleep 0.05; done"
MARK = "b1f7-asleep-mark"


def ask(daemon, method, where, body=None):
    connection = Connection(daemon.run_dir / "cofferd.sock")
    connection.request(method, where, None if body is None else json.dumps(body))
    answer = connection.getresponse()
    return answer.status, answer.read()


def call(daemon, method, where, body=None):
    status, text = ask(daemon, method, where, body)
    assert status < 300, f"{method} {where}: {status} {text[:2000]}"
    return json.loads(text)


def workspace(daemon, name):
    return call(daemon, "GET", f"/workspace/{name}")["workspace"]


def start_counter(daemon, name):
    """Something that lives in memory alone."""
    assert daemon.exec(name, f"sh -c '{COUNTER}' >/dev/null 2>&1 &").status == 0
    wait_for(lambda: daemon.exec(name, "cat /run/count").status == 0, what="the counter")


def count(daemon, name):
    done = daemon.exec(name, "cat /run/count")
    assert done.status == 0, done
    return int(done.out)


def vmms_of(daemon, name):
    vm = workspace(daemon, name)["vm_id"]
    return [p for p in daemon.vmms() if vm and vm in str(p)]


def expect_asleep(daemon, name):
    told = workspace(daemon, name)
    assert (told["status"], told["memory_on_disk"], told["vm_id"]) == ("suspended", True, ""), told


def expect_to_go_on(daemon, name, then):
    first = count(daemon, name)
    assert first >= then, (first, then)
    wait_for(lambda: count(daemon, name) > first, what="the process to run on")
    assert abs(float(daemon.exec(name, "date +%s").out) - time.time()) < 5


@pytest.fixture
def alone(fresh):
    """A daemon that keeps no machine ready: every VMM there is, is a workspace's."""
    return fresh.start("--pool-size", "0", "--pool-standby", "0")


@pytest.mark.parametrize("options", [("--ttl", "600"), ("--permanent", "--disk", "100M")])
def test_a_process_goes_on_and_meanwhile_no_vmm_and_no_memory_is_left(alone, options):
    with alone.workspace(*options) as name:
        start_counter(alone, name)
        assert alone.exec(name, f"echo {MARK} >/run/mark; echo kept >/root/x").status == 0  # not synced
        then = count(alone, name)
        assert len(alone.vmms()) == 1
        alone.ok("suspend", name)
        expect_asleep(alone, name)
        assert alone.vmms() == []
        assert alone.cgroups() == []
        folder = alone.state / "workspaces" / name
        files = [path for path in folder.rglob("*") if path.is_file() and "asleep-" in str(path)]
        assert sorted(path.name for path in files) == ["memory", "state"], files
        assert all(MARK.encode() not in path.read_bytes() for path in files)
        assert alone.exec(name, "cat /run/mark /root/x").out == f"{MARK}\nkept\n"  # wakes it
        expect_to_go_on(alone, name, then)
        assert not [path for path in folder.rglob("*") if "asleep-" in str(path)]
        assert len(alone.vmms()) == 1
    alone.down()
    alone.assert_nothing_left()


def test_it_sleeps_over_a_stop_and_a_kill_of_the_daemon(alone):
    name = alone.create("--permanent", "--disk", "100M")
    start_counter(alone, name)
    then = count(alone, name)
    alone.ok("suspend", name)
    alone.down()
    alone.start("--pool-size", "0", "--pool-standby", "0")
    expect_asleep(alone, name)
    assert alone.vmms() == []
    alone.kill()
    alone.start("--pool-size", "0", "--pool-standby", "0")
    expect_asleep(alone, name)
    alone.ok("start", name)
    expect_to_go_on(alone, name, then)
    # It can do so again, and a stop in its sleep loses nothing of its disk.
    assert alone.exec(name, "echo late >/root/late").status == 0
    alone.ok("suspend", name)
    alone.ok("stop", name)
    alone.ok("start", name)
    assert alone.exec(name, "cat /root/late").out == "late\n"
    assert alone.exec(name, "test -e /run/count").status != 0
    alone.ok("rm", name)
    alone.down()
    alone.assert_nothing_left()


def test_its_time_to_live_runs_on(alone):
    name = alone.create("--ttl", "6")
    before = workspace(alone, name)["lifecycle"]["ttl_expires_at"]
    alone.ok("suspend", name)
    expect_asleep(alone, name)
    assert workspace(alone, name)["lifecycle"]["ttl_expires_at"] == before
    wait_for(lambda: alone.json("ls")["workspaces"] == [], 30, "the end at the TTL")
    alone.down()
    alone.assert_nothing_left()


def test_idleness_puts_it_on_disk_and_the_next_call_wakes_it(alone):
    with alone.workspace("--ttl", "600") as name:
        start_counter(alone, name)
        then = count(alone, name)
        call(alone, "PUT", f"/workspace/{name}/lifecycle/idle", {"suspend_after": 1})
        # It is suspended from the moment that it stands still.
        wait_for(lambda: workspace(alone, name)["status"] == "suspended" and not workspace(alone, name)["vm_id"], 60, "its sleep")
        expect_asleep(alone, name)
        assert Runtime(alone, name).sh("cat /run/count")["exit_code"] == 0
        call(alone, "PUT", f"/workspace/{name}/lifecycle/idle", {"suspend_after": 0})
        expect_to_go_on(alone, name, then)


def test_workloads_and_tasks_of_the_runtime_are_the_same_processes_afterwards(alone):
    with alone.workspace("--ttl", "600") as name:
        rt = Runtime(alone, name)
        made = call(alone, "POST", f"/workspace/{name}/workloads", {"cmd": ["sh", "-c", COUNTER], "name": "app"})
        wait_for(lambda: rt.sh("cat /run/count")["exit_code"] == 0, what="the workload")
        before = call(alone, "GET", f"/workspace/{name}/workloads/app")
        events = rt.events("POST", "/exec/stream", {"cmd": ["sh", "-c", "cat /proc/self/stat >/run/task; exec sleep 1000"]})
        task = next(data["task_id"] for kind, data in events if kind == "task_id")
        rest = threading.Thread(target=lambda: list(events), daemon=True)  # hears of the end of its connection
        rest.start()
        wait_for(lambda: rt.sh("cat /run/task")["exit_code"] == 0, what="the task")
        pid = rt.ask("GET", f"/exec/{task}")["guest_pid"]
        alone.ok("suspend", name)
        expect_asleep(alone, name)
        rest.join(30)
        assert not rest.is_alive()
        alone.ok("start", name)
        wait_for(lambda: call(alone, "GET", f"/workspace/{name}/workloads/app")["state"] == "running", what="the workload")
        after = call(alone, "GET", f"/workspace/{name}/workloads/app")
        assert (after["guest_pid"], after["restart_count"]) == (before["guest_pid"], 0), (made, before, after)
        again = rt.ask("GET", f"/exec/{task}")
        assert (again["status"], again["guest_pid"]) == ("running", pid)
        rt.ask("DELETE", f"/exec/{task}")
        wait_for(lambda: f"\n{pid} " not in "\n" + rt.sh("ps -o pid,args | sed 's/^ *//'")["stdout"], what="the task's end")


def test_it_does_not_wake_in_a_namespace_that_is_suspended_or_over_its_limits(alone):
    space = call(alone, "POST", "/namespaces", {"name": "acme"})["data"]["id"]
    name = call(alone, "POST", "/workspace", {"image": "minimal", "namespace": "acme", "config": {"ttl": "20m"}})["workspace"]["id"]
    start_counter(alone, name)
    then = count(alone, name)
    alone.ok("suspend", name)

    def expect_refused(status, code):
        for method, where, body in (("POST", f"/workspace/{name}/start", {}), ("POST", f"/workspace/{name}/resume", {}),
                                    ("GET", f"/workspace/{name}/runtime/files", None),
                                    ("POST", f"/workspace/{name}/runtime/exec", {"cmd": ["true"]})):
            answered, text = ask(alone, method, where, body)
            told = json.loads(text)
            assert (answered, told["code"], bool(told["hint"])) == (status, code, True), (where, answered, text)
        expect_asleep(alone, name)
        assert alone.vmms() == []

    call(alone, "POST", f"/namespaces/{space}/suspend")
    expect_refused(403, "namespace_suspended")
    refused = alone.exec(name, "true")
    assert refused.status != 0 and "is suspended: nothing is made or started in it" in refused.err, refused
    call(alone, "POST", f"/namespaces/{space}/activate")
    call(alone, "PUT", f"/namespaces/{space}", {"resource_limits": {"max_ram_mb": 64}})
    expect_refused(409, "NAMESPACE_LIMIT_REACHED")
    call(alone, "PUT", f"/namespaces/{space}", {"resource_limits": {"max_ram_mb": None}})
    # Limits are what it may use, credits what it has used: none are left.
    call(alone, "POST", "/credits/namespace-quota", {"namespace": "acme", "service": "sandbox", "quotaLimit": 0})
    expect_refused(402, "quota_exceeded")
    call(alone, "POST", "/credits/namespace-quota", {"namespace": "acme", "service": "sandbox", "quotaLimit": 1000})
    expect_to_go_on(alone, name, then)
    alone.ok("rm", name)
