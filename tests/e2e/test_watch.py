"""The watch: figures from outside of the guest, and each thing out of the ordinary told once, with its workspace's name.

Real microVMs beside a neighbour that does ordinary work all the while. The rules' times are seconds, so that the tests
are short; the daemon's internet is the test's (internet.py), where the webhook goes too."""

import json
import os
import re
import socket
import threading

import pytest

import internet as nets
from cofferdam import BIN, wait_for

RULES = """
watch:
  ask_every: 500ms
alerts:
  command: {base}/tell
  syslog: {base}/log.sock
  rules:
    - cpu over=25 for=3s
    - miner over=25 for=4s
    - bytes_out over=4M within=60s
    - new_destination off
    - new_destination after=0s workspace=newcomer
    - denied over=5 within=60s
    - disk_growth over=48M within=60s
    - stray_process for=2s
    - new_executable for=2s
    - failed_auth over=3 within=60s
"""


class Neighbour(threading.Thread):
    """Ordinary work: small commands, a file now and then, a rest between them."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.one, self.name, self.over, self.failed = daemon, daemon.create("--ttl", "60m"), threading.Event(), []
        self.at_work = threading.Lock()  # held by a test, it rests: a command is cut when its daemon is killed

    def run(self):
        while not self.over.wait(2):
            with self.at_work:
                done = self.one.exec(self.name, "ls -l / >/tmp/list; cat /proc/loadavg; sleep 0.2")
            if done.status != 0:
                self.failed.append(done)

    def end(self):
        self.over.set()
        self.join(120)
        return self.failed


@pytest.fixture(scope="module")
def internet():
    one = nets.Internet()
    yield one
    one.close()


@pytest.fixture(scope="module")
def daemon(golden, internet):
    one = nets.Networked(golden, internet)
    with open(one.base / "cofferd.yaml", "a", encoding="utf-8") as file:
        file.write(RULES.format(base=one.base))
    (one.base / "tell").write_text(f"#!/bin/sh\ncat >>{one.base}/told; echo >>{one.base}/told\n")
    (one.base / "tell").chmod(0o755)
    one.syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.syslog.bind(str(one.base / "log.sock"))
    one.syslog.settimeout(30)
    one.environment["COFFER_LISTEN"] = "127.0.0.1:0"
    one.up()
    one.ok("webhook", "create", f"http://{nets.SERVER}:8080/hook", "--events", "alert.raised")
    yield one
    one.close()
    one.syslog.close()


@pytest.fixture(scope="module", autouse=True)
def neighbour(daemon):
    """Works as long as the tests last, and has raised nothing by then."""
    one = Neighbour(daemon)
    one.start()
    yield one
    assert one.end() == []
    assert alerts(daemon, one.name) == []


def alerts(daemon, workspace=None, rule=None):
    query = ["--workspace", workspace] if workspace else []
    found = daemon.json("alerts", "ls", "--all", *query)["alerts"]
    return [a for a in found if rule in (None, a["rule"])]


def id_of(daemon, name):
    return next(w["id"] for w in daemon.json("ls")["workspaces"] if name in (w["id"], w["name"]))


def raised(daemon, name, rule):
    """The alert, once it is there: of this workspace, and complete."""
    found = wait_for(lambda: alerts(daemon, name, rule), 60, f"the alert '{rule}' of {name}")
    (alert,) = found
    assert alert["workspace_id"] == id_of(daemon, name)
    assert alert["cause"] and alert["evidence"] and alert["first"] <= alert["last"]
    assert alert["next"].startswith("coffer ") and alert["workspace_id"] in alert["next"]
    return alert


def told(daemon):
    path = daemon.base / "told"
    return [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []


def metrics(daemon):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(30)
    sock.connect(str(daemon.run_dir / "cofferd.sock"))
    sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = b""
    while piece := sock.recv(65536):
        answer += piece
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200"), head
    return body


def test_figures_from_outside_are_in_top_stats_history_and_metrics(daemon, neighbour):
    where = id_of(daemon, neighbour.name)
    row = wait_for(lambda: [r for r in daemon.json("top")["workspaces"] if r["id"] == where], 20, "a row of top")[0]
    assert row["outside"]["memory_bytes"] > 1 << 20
    assert where in daemon.ok("top").out
    outside = daemon.json("stats", neighbour.name)["stats"]["outside"]
    assert outside["disk_allocated_bytes"] > 0 and outside["cpu_ms"] > 0
    text = metrics(daemon)
    values = dict(re.findall(rf'^(cofferdam_workspace_\w+){{workspace="{where}"[^}}]*}} (\S+)$', text, re.M))
    assert float(values["cofferdam_workspace_memory_bytes"]) > 1 << 20
    assert float(values["cofferdam_workspace_cpu_seconds_total"]) > 0
    assert re.search(r"^cofferdam_workspaces_running [1-9]", text, re.M)


def test_a_busy_loop_is_told_everywhere_with_its_workspace(daemon, internet):
    # So little that the host always has it: shares are of what was promised.
    with daemon.workspace("--cpus", "0.3") as name:
        loop = daemon.spawn("exec", "--timeout", "80", name, "--", "sh", "-c", "while :; do :; done")
        try:
            alert = raised(daemon, name, "cpu")
            raised(daemon, name, "miner")
            wait_for(lambda: [a for a in told(daemon) if a["id"] == alert["id"]], 20, "the command's alert")
            wait_for(lambda: internet.heard(f'posted /hook {{"event":"alert.raised"'), 20, "the webhook's alert")
            assert internet.heard(alert["id"])
            heard = []
            wait_for(lambda: heard.append(daemon.syslog.recv(65536).decode()) or alert["id"] in heard[-1], 20, "syslog's alert")
            kinds = wait_for(lambda: daemon.json("events", "--kind", "alert.raised", "--workspace", name)["events"], 20, "an entry")
            assert kinds
        finally:
            loop.kill()
            loop.communicate()


def test_a_growing_file_is_told(daemon):
    with daemon.workspace() as name:
        done = daemon.exec(name, "dd if=/dev/zero of=/root/large bs=1M count=96 2>/dev/null; sync", "--timeout", "80")
        assert done.status == 0, done
        assert int(raised(daemon, name, "disk_growth")["evidence"]["grown"]) > 48 << 20


def test_a_daemonised_process_is_told_on_the_guests_word(daemon):
    with daemon.workspace() as name:
        done = daemon.exec(name, "cp /bin/busybox /tmp/helper 2>/dev/null || cp $(command -v sleep) /tmp/helper; "
                                 "ln -sf /tmp/helper /tmp/sleep; (setsid /tmp/sleep 600 </dev/null >/dev/null 2>&1 &)")
        assert done.status == 0, done
        stray = raised(daemon, name, "stray_process")
        assert "sleep" in stray["cause"] and stray["evidence"]["source"] == "the guest's own word"
        assert "helper" in raised(daemon, name, "new_executable")["evidence"]["executable"]


def test_an_upload_a_new_destination_and_denied_connections_are_told(daemon, internet):
    name = daemon.create("--name", "newcomer", "--allow", "allowed.example", "--ttl", "30m", image="debian-12")
    try:
        done = daemon.exec(name, "head -c 8388608 /dev/zero >/tmp/data; "
                                 "curl -sS -m 60 --data-binary @/tmp/data http://allowed.example/upload", "--timeout", "90")
        assert done.status == 0, done
        assert internet.heard("posted /upload")
        assert raised(daemon, name, "new_destination")["about"] == "allowed.example:80"
        assert int(raised(daemon, name, "bytes_out")["evidence"]["bytes"]) > 4 << 20
        daemon.exec(name, "for i in 1 2 3 4 5 6 7 8 9; do curl -s -m 2 http://allowed.example:81/; curl -s -m 2 http://other.example/; done",
                    "--timeout", "90")
        raised(daemon, name, "denied")
        # The same bytes are in what it has used.
        usage = wait_for(lambda: daemon.json("stats", name)["stats"]["networkOutBytes"] > 8 << 20, 20, "its bytes")
        assert usage
    finally:
        daemon("rm", name)


def test_wrong_credentials_are_told_of_the_host(daemon):
    for _ in range(6):
        done = daemon("ls", env={"COFFER_URL": daemon.url, "COFFER_TOKEN": "cof_ctl_wrong"})
        assert done.status == 1, done
    (alert,) = wait_for(lambda: alerts(daemon, rule="failed_auth"), 20, "the alert")
    assert alert["workspace_id"] is None and alert["about"] == "127.0.0.1"


def test_an_alert_is_acknowledged_once_and_rules_are_listed(daemon):
    alert = wait_for(lambda: alerts(daemon), 20, "any alert")[0]
    daemon.ok("alerts", "ack", alert["id"])
    daemon.ok("alerts", "ack", alert["id"])
    assert alert["id"] not in daemon.ok("alerts", "ls").out
    assert alert["id"] in daemon.ok("alerts", "ls", "--all").out
    assert daemon("alerts", "ack", "al_none").status == 1
    assert "cpu over=25 for=3s" in daemon.ok("alerts", "rules").out


def test_a_restart_of_the_daemon_keeps_alerts_and_repeats_none(daemon, neighbour):
    before = {a["id"]: a["first"] for a in alerts(daemon)}
    assert before
    with neighbour.at_work:
        daemon.kill()
        daemon.up()
    after = {a["id"]: a["first"] for a in alerts(daemon)}
    assert before.items() <= after.items()


def test_a_rule_that_cannot_be_carried_out_ends_the_start_by_name(fresh):
    import subprocess
    for rule, why in (("cpux over=1", "'cpux' is none of"), ("cpu over=fast", "'cpu over=fast'"), ("denied over=5 action=explode", "tell or contain")):
        done = subprocess.run([BIN / "cofferd", "--alerts-rules", rule], env={**os.environ, **fresh.environment},
                              capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode != 0 and why in done.stderr, done
