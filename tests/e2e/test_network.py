"""What is opened, opens: named hosts through the gate, one-way links, exposed ports, and the record of it all.

Real microVMs; the daemon runs in a network namespace of the test's own, whose internet is the test's (internet.py)."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

import internet as nets
import traces
from cofferdam import wait_for


@pytest.fixture(scope="module")
def internet():
    one = nets.Internet()
    yield one
    one.close()


@pytest.fixture(scope="module")
def daemon(golden, internet):
    one = nets.Networked(golden, internet, "deny: denied.allowed.example")
    one.up()
    yield one
    one.close()


@pytest.fixture(scope="module")
def fetcher(daemon, internet):
    """A workspace with curl that may reach allowed.example and what is below it."""
    name = daemon.create("--allow", "allowed.example", "--allow", "*.allowed.example", "--ttl", "30m", image="debian-12")
    daemon.ok("cp", internet.folder / "cert.pem", f"{name}:/tmp/ca.pem")
    yield name
    daemon("rm", name)


def curl(daemon, workspace, url, *options, limit=8):
    return daemon.exec(workspace, ["curl", "-sS", "-m", str(limit), "--cacert", "/tmp/ca.pem", *options, url], "--timeout", "30")


def call(daemon, method, path, body=None, headers=None):
    """A request over the daemon's socket: (status, headers, body)."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(30)
    sock.connect(str(daemon.run_dir / "cofferd.sock"))
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Content-Length: {len(data)}", "Connection: close"]
    lines += [f"{k}: {v}" for k, v in {"Host": "localhost", **(headers or {})}.items()]
    sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
    answer = b""
    while piece := sock.recv(65536):
        answer += piece
    head, _, rest = answer.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return int(status.split()[1]), dict(f.split(": ", 1) for f in fields), rest


def test_an_allowed_name_is_fetched_with_tls_and_without(daemon, internet, fetcher):
    internet.forget()
    secure = curl(daemon, fetcher, "https://allowed.example/")
    assert (secure.status, secure.out) == (0, f"hello from {nets.SERVER} as allowed.example\n"), secure
    plain = curl(daemon, fetcher, "http://www.allowed.example/")
    assert (plain.status, plain.out) == (0, f"hello from {nets.SERVER} as www.allowed.example\n"), plain
    assert internet.heard("web https") and internet.heard("web http ")
    # The guest saw an address that means nothing outside.
    seen = daemon.exec(fetcher, "getent ahostsv4 allowed.example | head -1").out
    assert seen.startswith(("198.18.", "198.19.")), seen


def test_eight_mebibytes_arrive_whole(daemon, fetcher):
    done = daemon.exec(fetcher, "curl -sS -m 60 --cacert /tmp/ca.pem https://allowed.example/blob | wc -c", "--timeout", "90")
    assert done.out.split() == [str(8 << 20)], done


def test_what_happened_is_in_the_record(daemon, fetcher):
    curl(daemon, fetcher, "https://allowed.example/")
    curl(daemon, fetcher, "https://other.example/")
    curl(daemon, fetcher, "http://8.8.8.8/", limit=1)

    def complete():
        flows = daemon.connections(fetcher)
        return [f for f in flows if f["event"] == "closed" and f["name"] == "allowed.example"] and \
            [f for f in flows if f["kind"] == "dns" and f["event"] == "refused" and f["name"] == "other.example"] and \
            [f for f in flows if f["event"] == "refused" and f["address"] == "8.8.8.8" and f["port"] == 80] and flows

    flows = wait_for(complete, 10, "the records")
    closed = [f for f in flows if f["event"] == "closed" and f["name"] == "allowed.example"][-1]
    assert closed["address"] == nets.SERVER and closed["bytes_in"] > 100 and closed["bytes_out"] > 100, closed
    shown = daemon.ok("connections", fetcher).out
    assert "allowed.example:443" in shown and "8.8.8.8:80" in shown, shown


def test_policy_changes_are_live_in_both_directions(daemon, fetcher):
    assert curl(daemon, fetcher, "https://files.example/").status == 6
    daemon.ok("network", "allow", fetcher, "allowed.example", "*.allowed.example", "files.example")
    try:
        assert curl(daemon, fetcher, "https://files.example/").status == 0
    finally:
        daemon.ok("network", "allow", fetcher, "allowed.example", "*.allowed.example")
    assert curl(daemon, fetcher, "https://files.example/").status == 6


def test_the_contracts_network_calls(daemon, fetcher):
    status, _, body = call(daemon, "GET", f"/workspace/{fetcher}/network")
    network = json.loads(body)
    assert status == 200 and network["allow_internet"] is False
    assert network["egress"] == ["allowed.example", "*.allowed.example"] and network["ip"].startswith("10.2")
    status, _, body = call(daemon, "PATCH", f"/workspace/{fetcher}/network", {"egress": ["x"] * 51})
    assert status == 422 and "/egress" in json.loads(body)["message"], body
    status, _, body = call(daemon, "PATCH", f"/workspace/{fetcher}/network", {"egress": ["0x7f.1"]})
    assert status == 422, body
    assert curl(daemon, fetcher, "https://allowed.example/").status == 0


def test_a_workspace_made_with_allow_internet_reaches_what_is_public(daemon, internet):
    with daemon.workspace("--allow-internet", image="debian-12") as name:
        done = daemon.exec(name, "curl -sS -m 8 http://other.example:8080/; curl -sS -m 8 http://45.83.0.9/", "--timeout", "30")
        assert done.out.count(f"hello from {nets.OTHER}") == 2, done
        internet.forget()
        inside = daemon.exec(name, "curl -sS -m 3 http://inside.example/; curl -sS -m 3 http://10.99.0.5/", "--timeout", "20")
        assert "hello" not in inside.out and not internet.heard("web"), inside


def test_pause_and_resume_keep_what_is_open(daemon, fetcher):
    call(daemon, "POST", f"/workspace/{fetcher}/pause")
    call(daemon, "POST", f"/workspace/{fetcher}/resume")
    assert curl(daemon, fetcher, "https://allowed.example/").status == 0
    assert curl(daemon, fetcher, "https://other.example/").status == 6


def test_a_restarted_workspace_has_its_network_again(daemon, internet):
    name = daemon.create("--permanent", "--allow", "allowed.example", image="debian-12")
    try:
        for verb in ("stop", "start"):
            daemon.ok(verb, name)
        done = daemon.exec(name, "curl -sS -m 8 http://allowed.example/", "--timeout", "30")
        assert "hello" in done.out, done
    finally:
        daemon("rm", name)


def test_without_a_gate_everything_is_closed_and_opens_again_with_the_next(daemon, internet, fetcher):
    gate = wait_for(daemon.gate, what="the gate")
    os.kill(gate, signal.SIGKILL)
    wait_for(lambda: daemon.gate() not in (None, gate), 20, "another gate")
    wait_for(lambda: curl(daemon, fetcher, "https://allowed.example/").status == 0, 20, "a fetch through the new gate")
    assert curl(daemon, fetcher, "https://other.example/").status == 6


def test_the_gate_is_nobody(daemon, fetcher):
    status = dict(line.split(":\t", 1) for line in
                  pathlib.Path(f"/proc/{wait_for(daemon.gate)}/status").read_text().splitlines() if ":\t" in line)
    assert status["Uid"].split()[0] != "0" and int(status["CapEff"], 16) == 0 and int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"


def test_a_killed_daemon_comes_back_with_the_same_rules(golden, internet):
    one = nets.Networked(golden, internet)
    try:
        one.up()
        name = one.create("--permanent", "--allow", "allowed.example", image="debian-12")
        fetch = "curl -sS -m 8 http://allowed.example/; curl -sS -m 8 http://files.example/; echo $?"
        assert one.exec(name, fetch, "--timeout", "30").out.endswith("6\n")
        one.kill()
        one.up()
        done = one.exec(name, fetch, "--timeout", "30")
        assert done.out == f"hello from {nets.SERVER} as allowed.example\n6\n", done
        assert len(traces.vmms(one.state, one.run_dir)) >= 1
    finally:
        one.close()


def files_with(folder, secret):
    """The files of a state folder, but for images, that hold the bytes as they are."""
    skipped = ("images", "templates", "vmm")
    found = []
    for path in folder.rglob("*"):
        if path.relative_to(folder).parts[0] not in skipped and path.is_file() and secret in path.read_bytes():
            found.append(path)
    return found


LOGIN = nets.PROXY_LOGIN


def asked_of_proxy(internet):
    return [line for line in internet.heard() if line.startswith("proxy ")]


def test_a_workspace_goes_out_by_a_proxy_of_its_own(golden, internet):
    one = nets.Networked(golden, internet)
    try:
        one.up()
        login = one.base / "login"
        login.write_text(LOGIN + "\n")
        login.chmod(0o600)
        name = one.create("--permanent", "--allow", "allowed.example", image="debian-12")
        one.ok("cp", internet.folder / "cert.pem", f"{name}:/tmp/ca.pem")
        one.ok("network", "proxy", name, "proxy.example:3128", "--login", login)
        shown = one.ok("network", "show", name).out
        assert "proxy.example:3128, with a login" in shown and "pass" not in shown, shown
        internet.forget()
        assert curl(one, name, "https://allowed.example/").status == 0
        assert asked_of_proxy(internet) == [f"proxy {nets.SERVER}:443 {LOGIN}"]
        # What is not allowed is not asked of it.
        assert curl(one, name, "https://other.example/").status != 0
        assert not [line for line in asked_of_proxy(internet) if "other" in line or nets.OTHER in line]
        # It is told names where that is asked for.
        one.ok("network", "proxy", name, f"{nets.SERVER}:3128", "--login", "-", "--resolves", stdin=LOGIN.encode())
        internet.forget()
        assert curl(one, name, "https://allowed.example/").status == 0
        assert asked_of_proxy(internet) == [f"proxy allowed.example:443 {LOGIN}"]
        # A new daemon knows its login, which is in no file.
        one.kill()
        one.up()
        internet.forget()
        assert wait_for(lambda: curl(one, name, "https://allowed.example/").status == 0, 20, "a fetch")
        assert f"proxy allowed.example:443 {LOGIN}" in asked_of_proxy(internet)
        assert files_with(one.state, b"pass:word") == [] and "pass:word" not in one.log()
        # A proxy that refuses is not gone around.
        one.ok("network", "proxy", name, "proxy.example:3128")
        internet.forget()
        assert curl(one, name, "https://allowed.example/").status != 0
        assert not internet.heard("web")
        wait_for(lambda: [f for f in one.connections(name) if f["reason"] == "proxy_refused"], 10, "the record of it")
        inwards = one("network", "proxy", name, f"{nets.INSIDE}:3128")
        assert inwards.status == 1 and "inwards" in inwards.err, inwards
        one.ok("network", "proxy", name, "--none")
        internet.forget()
        assert curl(one, name, "https://allowed.example/").status == 0
        assert not asked_of_proxy(internet)
    finally:
        one.close()


def test_the_operators_proxy_carries_everything_with_a_login_for_its_owners_eyes(golden, internet):
    one = nets.Networked(golden, internet, f"proxy: {nets.SERVER}:3128")
    try:
        login = one.log_in_to_proxy()
        login.chmod(0o644)
        refused = one("up", timeout=60)
        assert refused.status != 0 and "others than its owner" in refused.err + one.log(), refused
        login.chmod(0o600)
        one.up()
        with one.workspace("--allow", "allowed.example", image="debian-12") as name:
            internet.forget()
            done = one.exec(name, "curl -sS -m 8 http://allowed.example/", "--timeout", "30")
            assert "hello" in done.out, done
            assert asked_of_proxy(internet) == [f"proxy {nets.SERVER}:80 {LOGIN}"]
        arguments = pathlib.Path(f"/proc/{wait_for(one.gate)}/cmdline").read_bytes() + pathlib.Path(f"/proc/{one.pid}/cmdline").read_bytes()
        assert b"pass:word" not in arguments and "pass:word" not in one.log()
    finally:
        one.close()


SERVER = """
import http.server, sys
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = (self.path + " " + self.headers.get("Host", "-") + " " + self.headers.get("Cookie", "-")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Echo).serve_forever()
"""


def serve(daemon, workspace, port):
    """A web server in a workspace, in the background."""
    daemon.exec(workspace, "cat >/tmp/serve.py", "-i", stdin=SERVER.encode())
    daemon.exec(workspace, f"setsid python3 /tmp/serve.py {port} </dev/null >/dev/null 2>&1 &")
    wait_for(lambda: daemon.exec(workspace, f"curl -s -m 2 http://127.0.0.1:{port}/").status == 0, 60, "the server inside")


@pytest.fixture(scope="module")
def site(daemon):
    """A workspace that serves on ports 8080 and 5432."""
    name = daemon.create("--name", "site", "--ttl", "30m", image="debian-12")
    serve(daemon, name, 8080)
    serve(daemon, name, 5432)
    yield name
    daemon("rm", name)


def test_an_exposed_port_answers_by_host_and_by_path(daemon, site):
    made = daemon.json("port", "expose", site, "8080", "--slug", "shop")["port"]
    try:
        assert made["slug"] == "shop" and made["port"] == 8080
        status, _, body = call(daemon, "GET", "/a/b?x=1", headers={"Host": "shop.preview.localhost"})
        assert (status, body) == (200, b"/a/b?x=1 shop.preview.localhost -"), body
        status, headers, body = call(daemon, "GET", "/preview/shop/a/b?x=1")
        assert status == 200 and body.startswith(b"/a/b?x=1 "), body
        assert "sandbox" in headers["Content-Security-Policy"]
        assert [p["port"] for p in daemon.json("port", "ls", site)["ports"]] == [8080]
    finally:
        daemon.ok("port", "close", site, "8080")
    assert call(daemon, "GET", "/preview/shop/")[0] == 404


def test_an_exposed_port_behind_a_token(daemon, site):
    token = daemon.json("port", "expose", site, "8080", "--slug", "till", "--token")["port"]["token"]
    try:
        assert call(daemon, "GET", "/preview/till/")[0] == 401
        assert call(daemon, "GET", "/preview/till/?preview_token=wrong")[0] == 401
        status, headers, body = call(daemon, "GET", f"/preview/till/x?preview_token={token}&y=2")
        assert status == 200 and body.startswith(b"/x?y=2 ") and token.encode() not in body, body
        cookie = headers["Set-Cookie"].split(";")[0]
        status, _, body = call(daemon, "GET", "/preview/till/x", headers={"Cookie": f"own=1; {cookie}"})
        assert status == 200 and body.endswith(b" own=1"), body
        assert call(daemon, "GET", "/preview/till/x", headers={"X-Preview-Token": token})[0] == 200
        database = (daemon.state / "cofferd.db").read_bytes()
        assert token.encode() not in database
    finally:
        daemon.ok("port", "close", site, "8080")


STREAM = """
import http.server, time
class Drip(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b"drop\\n")
            time.sleep(0.1)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8090), Drip).serve_forever()
"""


def test_what_came_through_an_exposed_port_is_cut_when_it_is_closed(daemon, site):
    daemon.exec(site, "cat >/tmp/drip.py", "-i", stdin=STREAM.encode())
    daemon.exec(site, "setsid python3 /tmp/drip.py </dev/null >/dev/null 2>&1 &")
    wait_for(lambda: daemon.exec(site, "curl -s -m 1 http://127.0.0.1:8090/ | head -1").out == "drop\n", 20, "the drip")
    daemon.ok("port", "expose", site, "8090", "--slug", "drip")
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(30)
    sock.connect(str(daemon.run_dir / "cofferd.sock"))
    sock.sendall(b"GET /preview/drip/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    received = b""
    while received.count(b"drop") < 3:
        piece = sock.recv(4096)
        assert piece, received
        received += piece
    daemon.ok("port", "close", site, "8090")
    while sock.recv(65536):  # what was on its way, and then the end: a timeout is a failure
        pass
    sock.close()


def test_connections_policies_links_and_ports_are_in_the_ledger(daemon, internet, fetcher, site):
    curl(daemon, fetcher, "https://allowed.example/")
    for _ in range(3):
        curl(daemon, fetcher, "https://other.example/")
    daemon.ok("network", "allow", fetcher, "allowed.example", "*.allowed.example", "files.example")
    daemon.ok("network", "allow", fetcher, "allowed.example", "*.allowed.example")
    link = daemon.ok("link", "add", fetcher, f"{site}:8080", "--ttl", "1h").out.strip()
    daemon.ok("link", "rm", link)
    daemon.ok("port", "expose", site, "8080", "--slug", "noted")
    daemon.ok("port", "close", site, "8080")

    def events(kind):
        return daemon.json("events", "--limit", "1000", "--kind", kind)["events"]

    allowed = wait_for(lambda: [e for e in events("connection.allowed") if e.get("name") == "allowed.example"], 10,
                       "the connection")[-1]
    assert (allowed["workspace"], allowed["ip"], allowed["port"]) == (fetcher, nets.SERVER, 443), allowed
    assert allowed["policy_version"] > 0 and allowed["direction"] == "out"
    assert wait_for(lambda: [e for e in events("connection.closed") if e.get("name") == "allowed.example"], 10, "its end")
    refused = wait_for(lambda: [e for e in events("connection.refused") if e.get("name") == "other.example"], 10, "the refusal")
    assert refused[-1]["protocol"] == "dns" and refused[-1]["reason"] == "dns_name", refused
    policy = [e for e in events("policy.changed") if e["workspace"] == fetcher]
    assert policy[-2]["summary"] == "allowed.example *.allowed.example files.example", policy
    assert policy[-1]["actor"] == "local:0" and policy[-1]["policy_version"] > policy[-2]["policy_version"]
    assert [(e["action"], e["from"], e["to"], e["port"]) for e in events("link.changed") if e["link"] == link] == [
        ("created", fetcher, site, 8080), ("removed", fetcher, site, 8080)]
    assert [e["action"] for e in events("port.changed") if e["address"] == "noted.preview.localhost"] == ["opened", "closed"]


def test_a_databases_port_is_refused_unless_forced_and_a_databases_workspace_always(daemon, site):
    refused = daemon("port", "expose", site, "5432")
    assert refused.status == 1 and "PostgreSQL" in refused.err, refused
    daemon.ok("port", "expose", site, "5432", "--force")
    daemon.ok("port", "close", site, "5432")
    call(daemon, "PATCH", f"/workspace/{site}/metadata", {"metadata": {"type": "database"}})
    try:
        assert daemon("port", "expose", site, "8080", "--force").status == 1
    finally:
        call(daemon, "PATCH", f"/workspace/{site}/metadata", {"metadata": {"type": ""}})


def test_a_suspended_workspace_wakes_for_a_visitor(daemon, site):
    daemon.ok("port", "expose", site, "8080", "--slug", "sleeper")
    try:
        call(daemon, "PUT", f"/workspace/{site}/lifecycle/idle", {"suspend_after": 3})
        wait_for(lambda: daemon.json("ls")["workspaces"] and
                 [w for w in daemon.json("ls")["workspaces"] if w["id"] == site][0]["status"] == "suspended", 20, "its sleep")
        status, _, body = call(daemon, "GET", "/preview/sleeper/")
        assert status == 200, body
    finally:
        call(daemon, "PUT", f"/workspace/{site}/lifecycle/idle", {"suspend_after": 0})
        daemon("port", "close", site, "8080")


def test_a_connection_that_is_open_keeps_its_workspace_awake(daemon, site):
    def status():
        return next(w["status"] for w in daemon.json("ls")["workspaces"] if w["id"] == site)

    forward = daemon.spawn("--json", "port-forward", site, "0:8080")
    visitor = None
    try:
        port = json.loads(forward.stdout.readline())["port"]
        visitor = subprocess.Popen([*daemon.within, "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}; echo open; exec sleep 60"],
                                   stdout=subprocess.PIPE)
        assert visitor.stdout.readline() == b"open\n"
        call(daemon, "PUT", f"/workspace/{site}/lifecycle/idle", {"suspend_after": 1})
        time.sleep(3)
        assert status() == "running"
        visitor.kill()
        wait_for(lambda: status() == "suspended", 20, "its sleep once nobody is connected")
    finally:
        for process in (visitor, forward):
            if process:
                process.kill()
                process.wait()
                process.stdout.close()
        forward.stderr.close()
        call(daemon, "PUT", f"/workspace/{site}/lifecycle/idle", {"suspend_after": 0})


def test_port_forward_reaches_a_port_of_the_workspace(daemon, site):
    forward = daemon.spawn("--json", "port-forward", site, "0:8080")
    try:
        port = json.loads(forward.stdout.readline())["port"]
        done = subprocess.run([*daemon.within, "curl", "-sS", "-m", "10", f"http://127.0.0.1:{port}/through"],
                              capture_output=True, text=True, check=False)
        assert done.stdout.startswith("/through "), done
    finally:
        forward.send_signal(signal.SIGINT)
        assert forward.wait(10) == 0


def test_a_link_opens_one_port_one_way_and_ends(daemon, internet, site):
    with daemon.workspace("--name", "shopper", image="debian-12") as a, daemon.workspace("--name", "stranger", image="debian-12") as c:
        before = daemon.exec(a, "curl -sS -m 2 http://site.internal:5432/", "--timeout", "15")
        assert before.status != 0, before
        link = daemon.ok("link", "add", a, f"{site}:5432", "--note", "orders").out.strip()
        shown = daemon.json("link", "ls")["links"]
        assert [(x["id"], x["from"], x["to"], x["ports"], x["note"]) for x in shown] == [(link, a, site, [5432], "orders")]
        address = shown[0]["address"]
        by_name = daemon.exec(a, "curl -sS -m 8 http://site.internal:5432/linked", "--timeout", "20")
        assert by_name.out.startswith("/linked "), by_name
        assert daemon.exec(a, f"curl -sS -m 8 http://{address}:5432/x", "--timeout", "20").out.startswith("/x ")
        # Another port is silence; so is the way back, on any port, and a stranger's way.
        mine = [x for x in daemon.json("network", "show", a)["private_links"] if x["direction"] == "out"]
        assert mine and mine[0]["name"] == "site"
        quiet = daemon.exec(a, f"curl -sS -m 2 http://{address}:8080/; echo $?", "--timeout", "15").out
        assert quiet.strip() == "28", quiet
        serve(daemon, a, 9000)
        own = daemon.json("network", "show", a)["ip"]
        for port in (9000, 5432, 22):
            back = daemon.exec(site, f"curl -sS -m 2 http://{own}:{port}/; echo $?", "--timeout", "15").out
            assert back.strip() == "28", back
        stranger = daemon.exec(c, f"curl -sS -m 2 http://{address}:5432/; echo $?; curl -sS -m 2 http://site.internal:5432/; echo $?",
                               "--timeout", "20").out.split()
        assert stranger in (["7", "6"], ["28", "6"]), stranger
        # The host's own address does not answer on that port.
        assert subprocess.run([*daemon.within, "curl", "-s", "-m", "2", f"http://{nets.HOST}:5432/"], check=False).returncode == 7
        graph = daemon.ok("graph").out
        assert "-> site :5432  link" in graph, graph
        assert f'"{a}" -> "{site}"' in daemon.ok("graph", "--dot").out
        daemon.ok("link", "rm", link)
        assert daemon.exec(a, f"curl -sS -m 2 http://{address}:5432/; echo $?", "--timeout", "15").out.strip() == "28"


def test_a_link_ends_by_itself_and_goes_with_either_end(daemon, site):
    with daemon.workspace(image="debian-12") as a:
        daemon.ok("link", "add", a, f"{site}:8080", "--ttl", "2s")
        assert len(daemon.json("link", "ls")["links"]) == 1
        wait_for(lambda: daemon.json("link", "ls")["links"] == [], 10, "the end of the link")
        daemon.ok("link", "add", a, f"{site}:8080")
    assert daemon.json("link", "ls")["links"] == []


def test_a_link_needs_rights_on_both_ends(daemon, site):
    with daemon.workspace(image="debian-12") as a:
        token = daemon.json("token", "create", "--workspace", a, "--verbs", "read,network")["token"]
        bearer = {"Authorization": f"Bearer {token}"}
        status, _, body = call(daemon, "POST", "/links", {"from": a, "to": site, "ports": [8080]}, bearer)
        assert status == 404, body
        status, _, body = call(daemon, "POST", "/links", {"from": site, "to": a, "ports": [8080]}, bearer)
        assert status == 404, body


def test_the_contracts_private_links_are_links(daemon, site):
    with daemon.workspace(image="debian-12") as a:
        status, _, body = call(daemon, "PATCH", f"/workspace/{site}/network", {"private_link_ids": [a], "ingress_ports": [8080]})
        network = json.loads(body)
        assert status == 200 and [x["workspace_id"] for x in network["private_links"]] == [a], network
        assert daemon.exec(a, "curl -sS -m 8 http://site.internal:8080/y", "--timeout", "20").out.startswith("/y ")
        call(daemon, "PATCH", f"/workspace/{site}/network", {"private_link_ids": []})
        assert daemon.json("link", "ls")["links"] == []


def test_nothing_is_added_to_the_hosts_own_network(daemon, fetcher):
    def host(*argv):
        return subprocess.run([*daemon.within, *argv], capture_output=True, text=True, check=True).stdout

    assert host("nft", "list", "ruleset") == ""
    assert {line.split(":")[1].strip().split("@")[0] for line in host("ip", "-o", "link").splitlines()} == {"lo", "up0"}
    assert len(host("ip", "route").splitlines()) == 2


def test_when_a_workspace_goes_so_does_its_network(golden, internet):
    one = nets.Networked(golden, internet)
    try:
        one.up()
        before = len(os.listdir(f"/proc/{wait_for(one.gate)}/fd"))
        for _ in range(3):
            with one.workspace("--allow", "allowed.example", image="minimal") as name:
                assert one.exec(name, "wget -q -O - http://allowed.example/", "--timeout", "20").status == 0
        wait_for(lambda: len(os.listdir(f"/proc/{one.gate()}/fd")) <= before, 10, "the gate to let go of its sockets")
        one.down()
        one.assert_nothing_left()
        time.sleep(0)
    finally:
        one.close()


def test_workspaces_that_are_deleted_while_their_networks_change_take_nobody_along(daemon):
    """Two with a link between them: whatever is changed at one is changed at the other, while both are being removed."""
    pid = daemon.pid
    for round_ in range(8):
        a, b = (daemon.create("--allow", "allowed.example", "--ttl", "10m") for _ in range(2))
        daemon.ok("link", "add", a, f"{b}:5432")
        changes = [daemon.spawn("network", "allow", one, f"198.51.100.{round_}:22") for one in (a, b)]
        removals = [daemon.spawn("rm", one) for one in (a, b)]
        for command in removals + changes:
            out, err = command.communicate(timeout=60)
            # A change may come too late, and says so.
            assert command.returncode == 0 or (command in changes and b"daemon" not in err), (out, err)
    assert daemon.pid == pid
    assert not daemon.json("link", "ls")["links"]
