"""The HTTP API over the Unix socket, with as little of the client's own time in it as Python allows."""

import http.client
import json
import socket


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Api:
    """One kept-alive connection."""

    def __init__(self, path):
        self._connection = _UnixConnection(path)

    def call(self, method, target, body=None):
        text = None if body is None else json.dumps(body)
        self._connection.request(method, target, text, {"Content-Type": "application/json"} if text else {})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {target}: {answer.status}: {content[:500]!r}")
        return json.loads(content)

    def create(self, **config):
        image = config.pop("image")
        return self.call("POST", "/workspace", {"image": image, "config": config})["workspace"]

    def list(self):
        return self.call("GET", "/workspace")["workspaces"]

    def exec(self, workspace, command):
        return self.call("POST", f"/workspace/{workspace}/exec", {"cmd": command})

    def destroy(self, workspace):
        return self.call("DELETE", f"/workspace/{workspace}")

    def host(self):
        return self.call("GET", "/host")

    def accelerator(self):
        return self.host()["accelerator"]["name"]

    def pool_ready(self):
        return sum(pool["ready"] for pool in self.host()["pools"])
