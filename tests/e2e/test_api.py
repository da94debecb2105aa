"""The HTTP API over TCP, as its clients use it: credentials, scopes, tokens that end, webhooks, the command line afar."""

import hashlib
import hmac
import http.server
import json
import threading
import urllib.error
import urllib.request

import pytest

from cofferdam import wait_for


class Client:
    """Requests with the credentials of one."""

    def __init__(self, url, headers):
        self.url, self.headers = url, headers

    def __call__(self, method, path, body=None, headers=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {**self.headers, **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def bearing(self, token):
        return Client(self.url, {"Authorization": f"Bearer {token}"})


@pytest.fixture
def api(daemon):
    client_id, secret = daemon.administrator()
    return Client(daemon.url, {"X-Client-ID": client_id, "X-Client-Secret": secret})


def make(api, **fields):
    status, body = api("POST", "/workspace", {"image": "minimal", "config": {"ttl": "10m"}, **fields})
    assert status == 201, body
    return body["workspace"]


def test_credentials_are_needed_and_the_administrators_open_everything(daemon, api):
    nobody = Client(api.url, {})
    assert nobody("GET", "/health") == (200, {"success": True, "status": "ok"})
    status, body = nobody("GET", "/workspace")
    assert (status, body["success"], body["code"]) == (401, False, "unauthorized")
    assert api("GET", "/host")[1]["listen"] == api.url
    assert (daemon.state / "admin.json").stat().st_mode & 0o777 == 0o600


def test_a_workspace_is_made_looked_at_and_removed(api):
    workspace = make(api, name="over-tcp", env=["A=1"])
    try:
        assert workspace["ready"] and workspace["provisioning"] is None
        assert workspace["timings_us"]["create"] > 0
        stats = api("GET", f"/workspace/{workspace['id']}/stats")[1]
        assert stats["stats"]["guestMemoryTotal"] > 0
        assert api("GET", "/workspace/over-tcp/network")[1]["allow_internet"] is False
    finally:
        assert api("DELETE", f"/workspace/{workspace['id']}")[0] == 200
    assert api("GET", f"/workspace/{workspace['id']}")[0] == 404


def test_a_token_of_agent_a_manages_nothing_of_agent_b(api):
    mine, theirs = make(api, name="agent-a"), make(api, name="agent-b")
    try:
        token = api("POST", "/tokens", {"scope": "workspace", "workspaceId": mine["id"]})[1]["token"]
        agent = api.bearing(token)
        assert agent("GET", f"/workspace/{mine['id']}")[0] == 200
        assert [w["id"] for w in agent("GET", "/workspace")[1]["workspaces"]] == [mine["id"]]
        for method, rest in [("GET", ""), ("DELETE", ""), ("POST", "/stop"), ("GET", "/stats"), ("GET", "/logs/boot"),
                             ("GET", "/files/stat?path=/"), ("POST", "/runtime-api-access/enable")]:
            for name in (theirs["id"], "agent-b"):
                foreign = agent(method, f"/workspace/{name}{rest}")
                missing = agent(method, f"/workspace/nobody{rest}")
                assert foreign[0] == missing[0] == 404, (method, rest, foreign)
                assert foreign[1]["message"].replace(name, "nobody") == missing[1]["message"]
        assert api("GET", f"/workspace/{theirs['id']}")[1]["workspace"]["status"] == "running"
    finally:
        for workspace in (mine, theirs):
            api("DELETE", f"/workspace/{workspace['id']}")


def test_a_revoked_token_is_over_at_once_also_after_a_restart(fresh):
    fresh.environment["COFFER_LISTEN"] = "127.0.0.1:0"
    fresh.up()
    client_id, secret = fresh.administrator()
    api = Client(fresh.url, {"X-Client-ID": client_id, "X-Client-Secret": secret})
    kept = api("POST", "/tokens", {"scope": "account", "ttl": "1h"})[1]
    ended = api("POST", "/tokens", {"scope": "account", "ttl": "1h"})[1]
    assert api("DELETE", f"/tokens/{ended['id']}")[1]["revoked"] == 1
    assert api.bearing(ended["token"])("GET", "/workspace")[0] == 401
    fresh.down()
    fresh.up()
    assert fresh.administrator() == (client_id, secret)
    again = Client(fresh.url, {})
    assert again.bearing(kept["token"])("GET", "/workspace")[0] == 200
    assert again.bearing(ended["token"])("GET", "/workspace")[0] == 401
    for secret_text in (secret, kept["token"]):
        assert secret_text not in fresh.log()
        assert secret_text.encode() not in (fresh.state / "cofferd.db").read_bytes()


def test_a_port_in_use_is_a_named_error_and_costs_nothing(daemon, fresh):
    fresh.environment["COFFER_LISTEN"] = f"127.0.0.1:{daemon.port}"
    done = fresh("up")
    assert done.status == 1 and str(daemon.port) in done.err and "--listen" in done.err, done


def test_the_command_line_works_from_afar_with_a_token(daemon, api):
    token = api("POST", "/tokens", {"scope": "account"})[1]["token"]
    afar = {"COFFER_URL": api.url, "COFFER_TOKEN": token}
    made = daemon("create", "--image", "minimal", "--name", "afar", env=afar)
    assert made.status == 0, made
    try:
        ran = daemon("exec", "afar", "--", "echo", "hello", env=afar)
        assert (ran.status, ran.out) == (0, "hello\n"), ran
        listed = daemon("--json", "token", "ls", env=afar)
        assert token not in listed.out and json.loads(listed.out)["tokens"], listed
        refused = daemon("ls", env={**afar, "COFFER_TOKEN": "cof_ctl_wrong"})
        assert refused.status == 1 and "cof_ctl_wrong" not in refused.err, refused
    finally:
        daemon("rm", "afar")


def test_an_event_reaches_a_webhook_signed(fresh):
    heard = []

    class Ear(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Ear)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        fresh.start("--webhooks-private")
        url = f"http://127.0.0.1:{server.server_port}/hook"
        fresh.ok("webhook", "create", url, "--events", "vm.created", "--secret-file", "-", stdin=b"sesame")
        name = fresh.create()
        wait_for(lambda: heard, what="the delivery")
        headers, body = heard[0]
        assert headers["X-Webhook-Signature"] == hmac.new(b"sesame", body, hashlib.sha256).hexdigest()
        assert json.loads(body)["data"]["workspace_id"] == name
    finally:
        server.shutdown()


def test_limits_of_a_namespace_hold(api):
    assert api("POST", "/namespaces", {"name": "small", "resource_limits": {"max_workspaces": 1}})[0] == 201
    try:
        make(api, namespace="small")
        status, body = api("POST", "/workspace", {"image": "minimal", "namespace": "small"})
        assert (status, body["code"]) == (409, "NAMESPACE_LIMIT_REACHED"), body
        api("POST", "/namespaces/small/suspend")
        assert api("POST", "/workspace", {"image": "minimal", "namespace": "small"})[1]["code"] == "namespace_suspended"
    finally:
        assert api("DELETE", "/namespaces/small", {"deleteWorkspaces": True})[0] == 200


def test_a_control_token_enters_no_environment_by_accident(daemon, api):
    token = daemon.ok("token", "create", "--ttl", "10m").out.strip()
    with daemon.workspace() as name:
        for refused in (daemon("exec", "--env", f"KEY={token}", name, "--", "true"),
                        daemon("create", "--image", "minimal", "--env", f"KEY={token}")):
            assert refused.status != 0 and "control token" in refused.err and token not in refused.err, refused
        meant = daemon.ok("exec", "--env", f"KEY={token}", "--allow-control-token", name, "--", "sh", "-c", "echo $KEY")
        assert meant.out == token + "\n"


def test_a_secret_reaches_commands_and_no_answer(daemon, api):
    value = "s3cret-" + hashlib.sha256(b"x").hexdigest()
    daemon.ok("secret", "set", "API_KEY", stdin=value.encode())
    workspace = make(api, config={"ttl": "10m", "secrets": ["API_KEY"]})
    try:
        assert value not in json.dumps(workspace)
        assert daemon.exec(workspace["id"], "echo $API_KEY").out == value + "\n"
        assert value not in daemon.log()
    finally:
        api("DELETE", f"/workspace/{workspace['id']}")
        daemon("secret", "rm", "API_KEY")

