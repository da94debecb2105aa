"""The HTTP API over the Unix socket, with as little of the client's own time in it as Python allows."""

import base64
import http.client
import json
import os
import socket
import struct
import time

OUTPUT, RESULT = 1, 3  # channels of a command's frames
TEXT, BINARY, CLOSE = 1, 2, 8  # kinds of WebSocket frames


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _WebSocket:
    """The client's side, as far as a command needs it."""

    def __init__(self, path, target):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(120)
        self._socket.connect(str(path))
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                             "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n".encode())
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise RuntimeError(f"GET {target}: {head!r} {self._buffer!r}")

    def _more(self):
        got = self._socket.recv(65536)
        if not got:
            raise RuntimeError("the daemon closed the connection")
        self._buffer += got

    def _take(self, size):
        while len(self._buffer) < size:
            self._more()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def send(self, kind, content):
        size = len(content)
        head = bytes([0x80 | kind])
        head += bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + struct.pack(">H", size)
        self._socket.sendall(head + bytes(4) + content)  # a mask of zeros changes nothing

    def read(self):
        first, size = self._take(2)
        size &= 0x7F
        if size == 126:
            size = struct.unpack(">H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self._take(8))[0]
        return first & 0x0F, self._take(size)

    def close(self):
        self._socket.close()


class Api:
    """One kept-alive connection, and one WebSocket a command."""

    def __init__(self, path):
        self._path = path
        self._connection = _UnixConnection(path)
        self._last_used = time.monotonic()

    def call(self, method, target, body=None):
        text = None if body is None else json.dumps(body)
        if time.monotonic() - self._last_used > 60:  # the server lets go of connections that idle for longer
            self._connection.close()
        self._connection.request(method, target, text, {"Content-Type": "application/json"} if text else {})
        answer = self._connection.getresponse()
        self._last_used = time.monotonic()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {target}: {answer.status}: {content[:500]!r}")
        return json.loads(content)

    def create(self, **config):
        """The workspace, with `create_us`: how long the daemon took, or, where it does not say, the round trip."""
        image = config.pop("image")
        start = time.perf_counter()
        answer = self.call("POST", "/workspace", {"image": image, "config": config})
        round_trip = int((time.perf_counter() - start) * 1e6)
        return {**answer["workspace"], "create_us": answer.get("timings_us", {}).get("create", round_trip)}

    def list(self):
        return self.call("GET", "/workspace")["workspaces"]

    def exec(self, workspace, command):
        """{stdout, exit_code, timings_us}"""
        stream = _WebSocket(self._path, f"/workspace/{workspace}/exec/ws")
        stream.send(TEXT, json.dumps({"cmd": command}).encode())
        out = b""
        while True:
            kind, content = stream.read()
            if kind == CLOSE:
                raise RuntimeError(f"closed before the result: {content!r}")
            if kind == BINARY and content[0] == OUTPUT:
                out += content[1:]
            if kind == BINARY and content[0] == RESULT:
                break
        stream.close()
        result = json.loads(content[1:])
        if "exit" not in result:
            raise RuntimeError(f"{command}: {result}")
        return {"stdout": out.decode(), "exit_code": result["exit"]["exit_code"], "timings_us": result["timings_us"]}

    def destroy(self, workspace):
        return self.call("DELETE", f"/workspace/{workspace}")

    def host(self):
        return self.call("GET", "/host")

    def accelerator(self):
        return self.host()["accelerator"]["name"]

    def standing_by(self):
        return sum(pool["standby"] for pool in self.host()["pools"])

    def pool_ready(self):
        return sum(pool["ready"] for pool in self.host()["pools"])
