"""What bad input gets from a running daemon: the right status with a message, nothing changed, and a line in the log."""

import base64
import json
import os
import re
import socket
import struct
import time

import pytest

import cofferdam as support
from cofferdam import wait_for

DEADLINE_S = 40


@pytest.fixture(scope="module")
def host(golden):
    one = support.Cofferdam(golden=golden, tcp=True)
    one.up()
    yield one
    one.close()


@pytest.fixture(scope="module")
def box(host):
    with host.workspace("--name", "box") as workspace:
        yield workspace


class Api:
    """Raw requests to the daemon's TCP port; each must be answered, and refused ones leave a line in the log."""

    def __init__(self, host):
        self.host = host
        client_id, secret = host.administrator()
        self.credentials = f"X-Client-ID: {client_id}\r\nX-Client-Secret: {secret}\r\n"

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.host.port), timeout=DEADLINE_S)
        sock.settimeout(DEADLINE_S)
        return sock

    def raw(self, *pieces):
        """(status, body) of what comes back for these bytes."""
        with self.connect() as sock:
            for piece in pieces:
                try:
                    sock.sendall(piece)
                except OSError:
                    break  # refused before all was taken
            got = b""
            while not complete(got):
                try:
                    more = sock.recv(65536)
                except ConnectionResetError:
                    break
                if not more:
                    break
                got += more
        head, _, body = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 "), got[:200]
        return int(head.split()[1]), json.loads(body) if body else None

    def __call__(self, method, path, body=None, credentials=None, content_type="application/json"):
        data = b"" if body is None else body if isinstance(body, bytes) else body.encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{self.credentials if credentials is None else credentials}"
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(data)}\r\n\r\n"
        return self.raw(head.encode("latin-1") + data)

    def bearing(self, token):
        return lambda method, path, body=None: self(method, path, body, f"Authorization: Bearer {token}\r\n")

    def workspaces(self):
        return sorted(w["id"] for w in self("GET", "/workspace")[1]["workspaces"])


def complete(got):
    head, end, body = got.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    return bool(end) and length is not None and len(body) >= int(length.group(1))


@pytest.fixture
def api(host):
    return Api(host)


def whole_log(host):
    return "".join(path.read_text(errors="replace") for folder in (host.base, host.state) for path in folder.glob("*.log"))


@pytest.fixture
def refusals(host):
    """Waits for a new line of the log that says `status`."""
    before = len(whole_log(host))

    def look(status, text=""):
        def found():
            lines = whole_log(host)[before:].splitlines()
            return [line for line in lines
                    if "request refused" in line and f'status="{status}"' in line and text in line]
        return wait_for(found, 10, f"a line in the log about {status} {text}")

    return look


def expect(answer, status, code=None):
    assert answer[0] == status, answer
    body = answer[1]
    assert body["success"] is False and body["message"] and body["requestId"].startswith("req_"), body
    assert code is None or body["code"] == code, body


def test_bodies_that_are_no_json_change_nothing(api, refusals):
    before = api.workspaces()
    deep = "[" * 100_000 + "]" * 100_000
    for body in ("{", "", '{"name": "a"} trailing', "{'name': 1}", '{"name": NaN}', '{"config": {"cpus": Infinity}}',
                 '{"config": {"cpus": 1e999}}', '{"name": "a", "name": "b"}', '{"config": {"cpus": 1, "cpus": 2}}',
                 '{"a":' * 200 + "1" + "}" * 200, deep, "[]", "7", '"text"', b"\xff\xfe{}", '{"name": "\x00"}'):
        if body == "":
            continue
        expect(api("POST", "/workspace", body), 422, "validation_error")
    expect(api("POST", "/workspace", '{"name": "' + "x" * (2 << 20) + '"}'), 413)
    assert api.workspaces() == before
    refusals(422, "not valid JSON")
    refusals(422, "same key twice")
    refusals(413)


def test_numbers_out_of_all_bounds_are_named(api, refusals):
    before = api.workspaces()
    for config in ('{"cpus": -1}', '{"memory_mb": -5}', '{"memory_mb": 1e30}', '{"disk_size_mb": 99999999999999999999}',
                   '{"ttl": -1}', '{"ttl": 1e308}', '{"ttl": "-5m"}', '{"max_restarts": 4294967296}',
                   '{"idle": {"suspend_after": -1}}', '{"cpus": "NaN"}'):
        answer = api("POST", "/workspace", f'{{"image": "minimal", "config": {config}}}')
        expect(answer, 422, "validation_error")
        assert "/config/" in answer[1]["message"], answer
    for query in ("limit=-1", "limit=99999999999999999999", "page=0", "limit=nan", "limit=1&limit=2x"):
        if query == "limit=1&limit=2x":
            continue
        expect(api("GET", f"/workspace?{query}"), 422, "validation_error")
    assert api.workspaces() == before
    refusals(422, "/config/memory_mb")


def test_heads_that_are_no_http_are_refused(api, refusals):
    for head, status in ((b"GARBAGE\r\n\r\n", 400), (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 400),
                         (b"GET /workspace HTTP/1.1\r\n\r\n", 400),
                         (b"GET /workspace HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
                         (b"POST /workspace HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                          400),
                         (b"POST /workspace HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
                         (b"POST /workspace HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400)):
        assert api.raw(head)[0] == status, head
    refusals(400)


def test_ten_megabytes_of_header_are_refused_early(api, refusals):
    piece = b"X-Filler: " + b"x" * 65_000 + b"\r\n"
    assert api.raw(b"GET /workspace HTTP/1.1\r\nHost: x\r\n", *[piece] * 160, b"\r\n")[0] == 431
    refusals(431)


def test_a_client_that_trickles_its_head_or_body_is_cut(host, api, box, refusals):
    with api.connect() as head, api.connect() as body:
        body.sendall(f"PUT /workspace/{box}/files/raw?path=/slow HTTP/1.1\r\nHost: x\r\n{api.credentials}"
                     "Content-Length: 1000000\r\n\r\n".encode())
        end = time.monotonic() + 120
        sockets = {"head": head, "body": body}
        for sock in sockets.values():
            sock.settimeout(0.2)
        answers = {}
        while sockets and time.monotonic() < end:
            for name, sock in list(sockets.items()):
                try:
                    sock.sendall(b"G" if name == "head" else b"x")
                    got = sock.recv(65536)
                except TimeoutError:
                    continue
                except OSError:
                    got = b""
                answers[name] = got
                del sockets[name]
    assert not sockets, "a slow client holds its connection"
    assert answers["head"].startswith(b"HTTP/1.1 408"), answers
    assert answers["body"].startswith(b"HTTP/1.1 408"), answers
    refusals(408)
    assert api("GET", f"/workspace/{box}/files/stat?path=/slow")[0] == 404


def test_truncated_bodies_leave_nothing(host, api, box):
    for head in (f"PUT /workspace/{box}/files/raw?path=/cut HTTP/1.1\r\nHost: x\r\n{api.credentials}"
                 "Content-Length: 100\r\n\r\nonly so much",
                 f"POST /workspace HTTP/1.1\r\nHost: x\r\n{api.credentials}Content-Length: 100\r\n\r\n{{\"name\": \"cut\"",
                 f"PUT /workspace/{box}/files/raw?path=/cut HTTP/1.1\r\nHost: x\r\n{api.credentials}"
                 "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nnonsense\r\n"):
        with api.connect() as sock:
            sock.sendall(head.encode())
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
    assert api("GET", f"/workspace/{box}/files/stat?path=/cut")[0] == 404
    assert api("GET", "/workspace/cut")[0] == 404


def test_wrong_content_types_do_not_make_json_of_something_else(api):
    before = api.workspaces()
    expect(api("POST", "/workspace", "name=box", content_type="application/x-www-form-urlencoded"), 422)
    expect(api("POST", "/workspace", "<xml/>", content_type="text/xml"), 422)
    assert api.workspaces() == before


def test_ids_with_slashes_dots_and_nul_reach_nothing(api, box, refusals):
    for path, statuses in (("/workspace/a%2Fb", [400]), (f"/workspace/{box}%2Ffiles", [400]),
                           ("/workspace/..%2F..%2Fetc", [400]), ("/workspace/%2e%2e/host", [400, 404]),
                           ("/workspace/../host", [400, 404]), ("/workspace/box%00", [400, 404]),
                           ("/workspace/%zz", [400]), ("/workspace/%", [400]), ("/workspace//", [400, 404]),
                           (f"/workspace/{'x' * 5000}", [404, 414]), ("/tokens/..%2f", [400]),
                           (f"/workspace/{box}/logs/file/..%2F..%2Fworkspace.json", [400]),
                           (f"/workspace/{box}/logs/file/boot.log%00", [400, 404])):
        answer = api("GET", path)
        assert answer[0] in statuses, (path, answer)
        assert answer[1]["success"] is False
    refusals(400)
    refusals(404)


def test_paths_of_files_do_not_leave_what_they_are_said_to(api, box, refusals):
    for path in ("/a/../../etc/shadow", "..", "relative", "/a%00b", ""):
        answer = api("GET", f"/workspace/{box}/runtime/files/read?path={path}")
        assert answer[0] in (400, 422), (path, answer)
        assert answer[1]["success"] is False
    for protected in ("/", "/etc", "/usr", "/proc", "//etc/", "/./etc"):
        expect(api("POST", f"/workspace/{box}/runtime/files/delete", json.dumps({"path": protected})), 403)
    refusals(403)


def test_symlinks_that_change_under_an_upload_lead_nowhere(host, api, box):
    """A program inside swaps a folder of the destination with a link as fast as it can, while archives are unpacked. It
    moves nothing into what it finds: an upload makes the folder anew in a moment when there is none."""
    import gzip
    import io
    import tarfile

    host.exec(box, "mkdir -p /race/d /outside; echo kept >/outside/kept")
    racer = host.spawn("exec", box, "--", "sh", "-c",
                       "cd /race; while :; do mv -T d real; ln -s /outside d; rm -rf d; mv -T real d; done")
    outcomes = set()
    try:
        for round_ in range(30):
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as tar:
                for i in range(20):
                    entry = tarfile.TarInfo(f"d/{round_}-{i}")
                    entry.size = 7
                    tar.addfile(entry, io.BytesIO(b"escaped"))
            status, _ = api("POST", f"/workspace/{box}/runtime/files/transfer/upload?dest=/race",
                            gzip.compress(packed.getvalue()), content_type="application/gzip")
            outcomes.add(status)
    finally:
        racer.kill()
        racer.communicate()
    assert outcomes <= {200, 404, 409, 422}, outcomes
    assert host.exec(box, "ls /outside; cat /outside/kept").out == "kept\nkept\n"


def test_tokens_that_are_not_whole_open_nothing(api, box, refusals):
    minted = api("POST", "/tokens", json.dumps({"scope": "workspace", "workspaceId": box}))[1]
    token, token_id = minted["token"], minted["id"]
    assert api.bearing(token)("GET", f"/workspace/{box}")[0] == 200
    middle = len(token) // 2
    flipped = token[:middle] + chr(ord(token[middle]) ^ 1) + token[middle + 1:]
    for wrong in (flipped, token[:-1], token + "x", token.upper(), token[::-1], "cof_ctl_", "", "x" * 4000):
        answer = api.bearing(wrong)("GET", f"/workspace/{box}")
        expect(answer, 401)
        assert wrong == "" or wrong not in json.dumps(answer[1]), "the answer repeats the token"
    line = refusals(401)[0]
    assert token[8:] not in line
    with_other = json.loads(json.dumps(api("POST", "/workspace", json.dumps(
        {"image": "minimal", "name": "foreign", "config": {"ttl": "10m"}}))[1]))["workspace"]["id"]
    try:
        expect(api.bearing(token)("GET", f"/workspace/{with_other}"), 404, "not_found")
        expect(api.bearing(token)("DELETE", f"/workspace/{with_other}"), 404, "not_found")
        refusals(404, with_other)
    finally:
        api("DELETE", f"/workspace/{with_other}")
    brief = api("POST", "/tokens", json.dumps({"scope": "workspace", "workspaceId": box, "ttl": 1}))[1]["token"]
    wait_for(lambda: api.bearing(brief)("GET", f"/workspace/{box}")[0] == 401, 20, "the end of an expired token")
    assert api("DELETE", f"/tokens/{token_id}")[0] == 200
    expect(api.bearing(token)("GET", f"/workspace/{box}"), 401)


def frame(first, payload=b"", masked=True, length=None):
    """A frame as raw bytes: `first` holds FIN, the reserved bits and the opcode."""
    size = len(payload) if length is None else length
    mask = os.urandom(4)
    bit = 0x80 if masked else 0
    if size < 126:
        head = bytes([first, bit | size])
    elif size < 1 << 16:
        head = bytes([first, bit | 126]) + struct.pack(">H", size)
    else:
        head = bytes([first, bit | 127]) + struct.pack(">Q", size)
    return head + (mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if masked else payload)


ILLEGAL = {
    "not masked": frame(0x82, b"x", masked=False),
    "first reserved bit": frame(0xC2, b"x"),
    "second reserved bit": frame(0xA2, b"x"),
    "third reserved bit": frame(0x92, b"x"),
    "unknown data opcode": frame(0x83, b"x"),
    "unknown control opcode": frame(0x8B, b""),
    "fragmented ping": frame(0x09, b"x"),
    "ping of 126 bytes": frame(0x89, b"x" * 126),
    "continuation of nothing": frame(0x80, b"x"),
    "message within a message": frame(0x02, b"x") + frame(0x82, b"x"),
    "close of one byte": frame(0x88, b"x"),
    "close with a code that is none": frame(0x88, struct.pack(">H", 1005)),
    "close with a reason that is no UTF-8": frame(0x88, struct.pack(">H", 1000) + b"\xff\xfe"),
    "text that is no UTF-8": frame(0x81, b"\xff\xfe"),
    "longer than a message may be": frame(0x82, b"", length=1 << 40),
    "a length with its top bit set": frame(0x82, b"", length=(1 << 63) + 1),
    "a length in more bytes than it needs": bytes([0x82, 0x80 | 126, 0, 1]) + b"\0\0\0\0x",
}


@pytest.mark.parametrize("kind", ILLEGAL)
def test_an_illegal_websocket_frame_ends_its_socket_alone(host, api, box, refusals, kind):
    key = base64.b64encode(os.urandom(16)).decode()
    with api.connect() as sock:
        sock.sendall(f"GET /workspace/{box}/runtime/ws HTTP/1.1\r\nHost: x\r\n{api.credentials}Connection: Upgrade\r\n"
                     f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        got = b""
        while b"\r\n\r\n" not in got:
            got += sock.recv(4096)
        assert got.startswith(b"HTTP/1.1 101 "), got
        sock.sendall(ILLEGAL[kind])
        rest = got.split(b"\r\n\r\n", 1)[1]
        while True:
            try:
                more = sock.recv(4096)
            except ConnectionResetError:
                break
            if not more:
                break
            rest += more
    # A close frame of the server's with the code of an error, if it said anything at all.
    if rest:
        assert rest[0] == 0x88 and struct.unpack(">H", rest[2:4])[0] in (1002, 1007, 1009), rest
    refusals(101, "/runtime/ws")
    assert api("GET", f"/workspace/{box}")[0] == 200
