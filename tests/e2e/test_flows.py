"""Where the data of workspaces can go and where it went, as text, as JSON and as a picture."""

import subprocess

import pytest

import internet as nets
from cofferdam import wait_for

AGENT = b"""version: 1
workspaces:
  - {name: agent, image: debian-12, ttl: 20m, secrets: [API_KEY], egress: [allowed.example, files.example]}
"""


@pytest.fixture(scope="module")
def internet():
    one = nets.Internet()
    yield one
    one.close()


@pytest.fixture(scope="module")
def daemon(golden, internet):
    one = nets.Networked(golden, internet)
    one.up()
    yield one
    one.close()


def test_the_four_questions_are_answered_from_policy_and_from_what_was_observed(daemon):
    daemon.ok("secret", "set", "API_KEY", stdin=b"hush-hush")
    db = daemon.create("--name", "db", "--ttl", "20m")
    daemon.ok("apply", "-f", "-", stdin=AGENT)
    name = {w["name"]: w["id"] for w in daemon.json("ls")["workspaces"]}["agent"]
    daemon.ok("link", "add", name, f"{db}:5432")
    token = daemon.json("token", "create", "--workspace", name, "--verbs", "read,exec", "--label", "ci")["id"]
    wait_for(lambda: daemon.exec(name, ["curl", "-sS", "-m", "5", "http://allowed.example/"], "--timeout", "20").status == 0, 60,
             "an answer from outside")
    assert daemon.exec(name, ["curl", "-sS", "-m", "5", "http://other.example/"], "--timeout", "20").status != 0

    def observed():
        one = daemon.json("flows", name)["workspaces"][0]
        seen = [f for f in one["flows"] if f["observed"] and f["to"] == "allowed.example:80"]
        return one if seen and seen[0]["bytes_in"] > 0 else None

    one = wait_for(observed, 20, "what was observed")
    # What it can reach.
    assert one["reaches"]["secrets"] == ["API_KEY"] and one["reaches"]["egress"] == ["allowed.example", "files.example"]
    assert [w["name"] for w in one["reaches"]["workspaces"]] == ["db"]
    # Where it flows: allowed and not used, allowed and used.
    allowed = {f["to"] for f in one["flows"] if not f["observed"]}
    assert {"allowed.example", "files.example", f"{db}:5432"} <= allowed, allowed
    assert not [f for f in one["flows"] if f["observed"] and f["to"].startswith("files.example")]
    # Who can see it.
    assert token in [t["token"] for t in one["seen_by"]["tokens"]]
    assert any("port 80" in line for line in one["seen_by"]["in_transit"]), one["seen_by"]
    # What becomes of it.
    assert any(line.startswith("allowed.example:80") for line in one["when_destroyed"]["beyond_reach"]), one["when_destroyed"]

    text = daemon.ok("flows", name).out
    for title in ("What it can reach:", "Where its data flows:", "Who can see it:", "When it is destroyed:"):
        assert title in text
    assert "hush-hush" not in text
    assert {w["name"] for w in daemon.json("flows")["workspaces"]} == {"db", "agent"}
    assert daemon("flows", "nobody").status == 1


def test_the_picture_is_one_that_graphviz_reads(daemon):
    dot = daemon.ok("flows", "--dot").out
    assert dot.startswith("digraph flows {") and dot.rstrip().endswith("}")
    assert '"allowed.example:80"' in dot and "style=solid" in dot and "style=dashed" in dot
    if subprocess.run(["which", "dot"], capture_output=True, check=False).returncode == 0:
        drawn = subprocess.run(["dot", "-Tsvg"], input=dot, capture_output=True, text=True, check=True)
        assert "<svg" in drawn.stdout
