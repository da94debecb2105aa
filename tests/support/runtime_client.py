"""The calls inside a workspace, as the published client makes them, over the daemon's Unix socket."""

import http.client
import json
import socket
import urllib.parse

from cofferdam import DEADLINE_S


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=DEADLINE_S)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(self.path)


class Runtime:
    """What the SDK's class of that name asks, by hand."""

    def __init__(self, daemon, workspace):
        self.socket_path = daemon.run_dir / "cofferd.sock"
        self.base = f"/workspace/{workspace}/runtime"

    def send(self, method, where, body=None, headers=None, **query):
        connection = Connection(self.socket_path)
        if query:
            where += "?" + urllib.parse.urlencode(query)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        connection.request(method, self.base + where, body, headers or {})
        return connection.getresponse()

    def ask(self, method, where, body=None, status=200, **query):
        answer = self.send(method, where, body, **query)
        text = answer.read()
        assert answer.status == status, f"{method} {where}: {answer.status} {text[:2000]}"
        parsed = json.loads(text)
        assert parsed["success"] is (status < 400), parsed
        return parsed

    def sh(self, line, **more):
        return self.ask("POST", "/exec", {"cmd": [line], "exec_mode": "shell", **more})

    def events(self, method, where, body=None, **query):
        answer = self.send(method, where, body, **query)
        assert answer.status == 200, answer.read()
        name = None
        for line in answer:
            line = line.decode().rstrip("\n")
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                yield name, json.loads(line[6:])
