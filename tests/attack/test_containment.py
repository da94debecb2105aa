"""An agent that must be stopped now: everything it has is taken from it, it stays as it was, and neither it nor a crash of ours
gets it back.

Real microVMs; the daemon runs in a network namespace of the test's own, whose internet is the test's (internet.py)."""

import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

import internet as nets
import traces
from cofferdam import Cofferdam, wait_for
from runtime_client import Connection

STEPS = ["vcpus", "flows", "tokens", "snapshot", "hold", "report"]
BUSY = "setsid sh -c 'echo $$ >/dev/shm/pid; i=0; while :; do i=$((i+1)); echo $i >/dev/shm/n; done' </dev/null >/dev/null 2>&1 &"

# Sends a request whose body never ends, and writes down what ended it.
UPLOAD = b"""
import socket
try:
    s = socket.create_connection(("allowed.example", 80))
    s.sendall(b"POST /endless HTTP/1.1\\r\\nHost: allowed.example\\r\\nContent-Length: 1099511627776\\r\\n\\r\\n")
    while True:
        s.sendall(b"x" * 65536)
except OSError as error:
    open("/tmp/end", "w").write(type(error).__name__)
"""


@pytest.fixture(scope="module")
def internet():
    one = nets.Internet()
    yield one
    one.close()


@pytest.fixture
def daemon(golden, internet):
    one = nets.Networked(golden, internet)
    one.up()
    yield one
    one.close()


def contain(daemon, name, why="a test"):
    incident = daemon.json("contain", name, "--why", why)["incident"]
    assert incident["state"] == "contained" and [s["step"] for s in incident["steps"]] == STEPS, incident
    assert not [s for s in incident["steps"] if "error" in s], incident
    return incident


def incident(daemon, name):
    return daemon.json("incident", name)["incident"]


def count(daemon, name):
    """How far the loop of BUSY is; there is a moment in which the file is empty."""
    return int(wait_for(lambda: daemon.exec(name, "cat /dev/shm/n").out.strip(), 20, "a count of the loop"))


def runs_on(daemon, name):
    first = count(daemon, name)
    return wait_for(lambda: count(daemon, name) > first, 20, "the loop that goes on")


def vmm(daemon, name):
    machine = traces.machine_of(daemon.state, name)
    return [p for p in daemon.vmms() if machine in p.cgroup][0]


def cpu_seconds(process):
    """What it has used since it began."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def used_in(process, seconds):
    before = cpu_seconds(process)
    time.sleep(seconds)
    return cpu_seconds(process) - before


def rules(process):
    shown = subprocess.run(["nsenter", f"--net=/proc/{process.pid}/ns/net", "nft", "list", "ruleset"], capture_output=True,
                           text=True, check=True)
    return shown.stdout


def test_a_contained_workspace_answers_nothing_and_holds_its_state(daemon):
    name = daemon.create("--name", "miner", "--ttl", "20m")
    daemon.exec(name, BUSY)
    process = vmm(daemon, name)
    wait_for(lambda: used_in(process, 0.5) > 0.05, 20, "a busy guest")
    contain(daemon, name, "it mines")

    # Its vCPUs stand still: a guest that cannot be asked is one that uses nothing.
    assert used_in(process, 2) < 0.5
    for words in (["exec", name, "--", "true"], ["start", name], ["stop", name], ["rm", name], ["cp", "/etc/hostname", f"{name}:/x"],
                  ["network", "allow", name, "--internet"], ["port", "expose", name, "8080"]):
        done = daemon(*words)
        assert done.status != 0 and "is contained: it mines" in done.err, (words, done)
    assert daemon.json("ls")["workspaces"][0]["status"] == "paused"
    assert [e["kind"] for e in daemon.json("events", "--kind", "workspace.contained")["events"]] == ["workspace.contained"]

    # A reason is needed, and then it goes on where it stood.
    assert daemon("release", name).status == 2
    daemon.ok("release", name, "--why", "a false alarm")
    assert incident(daemon, name)["release_why"] == "a false alarm"
    assert daemon.json("ls")["workspaces"][0]["status"] == "paused"
    daemon.ok("start", name)
    assert runs_on(daemon, name)
    daemon.ok("rm", name)


def test_its_snapshot_has_the_intruders_process_in_it(daemon):
    name = daemon.create("--name", "seen", "--ttl", "20m")
    daemon.exec(name, BUSY)
    then = count(daemon, name)
    kept = contain(daemon, name)["snapshot"]
    assert [s["id"] for s in daemon.json("snapshot", "ls", name)["snapshots"]] == [kept]
    for words in (["snapshot", "rm", name, kept], ["snapshot", "restore", name, kept], ["fork", name]):
        done = daemon(*words)
        assert done.status != 0 and "is contained" in done.err, (words, done)

    # The loop ends, and the snapshot has it nevertheless: here, and in a fork.
    daemon.ok("release", name, "--why", "to look into it")
    daemon.ok("start", name)
    assert daemon.exec(name, "kill $(cat /dev/shm/pid); echo 0 >/dev/shm/n").status == 0
    assert count(daemon, name) == 0
    daemon.ok("snapshot", "restore", name, kept)
    fork = daemon.ok("fork", name, "--snapshot", kept, "--name", "looked-at").out.strip()
    for one in (name, fork):
        assert count(daemon, one) >= then and runs_on(daemon, one), one
        daemon.ok("rm", one)


def test_a_temporary_workspace_that_is_contained_is_not_ended_by_its_time_or_by_the_daemons_end(daemon):
    name = daemon.create("--ttl", "5s")
    process = vmm(daemon, name)
    contain(daemon, name)
    time.sleep(6)
    assert daemon.json("ls")["workspaces"][0]["status"] == "paused"
    assert daemon.down("--all").status == 0
    assert os.path.exists(f"/proc/{process.pid}") and traces.Process(process.pid).start == process.start
    daemon.up()
    assert daemon("exec", name, "--", "true").status != 0
    daemon.ok("release", name, "--why", "seen")
    daemon.ok("rm", name)


def test_its_token_and_those_it_minted_get_401(golden):
    one = Cofferdam(golden=golden, tcp=True)
    try:
        one.up()
        name = one.create("--ttl", "20m")
        token = one.json("token", "create", "--workspace", name, "--verbs", "read,exec,tokens", "--ttl", "30m")["token"]
        held = {"COFFER_URL": one.url, "COFFER_TOKEN": token}
        child = json.loads(one.ok("--json", "token", "create", "--workspace", name, "--verbs", "exec", env=held).out)["token"]
        childs = {**held, "COFFER_TOKEN": child}
        assert one.exec(name, "echo in", env=childs).out == "in\n"
        contain(one, name)
        for credentials in (held, childs):
            done = one("--json", "exec", name, "--", "true", env=credentials)
            assert done.status != 0 and "the token is not known here" in done.out + done.err, done
        one.ok("release", name, "--why", "seen")
        one.ok("start", name)
        assert "the token is not known here" in one("ls", env=held).err
    finally:
        one.close()


def test_an_upload_in_progress_stops_and_the_report_says_where_it_went(daemon, internet):
    name = daemon.create("--ttl", "20m", "--allow", "allowed.example", image="debian-12")
    daemon.ok("cp", "-", f"{name}:/tmp/upload.py", stdin=UPLOAD)
    daemon.exec(name, "setsid python3 /tmp/upload.py </dev/null >/dev/null 2>&1 &")
    wait_for(lambda: len(internet.heard("taken /endless")) > 2, 60, "an upload in progress")
    incident = contain(daemon, name)
    flows = [s for s in incident["steps"] if s["step"] == "flows"][0]
    assert flows["detail"].startswith("1 flows closed"), flows

    # The other end has seen it break off, and nothing more comes.
    ends = wait_for(lambda: internet.heard("broken off /endless"), 20, "the end of the upload")
    with internet.watching("not arp") as packets:
        time.sleep(2)
    assert packets == [], packets
    assert internet.heard("broken off /endless") == ends and len(ends) == 1

    # The report has every byte that the other end has.
    taken = int(ends[0].split()[-1])
    reached = {d["name"]: d for d in incident["report"]["reached"]["destinations"]}
    assert reached["allowed.example"]["opened"] == 1 and reached["allowed.example"]["bytes_out"] >= taken > 2 << 20, (reached, taken)
    assert incident["report"]["could_reach"]["egress"] == ["allowed.example"]
    assert any("allowed.example" in line for line in incident["report"]["look_at"]), incident["report"]

    # Its program finds out when it runs again.
    daemon.ok("release", name, "--why", "seen")
    daemon.ok("start", name)
    wait_for(lambda: daemon.exec(name, "cat /tmp/end").status == 0, 60, "the program's own end")
    assert daemon.exec(name, "cat /tmp/end").out in ("ConnectionResetError", "BrokenPipeError", "TimeoutError")


def test_nobody_reaches_a_contained_workspace_over_a_link_or_an_exposed_port(daemon):
    server = daemon.create("--name", "server", "--ttl", "20m", image="debian-12")
    client = daemon.create("--name", "client", "--ttl", "20m", image="debian-12")
    daemon.ok("link", "add", client, f"{server}:8000")
    daemon.exec(server, "setsid python3 -m http.server 8000 </dev/null >/dev/null 2>&1 &")
    fetch = ["curl", "-sS", "-m", "5", "http://server.internal:8000/"]
    wait_for(lambda: daemon.exec(client, fetch, "--timeout", "20").status == 0, 60, "an answer over the link")
    contain(daemon, server)
    assert daemon.exec(client, fetch, "--timeout", "20").status != 0
    assert "8000" not in rules(vmm(daemon, server))
    assert "8000" not in rules(vmm(daemon, client))
    daemon.ok("release", server, "--why", "seen")
    daemon.ok("start", server)
    wait_for(lambda: daemon.exec(client, fetch, "--timeout", "20").status == 0, 60, "an answer over the link")


def test_containment_outlives_the_gate_and_the_daemon(daemon, internet):
    name = daemon.create("--name", "kept", "--ttl", "20m", "--allow", "allowed.example", image="debian-12")
    daemon.exec(name, BUSY)
    process = vmm(daemon, name)
    assert "198.18" in rules(process)
    first = contain(daemon, name)
    assert "198.18" not in rules(process)

    gate = daemon.gate()
    os.kill(gate, signal.SIGKILL)
    wait_for(lambda: daemon.gate() not in (None, gate), 30, "another gate")
    assert "198.18" not in rules(process)

    before = cpu_seconds(process)
    daemon.kill()
    daemon.up()
    # The new daemon took it over without letting it run, and knows what it is.
    assert cpu_seconds(process) - before < 1
    assert incident(daemon, name)["id"] == first["id"]
    assert "198.18" not in rules(process)
    assert "is contained" in daemon("exec", name, "--", "true").err
    assert "is contained" in daemon("rm", name).err

    internet.forget()
    daemon.ok("release", name, "--why", "seen")
    daemon.ok("start", name)
    wait_for(lambda: daemon.exec(name, ["curl", "-sS", "-m", "5", "http://allowed.example/"], "--timeout", "20").status == 0, 60,
             "the network it had")
    assert internet.heard("web http ")


def test_it_is_the_first_command_after_a_restart(daemon):
    name = daemon.create("--ttl", "20m")
    daemon.exec(name, BUSY)
    process = vmm(daemon, name)
    daemon.kill()
    daemon.up()
    contain(daemon, name)
    assert used_in(process, 2) < 0.5


def test_a_kill_in_the_middle_is_finished_by_the_next_daemon(daemon):
    name = daemon.create("--name", "half", "--ttl", "20m", "--allow", "allowed.example", image="debian-12")
    daemon.exec(name, BUSY)
    process = vmm(daemon, name)
    # A gate that does not answer holds up the second step.
    os.kill(daemon.gate(), signal.SIGSTOP)
    asked = daemon.spawn("contain", name, "--why", "half way")
    wait_for(lambda: used_in(process, 0.5) < 0.1, 30, "vCPUs that stand still")
    assert asked.poll() is None
    assert incident(daemon, name)["state"] == "containing"
    daemon.kill()
    asked.communicate(timeout=30)
    before = cpu_seconds(process)
    daemon.up()
    done = wait_for(lambda: (i := incident(daemon, name))["state"] == "contained" and i, 60, "the end of the containment")
    assert [s["step"] for s in done["steps"]] == STEPS and not [s for s in done["steps"] if "error" in s], done
    assert done["why"] == "half way"
    assert cpu_seconds(process) - before < 1
    assert "198.18" not in rules(process)
    assert "is contained: half way" in daemon("exec", name, "--", "true").err


def test_a_kill_at_any_moment_of_it_is_finished_by_the_next_daemon(golden):
    one = Cofferdam(golden=golden)
    one.up()
    try:
        for delay in (0.03, 0.1, 0.2, 0.3, 0.45, 0.6, 0.9):
            name = one.create("--ttl", "20m")
            one.exec(name, BUSY)
            process = vmm(one, name)
            asked = one.spawn("contain", name, "--why", "cut short")
            time.sleep(delay)
            one.kill()
            asked.communicate(timeout=30)
            one.up()
            begun = one("--json", "incident", name)
            if begun.status != 0:  # it died before it was asked
                assert "never contained" in begun.err + begun.out, begun
                continue
            done = wait_for(lambda n=name: (i := incident(one, n))["state"] == "contained" and i, 60, "the end of the containment")
            assert [s["step"] for s in done["steps"]] == STEPS and not [s for s in done["steps"] if "error" in s], (delay, done)
            assert done["snapshot"] in [s["id"] for s in one.json("snapshot", "ls", name)["snapshots"]]
            assert used_in(process, 1) < 0.3
            one.ok("release", name, "--why", "seen")
            one.ok("snapshot", "restore", name, done["snapshot"])
            assert runs_on(one, name)
            one.ok("rm", name)
    finally:
        one.close()


def test_a_stopped_workspace_is_contained_too_and_a_second_call_answers_the_same(daemon):
    name = daemon.create("--name", "resting", "--permanent", "--disk", "100M")
    daemon.ok("stop", name)
    first = contain(daemon, name)
    assert contain(daemon, name)["id"] == first["id"]
    assert "is contained" in daemon("start", name).err
    assert daemon("rm", name).status != 0
    daemon.ok("release", name, "--why", "seen")
    daemon.ok("start", name)
    daemon.ok("rm", name)
    assert daemon("contain", "nobody").status == 1


def test_an_alert_whose_rule_says_so_contains_the_workspace_by_itself(golden):
    one = Cofferdam(golden=golden)
    try:
        one.start("--alerts-rules", "stray_process for=0s action=contain")
        name, quiet = one.create("--ttl", "20m"), one.create("--ttl", "20m")
        one.exec(name, BUSY)  # its shell has ended: no command is its ancestor
        found = wait_for(lambda: [i for i in one.json("incidents")["incidents"] if i["state"] == "contained"], 60, "a containment")
        assert [i["workspace"] for i in found] == [name] and found[0]["by"] == "alert" and found[0]["why"], found
        assert used_in(vmm(one, name), 2) < 0.5
        assert "is contained" in one("exec", name, "--", "true").err
        # The alert is there, and its neighbour works.
        assert [a["rule"] for a in one.json("alerts", "ls", "--all", "--workspace", name)["alerts"]] == ["stray_process"]
        assert one.exec(quiet, "echo works").out == "works\n"
    finally:
        one.close()


def test_one_that_sleeps_is_woken_by_nobody_and_goes_on_with_its_processes_when_it_is_released(golden):
    one = Cofferdam(golden=golden, tcp=True)
    no_pool = ("--pool-size", "0", "--pool-standby", "0")  # every VMM there is, is a workspace's

    def asked(method, where):
        connection = Connection(one.run_dir / "cofferd.sock")
        connection.request(method, where)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")

    def saved():
        return sorted(path.name for path in (one.state / "workspaces" / name).glob("asleep-*/*"))

    try:
        one.start(*no_pool)
        name = one.create("--name", "sleeper", "--ttl", "20m", "--memory", "128M", "--disk", "100M")
        one.exec(name, BUSY)
        then = count(one, name)
        one.ok("port", "expose", name, "8080", "--slug", "shop")
        token = one.json("token", "create", "--workspace", name, "--verbs", "read,exec,files", "--ttl", "30m")["token"]
        held = {"COFFER_URL": one.url, "COFFER_TOKEN": token}
        one.ok("suspend", name)
        assert one.vmms() == [] and saved() == ["memory", "state"]
        kept = contain(one, name, "it slept")["snapshot"]
        assert kept.startswith("snap_") and [s["id"] for s in one.json("snapshot", "ls", name)["snapshots"]] == [kept]

        # Its key, its calls, its visitors, its owner: nobody wakes it, and nothing of it goes away.
        def expect_kept():
            shown = one.json("ls")["workspaces"][0]
            assert (shown["status"], shown["memory_on_disk"], shown["vm_id"]) == ("paused", True, ""), shown
            assert one.vmms() == [] and saved() == ["memory", "state"]

        refused = one("exec", name, "--", "true", env=held)
        assert refused.status != 0 and "the token is not known here" in refused.err, refused
        for words in (["exec", name, "--", "true"], ["start", name], ["stop", name], ["rm", name], ["fork", name],
                      ["snapshot", "create", name], ["snapshot", "restore", name, kept], ["cp", f"{name}:/etc/hostname", "-"],
                      ["archive", "create", name, "--path", "/root"]):
            done = one(*words)
            assert done.status != 0 and "is contained: it slept" in done.err, (words, done)
        for call in (("POST", f"/workspace/{name}/resume"), ("POST", f"/workspace/{name}/restart"), ("GET", "/preview/shop/"),
                     ("GET", f"/workspace/{name}/runtime/files"), ("POST", f"/workspace/{name}/runtime/exec"),
                     ("POST", f"/workspace/{name}/ping")):
            status, text = asked(*call)
            assert status == 409 and "is contained: it slept" in text, (call, status, text)
        expect_kept()
        one.kill()
        one.start(*no_pool)
        expect_kept()
        assert "is contained: it slept" in one("exec", name, "--", "true").err

        # Who looks into it finds the process that slept.
        bundle = one.base / "bundle"
        one.ok("evidence", "export", name, "-o", bundle)
        report = json.loads(one.ok("--json", "evidence", "verify", bundle).out)
        assert report["success"] and report["snapshot"] == kept, report
        one.ok("evidence", "open", name, "--name", "look", "--ttl", "10m")
        assert count(one, "look") >= then and runs_on(one, "look")
        one.ok("rm", "look")
        expect_kept()

        one.ok("release", name, "--why", "seen")
        expect_kept()
        one.ok("start", name)
        assert saved() == [] and len(one.vmms()) == 1
        assert count(one, name) >= then and runs_on(one, name)
        assert one.exec(name, "kill -0 $(cat /dev/shm/pid)").status == 0
        one.ok("rm", name)
    finally:
        one.close()
