"""Drills: whether a snapshot can be brought back is tried, told, and an alert when it was not tried or failed."""

import json

import pytest
from cofferdam import Cofferdam, wait_for


def snapshot_of(one, name):
    return one.json("snapshot", "create", name)["id"]


def alerts(one, name):
    return [a for a in one.json("alerts", "ls", "--all", "--workspace", name)["alerts"] if a["rule"] == "drill"]


def test_a_drill_brings_the_latest_back_measures_it_and_leaves_nothing(daemon):
    with daemon.workspace("--permanent", "--disk", "100M") as name:
        assert daemon("drill", name).status == 1  # there is nothing to be brought back
        assert daemon.exec(name, "echo here >/root/x; sync").status == 0
        snapshot_of(daemon, name)
        latest = snapshot_of(daemon, name)
        before = [w["id"] for w in daemon.json("ls")["workspaces"]]
        (drill,) = daemon.json("drill", name, "--check", "grep -q here /root/x")["drills"]
        assert drill["passed"] and drill["checked"] and drill["snapshot"] == latest and drill["passed_at"] == drill["at"], drill
        assert 0 < drill["restore_ms"] <= drill["took_ms"] and drill["check_ms"] > 0
        assert [w["id"] for w in daemon.json("ls")["workspaces"]] == before
        # What is not ready is a failure, and nothing is left of that either.
        failed = daemon("--json", "drill", name, "--check", "grep -q elsewhere /root/x", "--timeout", "1s")
        (drill,) = json.loads(failed.out)["drills"]
        assert failed.status == 1 and not drill["passed"] and "the ready check" in drill["error"], failed
        assert [w["id"] for w in daemon.json("ls")["workspaces"]] == before
        assert daemon.exec(name, "cat /root/x").out == "here\n"
        entries = daemon.json("events", "--kind", "drill.ended", "--workspace", name)["events"]
        assert [e.get("error", "") == "" for e in entries] == [True, False] and entries[0]["took_us"] > 0, entries
        assert "FAILED" in daemon("drill", name, "--check", "false", "--timeout", "1s").out


def test_the_ready_check_of_its_create_is_asked_and_a_scratch_has_no_network(daemon):
    with daemon.workspace("--ttl", "20m", "--ready", "test ! -e /root/broken && test -z \"$(tail -n +2 /proc/net/route)\"") as name:
        snapshot_of(daemon, name)
        (drill,) = daemon.json("drill", name)["drills"]
        assert drill["passed"] and drill["checked"], drill
        assert daemon("drill", name, "--timeout", "1s").status == 2  # of which check?


def test_a_broken_snapshot_fails_its_drill_and_is_an_alert_until_one_passes(fresh):
    fresh.start("--alerts-rules", "drill after=30d")
    name = fresh.create("--permanent")
    taken = snapshot_of(fresh, name)
    fresh.ok("drill", name)
    assert alerts(fresh, name) == []
    memory = fresh.state / "workspaces" / name / "snapshots" / taken / "memory"
    whole = memory.read_bytes()
    memory.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    failed = fresh("--json", "drill")
    (drill,) = json.loads(failed.out)["drills"]
    assert failed.status == 1 and "memory" in drill["error"] and drill["passed_at"] < drill["at"], failed
    (alert,) = wait_for(lambda: alerts(fresh, name), 30, "an alert")
    assert alert["about"] == "failed" and "memory" in alert["cause"] and alert["next"] == f"coffer drill {name}", alert
    # It is still known to the next daemon, and over when one has passed.
    fresh.kill()
    fresh.start("--alerts-rules", "drill after=30d")
    (kept,) = fresh.json("drill", "--list")["drills"]
    assert kept["error"] == drill["error"] and not kept["passed"], kept
    memory.write_bytes(whole)
    (drill,) = fresh.json("drill", name)["drills"]
    assert drill["passed"]
    assert fresh.exec(name, "echo works").out == "works\n"
    fresh.ok("rm", name)
    assert fresh.json("drill", "--list")["drills"] == []


def test_a_drill_that_is_due_is_an_alert_and_only_for_what_has_a_snapshot(golden):
    one = Cofferdam(golden=golden)
    try:
        one.start("--alerts-rules", "drill after=2s")
        name, without = one.create("--ttl", "20m"), one.create("--ttl", "20m")
        snapshot_of(one, name)
        (alert,) = wait_for(lambda: alerts(one, name), 30, "an alert")
        assert alert["about"] == "due" and "was brought back" in alert["cause"], alert
        assert alerts(one, without) == []
    finally:
        one.close()


@pytest.mark.parametrize("rules", ["cpu over=95 for=300s", "denied off"])
def test_alert_rules_are_exported_and_a_difference_is_told_by_hand(golden, tmp_path, rules):
    one = Cofferdam(golden=golden)
    try:
        one.start("--alerts-rules", rules)
        text = one.ok("export").out
        assert "alert_rules:" in text
        file = tmp_path / "estate.yaml"
        file.write_text(text)
        again = one.json("apply", "-f", file)
        assert again["actions"] == [] and again["by_hand"] == [], again
        one.down("--all")
        one.up()
        other = one.json("apply", "-f", file)
        assert other["actions"] == [] and len(other["by_hand"]) == 1 and "alerts.rules" in other["by_hand"][0], other
    finally:
        one.close()
