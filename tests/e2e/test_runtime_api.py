"""The runtime's calls in real microVMs, over the daemon's Unix socket."""

import base64
import io
import json
import os
import socket
import struct
import tarfile
import threading

import pytest
from cofferdam import DEADLINE_S, wait_for
from runtime_client import Runtime


class WebSocket:
    """Enough of RFC 6455 for small frames."""

    def __init__(self, runtime, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(str(runtime.socket_path))
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(f"GET {runtime.base}{path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        self.file = self.sock.makefile("rb")
        assert b" 101 " in self.file.readline()
        while self.file.readline().strip():
            pass

    def send(self, payload, opcode):
        assert len(payload) < 126
        mask = os.urandom(4)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        self.sock.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)

    def read(self):
        while True:
            first, second = self.file.read(2)
            length = second & 0x7F
            if length == 126:
                length = struct.unpack(">H", self.file.read(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self.file.read(8))[0]
            payload = self.file.read(length)
            if first & 0x0F in (1, 2, 8):
                return first & 0x0F, payload

    def until(self, wanted):
        """Frames until wanted(opcode, payload) says something."""
        for _ in range(10_000):
            found = wanted(*self.read())
            if found:
                return found
        raise AssertionError("it never came")

    def close(self):
        self.file.close()
        self.sock.close()


@pytest.fixture(scope="module")
def rt(daemon):
    with daemon.workspace() as name:
        yield Runtime(daemon, name)


def test_health_info_and_targets(rt):
    assert rt.ask("GET", "/health")["status"] == "ok"
    info = rt.ask("GET", "/runtime")
    assert info["os"] == "linux" and info["cpus"] == 1 and info["home"].startswith("/")
    assert rt.ask("GET", "/runtimes")["targets"][0]["id"] == "local"
    assert rt.ask("GET", "/runtimes/local/health")["status"] == "ok"
    rt.ask("GET", "/runtimes/other/health", status=404)


def test_a_command_runs_with_environment_folder_and_user(rt):
    done = rt.ask("POST", "/exec", {"cmd": ["sh", "-c", "echo $A; pwd; id -u; echo bad >&2; exit 3"], "env": {"A": "1"},
                                    "cwd": "/usr", "user": "1000"})
    assert (done["status"], done["exit_code"]) == ("exited", 3)
    assert (done["stdout"], done["stderr"]) == ("1\n/usr\n1000\n", "bad\n")
    assert rt.sh("sleep 60", timeout_seconds=1)["exit_code"] == 124
    assert rt.ask("POST", "/exec", {"cmd": ["no-such-command"]})["exit_code"] == 127


def test_a_stream_tells_output_and_exit_and_a_late_subscriber_hears_all(rt):
    events = list(rt.events("POST", "/exec/stream", {"cmd": ["echo one; echo two >&2; exit 5"]}))
    assert events[0][0] == "task_id" and events[-1][0] == "exit"
    ended = events[-1][1]
    assert (ended["exit_code"], ended["status"]) == (5, "exited") and ended["pid"] > 1
    told = {name: base64.b64decode(data["data"]) for name, data in events[1:-1]}
    assert told == {"stdout": b"one\n", "stderr": b"two\n"}
    late = list(rt.events("GET", "/exec/stream", task_id=events[0][1]["task_id"]))
    assert late == [("output", {"stdout": "one\n", "stderr": "two\n"}), ("exit", ended)]


def test_a_flood_arrives_whole(rt):
    size = 20 << 20
    got = sum(len(base64.b64decode(data["data"])) for name, data in
              rt.events("POST", "/exec/stream", {"cmd": [f"head -c {size} /dev/zero"]}) if name == "stdout")
    assert got == size


def test_input_reaches_a_task_and_killing_ends_its_group(rt, daemon):
    task = rt.ask("POST", "/exec", {"cmd": ["sh", "-c", "sleep 4243 & cat"], "background": True})["id"]
    assert rt.ask("POST", f"/exec/{task}/input", b"abc")["bytes_written"] == 3
    wait_for(lambda: rt.ask("GET", f"/exec/{task}")["stdout"] == "abc", what="the echo")
    rt.ask("DELETE", f"/exec/{task}")
    wait_for(lambda: "4243" not in rt.sh("ps")["stdout"], what="the end of the group")
    rt.ask("GET", f"/exec/{task}", status=404)
    # The ledger has its end as it was: the task was called away from its output to kill it.
    ended = wait_for(lambda: [e for e in daemon.json("events", "--limit", "50", "--kind", "exec.ended", "--workspace",
                                                            rt.base.split("/")[2])["events"]
                              if e["bytes_out"] == 3 and e["exit"] != 0], what="its end in the ledger")
    assert ended[0]["how"] == "exited" and ended[0]["exit"] >= 128, ended


def test_files_are_written_listed_read_and_deleted(rt):
    written = rt.ask("POST", "/files/write", {"path": "/data/src/a.py", "content": "one\ntwo\n", "create_dirs": True,
                                              "mode": "0600"}, status=201)
    assert written["size"] == 8
    rt.ask("POST", "/files/write", {"path": "/data/src/a.py", "content": "three\n", "append": True}, status=201)
    rt.ask("POST", "/files/write", {"path": "/data/.gitignore", "content": "*.log\n"}, status=201)
    rt.ask("POST", "/files/write", {"path": "/data/x.log", "content": ""}, status=201)
    assert rt.ask("GET", "/files/read", path="/data/src/a.py", start_line=3)["content"] == "three\n"
    assert rt.ask("GET", "/files/stat", path="/data/src/a.py")["permissions"] == "0600"
    tree = rt.ask("GET", "/files", path="/data", nested="true")
    assert [e["name"] for e in tree["entries"]] == [".gitignore", "src"]
    assert tree["entries"][1]["children"][0]["path"] == "/data/src/a.py"
    lines = rt.send("GET", "/files/stream", path="/data").read().decode().splitlines()
    assert json.loads(lines[-1]) == {"event": "done", "count": 3}
    rt.ask("POST", "/files/write", {"path": "/none/x", "content": ""}, status=404)
    rt.ask("POST", "/files/delete", {"path": "/data/src"})
    rt.ask("GET", "/files/stat", path="/data/src/a.py", status=404)
    rt.ask("POST", "/files/delete", {"path": "/etc"}, status=403)


def test_search_finds_lines_and_names(rt):
    rt.ask("POST", "/files/write", {"path": "/find/deep/a.txt", "content": "x\nthe Needle\n", "create_dirs": True},
           status=201)
    found = rt.ask("GET", "/files/search", q="needle", path="/find")
    assert found["results"]["/find/deep/a.txt"][0]["line"] == 2
    assert rt.ask("GET", "/files/search/files", q="a.t", path="/find")["files"] == ["deep/a.txt"]


def test_archives_go_out_and_in_and_never_beside(rt):
    rt.sh("mkdir -p /pack/sub; echo hi >/pack/sub/f; ln -s f /pack/sub/l; head -c 3000000 /dev/urandom >/pack/big")
    archive = rt.send("POST", "/files/transfer/download", {"paths": ["/pack"]}).read()
    assert {m.name for m in tarfile.open(fileobj=io.BytesIO(archive))} == {"pack", "pack/big", "pack/sub", "pack/sub/f",
                                                                         "pack/sub/l"}
    assert rt.ask("POST", "/files/transfer/upload", archive, dest="/copy")["files_extracted"] == 3
    assert rt.sh("cmp /pack/big /copy/pack/big && readlink /copy/pack/sub/l")["stdout"] == "f\n"

    def hostile(*members):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for name, kind, target in members:
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, target
                tar.addfile(member, io.BytesIO(b""))
        return packed.getvalue()
    for members in ([("../out", tarfile.REGTYPE, "")], [("l", tarfile.SYMTYPE, "/etc")], [("d", tarfile.CHRTYPE, "")],
                    [("l", tarfile.SYMTYPE, "in"), ("l/x", tarfile.REGTYPE, "")]):
        rt.ask("POST", "/files/transfer/upload", hostile(*members), status=422, dest="/copy/safe")
    rt.ask("GET", "/files/stat", path="/copy/out", status=404)


def test_a_terminal_lives_on_between_sockets(rt):
    terminal = rt.ask("POST", "/terminals", {"cmd": ["sh"], "cols": 100, "rows": 30}, status=201)["id"]
    first = WebSocket(rt, "/ws")
    first.send(bytes([int(terminal)]) + b"stty size; echo mark-$((40+2))\n", 2)
    seen = bytearray()
    first.until(lambda kind, data: seen.extend(data[1:]) or b"mark-42" in seen)
    assert b"30 100" in seen
    first.close()
    second = WebSocket(rt, "/ws")
    replay = bytearray()
    second.until(lambda kind, data: replay.extend(data[1:]) or b"mark-42" in replay)
    second.send(bytes([int(terminal)]) + b"exit 7\n", 2)
    ended = second.until(lambda kind, data: kind == 1 and json.loads(data))
    assert ended == {"channel": "terminal", "type": "exit", "id": terminal, "code": 7}
    second.close()
    kept = rt.ask("GET", f"/terminals/{terminal}/scrollback")
    assert b"mark-42" in base64.b64decode(kept["scrollback"]) and kept["exit_code"] == 7
    rt.ask("DELETE", f"/terminals/{terminal}")


def test_a_watcher_tells_what_changes(rt):
    rt.sh("mkdir -p /watched")
    watcher = rt.ask("POST", "/watchers", {"path": "/watched"}, status=201)["watcher"]["id"]
    sock = WebSocket(rt, "/ws")
    rt.sh("echo x >/watched/new")
    change = sock.until(lambda kind, data: kind == 1 and b'"change"' in data and json.loads(data))
    assert (change["watcher_id"], change["path"]) == (watcher, "/watched/new")
    sock.close()
    rt.ask("DELETE", f"/watchers/{watcher}")


def test_the_proxy_reaches_a_server_in_the_workspace(rt):
    line = r"while true; do printf 'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nfrom inside' | nc -l -p 8080; done"
    task = rt.ask("POST", "/exec", {"cmd": ["sh", "-c", line], "background": True})["id"]

    def fetched():
        answer = rt.send("GET", "/proxy/some/path", headers={"X-Oblien-Proxy-Target": "8080"})
        return answer.status == 200 and answer.read()
    assert wait_for(fetched, what="the server") == b"from inside"
    rt.ask("GET", "/proxy/81/", status=503)
    assert rt.send("GET", "/proxy/x", headers={"X-Oblien-Proxy-Target": "10.0.0.1:80"}).status == 403
    rt.ask("DELETE", f"/exec/{task}")


def test_all_of_it_ends_with_the_workspace(daemon):
    with daemon.workspace() as name:
        runtime = Runtime(daemon, name)
        runtime.ask("POST", "/terminals", {"cmd": ["sh"]}, status=201)
        sock = WebSocket(runtime, "/ws")
        ended = []
        waiting = threading.Thread(target=lambda: ended.extend(
            runtime.events("POST", "/exec/stream", {"cmd": ["sleep", "600"]})))
        waiting.start()
        wait_for(lambda: runtime.ask("GET", "/exec")["tasks"], what="the task")
        daemon.ok("rm", name)
        waiting.join(DEADLINE_S)
        assert ended[-1][0] == "exit" and ended[-1][1]["status"] == "failed"
        assert sock.until(lambda kind, data: kind == 8 or None)
        sock.close()
        runtime.ask("GET", "/health", status=404)
