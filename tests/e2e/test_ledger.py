"""The ledger as a user meets it: everything that is done is in it, and it can be checked."""

import json
import os
import pathlib
import socket
import subprocess
import threading

from cofferdam import BIN, wait_for


def events(daemon, *options):
    return daemon.json("events", "--limit", "1000", *options)["events"]


def kinds(daemon, *options):
    return [e["kind"] for e in events(daemon, *options)]


def test_a_run_is_in_the_ledger_from_its_create_to_its_end(daemon):
    done = daemon.run("echo hello; exit 3")
    assert done.status == 3
    started = [e for e in events(daemon, "--kind", "exec.started") if e["argv"] == ["sh", "-c", "echo hello; exit 3"]][-1]
    mine = wait_for(lambda: [e for e in events(daemon, "--workspace", started["workspace"])
                             if any(x["kind"] == "workspace.removed"
                                    for x in events(daemon, "--workspace", started["workspace"]))], what="the removal")
    seen = [e["kind"] for e in mine]
    for one, next_ in zip(["workspace.created", "exec.started", "exec.ended"],
                          ["exec.started", "exec.ended", "workspace.removed"]):
        assert seen.index(one) < seen.index(next_), seen
    ended = [e for e in mine if e["kind"] == "exec.ended"][0]
    assert (ended["exec"], ended["exit"], ended["bytes_out"], ended["how"]) == (started["exec"], 3, 6, "exited")
    assert started["actor"] == "local:0" and started["request"].startswith("req_")
    assert ended["took_us"] > 0 and ended["started_us"] > 0
    created = [e for e in mine if e["kind"] == "api.changed"][0]
    assert (created["route"], created["status"], created["workspace"]) == ("/workspace", 201, started["workspace"])


def test_tokens_are_in_the_ledger_from_issue_to_refusal(daemon):
    answer = daemon.json("token", "create", "--ttl", "10m", "--label", "for-the-ledger")
    token, secret = answer["id"], answer["token"]
    daemon.ok("token", "rotate", token)
    daemon.ok("token", "rm", token)
    done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Authorization: Bearer {secret}",
                           daemon.url + "/workspace"], capture_output=True, text=True, check=True)
    assert done.stdout == "401"
    mine = [e for e in events(daemon, "--kind", "token") if e.get("token") == token]
    assert [e["kind"] for e in mine] == ["token.issued", "token.rotated", "token.revoked"]
    assert all(e["actor"] == "local:0" for e in mine)
    refused = [e for e in events(daemon, "--kind", "token.refused")][-1]
    assert refused["address"] == "127.0.0.1" and "control token" in refused["credential"], refused


def test_a_token_sees_what_it_is_for_and_no_more(daemon):
    with daemon.workspace() as mine, daemon.workspace() as other:
        daemon.exec(mine, "true")
        daemon.exec(other, "true")
        token = daemon.ok("token", "create", "--workspace", mine, "--verbs", "read", "--ttl", "10m").out.strip()
        remote = {"COFFER_URL": daemon.url, "COFFER_TOKEN": token}
        seen = json.loads(daemon.ok("--json", "events", "--limit", "1000", env=remote).out)["events"]
        assert len({e.get("workspace") for e in seen}) == 1, seen
        assert [e for e in seen if e["kind"] == "exec.started"], seen
        assert daemon("ledger", "checkpoint", env=remote).status == 1


def test_followers_see_events_as_they_come(daemon):
    process = daemon.spawn("events", "--follow", "--kind", "exec.started", "--limit", "1")
    lines = []
    reader = threading.Thread(target=lambda: [lines.append(line) for line in process.stdout], daemon=True)
    reader.start()
    marker = f"marker-{os.urandom(6).hex()}"
    with daemon.workspace() as name:
        wait_for(lambda: (daemon.exec(name, ["echo", marker]), any(marker.encode() in line for line in lines))[1],
                 what="the event")
    process.terminate()
    process.wait(10)


def test_an_entry_is_proven_to_somebody_who_has_no_ledger(daemon, tmp_path):
    number = events(daemon, "--kind", "daemon.started")[0]["number"]
    (tmp_path / "proof").write_text(daemon.ok("ledger", "prove", number).out)
    (tmp_path / "keys").write_text(daemon.ok("ledger", "checkpoint", "--keys").out)
    command = [str(BIN / "coffer-verify"), "--proof", tmp_path / "proof", "--keys", tmp_path / "keys"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and f"entry {number} (daemon.started" in done.stdout, done
    text = (tmp_path / "proof").read_text()
    (tmp_path / "proof").write_text(text.replace("index ", "index 1"))
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_a_live_ledger_verifies(daemon, tmp_path):
    (tmp_path / "kept").write_text(daemon.ok("ledger", "checkpoint").out)
    daemon.run("true")
    done = daemon("ledger", "verify", "--checkpoint", tmp_path / "kept")
    assert done.status == 0 and "good: this is what was signed" in done.out, done


def test_exports_are_lines_of_json(daemon):
    plain = [json.loads(line) for line in daemon.ok("ledger", "export").out.splitlines()]
    ocsf = [json.loads(line) for line in daemon.ok("ledger", "export", "--ocsf").out.splitlines()]
    assert [e["number"] for e in plain] == list(range(len(plain)))
    assert len(ocsf) >= len(plain)
    for event in ocsf:
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert event["metadata"]["version"] and event["unmapped"]["number"] == event["metadata"]["sequence"]


def test_the_end_of_the_daemon_is_written_while_a_forwarded_port_is_open(fresh):
    fresh.up()
    name = fresh.create("--permanent", "--disk", "100M")
    server = fresh.spawn("exec", name, "--", "sh", "-c", "while :; do nc -l -p 7000 -e cat; done")
    forward = fresh.spawn("--json", "port-forward", name, "0:7000")
    port = json.loads(forward.stdout.readline())["port"]

    def echo():
        visitor = socket.create_connection(("127.0.0.1", port), 10)
        visitor.sendall(b"x")
        visitor.settimeout(5)
        try:
            if visitor.recv(1) == b"x":
                return visitor
        except OSError:
            pass
        return visitor.close()

    visitor = wait_for(echo, what="an echo")
    fresh.down()
    visitor.close()
    forward.terminate()  # it would wait for more visitors
    for process in (forward, server):
        process.communicate(timeout=30)
    fresh.up()
    assert kinds(fresh).count("daemon.stopped") == 1
    fresh.ok("rm", name)


def test_checkpoints_go_to_a_witness_and_the_end_of_the_daemon_is_written(fresh):
    witness = fresh.base / "witness"
    fresh.start("--ledger-witness", f"file:{witness}", "--ledger-witness-every", "1s")
    fresh.run("true")
    wait_for(lambda: pathlib.Path(witness).exists() and witness.read_text().count("cofferdam/ldg_") >= 2, what="a checkpoint")
    fresh.down()
    done = subprocess.run([str(BIN / "coffer-verify"), "--checkpoint", witness, fresh.state / "ledger"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done
    fresh.start()
    seen = kinds(fresh)
    assert seen.count("daemon.started") == 2 and seen.count("daemon.stopped") == 1, seen
    started = events(fresh, "--kind", "daemon.started")
    assert started[0]["config_digest"] != started[1]["config_digest"]
    assert started[0]["version"] and started[0]["pid"]
