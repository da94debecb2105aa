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


def test_proxies_are_on_the_way_and_told_as_who_sees_what_goes_out(golden, internet):
    one = nets.Networked(golden, internet, f"proxy: {nets.SERVER}:3128")
    try:
        one.log_in_to_proxy()
        one.up()
        with one.workspace("--allow", "allowed.example", image="debian-12") as name:
            def fetch():
                return one.exec(name, ["curl", "-sS", "-m", "5", "http://allowed.example/"], "--timeout", "20").status == 0

            def flow(observed):
                found = one.json("flows", name)["workspaces"][0]
                return [f for f in found["flows"] if f["observed"] == observed and f["to"].startswith("allowed.example")]

            wait_for(fetch, 60, "an answer from outside")
            assert flow(False)[0]["ways"] == [["operator"]]
            wait_for(lambda: flow(True) and flow(True)[0]["ways"] == [["operator"]], 20, "what was observed")
            one.ok("network", "proxy", name, "proxy.example:3128", "--login", "-", stdin=nets.PROXY_LOGIN.encode())
            both = ["operator", "proxy.example:3128"]
            assert flow(False)[0]["ways"] == [both]
            wait_for(fetch, 60, "an answer from outside")
            wait_for(lambda: both in flow(True)[0]["ways"], 20, "what was observed")
            assert [f for f in one.connections(name) if f["via"] == ",".join(both)]
            assert "via operator,proxy.example:3128" in one.ok("connections", name).out

            found = one.json("flows", name)["workspaces"][0]
            assert [p["whose"] for p in found["proxies"]] == ["operator", "workspace"], found["proxies"]
            seen = found["seen_by"]["in_transit"]
            assert [line for line in seen if line.startswith("the operator's proxy, which")], seen
            assert [line for line in seen if line.startswith("the proxy proxy.example:3128, the workspace's own, which")], seen
            assert [line for line in seen if "and the operator's proxy: the login for it" in line], seen
            text = one.ok("flows", name).out
            assert "-> allowed.example  through gate, the operator's proxy, the proxy proxy.example:3128: allowed" in text, text
            dot = one.ok("flows", name, "--dot").out
            for edge in (f'"{name}" -> "the operator\'s proxy" [style=solid', '"the operator\'s proxy" -> "the proxy proxy.example:3128" [style=solid',
                         '"the proxy proxy.example:3128" -> "allowed.example" [style=dashed'):
                assert edge in dot, dot
            # Where the operator's is, is the operator's affair; the login nobody's.
            for shown in (str(found), text, dot):
                assert f"{nets.SERVER}:3128" not in shown and "pass:word" not in shown
    finally:
        one.close()


def test_the_picture_is_one_that_graphviz_reads(daemon):
    dot = daemon.ok("flows", "--dot").out
    assert dot.startswith("digraph flows {") and dot.rstrip().endswith("}")
    assert '"allowed.example:80"' in dot and "style=solid" in dot and "style=dashed" in dot
    if subprocess.run(["which", "dot"], capture_output=True, check=False).returncode == 0:
        drawn = subprocess.run(["dot", "-Tsvg"], input=dot, capture_output=True, text=True, check=True)
        assert "<svg" in drawn.stdout
