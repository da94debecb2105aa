"""The servers of the test's internet (internet.py): DNS, HTTP and HTTPS on every address; logs what they hear."""

import base64
import http.server
import pathlib
import socket
import socketserver
import ssl
import struct
import sys
import threading

FOLDER = pathlib.Path(sys.argv[1])
SERVER, OTHER, INSIDE = "45.83.0.1", "45.83.0.9", "10.99.0.5"
NAMES = {"allowed.example": [SERVER], "www.allowed.example": [SERVER], "files.example": [SERVER], "other.example": [OTHER],
         "inside.example": [INSIDE], "metadata.example": ["169.254.169.254"], "loop.example": ["127.0.0.1"],
         "mixed.example": [INSIDE, SERVER], "proxy.example": [SERVER]}
LOGIN = "me:pass:word"  # of the proxy on port 3128
BLOB = b"x" * (8 << 20)
turns = {}
lock = threading.Lock()


def log(*words):
    with lock, open(FOLDER / "log", "a", encoding="utf-8") as file:
        file.write(" ".join(map(str, words)) + "\n")


def answer(packet):
    """One question, of type A; a name that is not known is NXDOMAIN."""
    number, flags = struct.unpack("!HH", packet[:4])
    at, labels = 12, []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("ascii", "replace"))
        at += packet[at] + 1
    kind = struct.unpack("!H", packet[at + 1:at + 3])[0]
    name = ".".join(labels).lower()
    log("dns", name, kind)
    addresses = NAMES.get(name)
    if name == "rebind.example":  # first a good address, then an inside one
        with lock:
            turns[name] = turns.get(name, 0) + 1
        addresses = [SERVER] if turns[name] == 1 else [INSIDE]
    question = packet[12:at + 5]
    if addresses is None:
        return struct.pack("!HHHHHH", number, 0x8183, 1, 0, 0, 0) + question
    records = b""
    if kind == 1:
        for address in addresses:
            records += b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(address)
    return struct.pack("!HHHHHH", number, 0x8180, 1, len(addresses) if kind == 1 else 0, 0, 0) + question + records


class Names(socketserver.BaseRequestHandler):
    def handle(self):
        packet, sock = self.request
        sock.sendto(answer(packet), self.client_address)


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
        here = self.connection.getsockname()[0]
        log("web", scheme, here, self.headers.get("Host", "-"), self.path)
        body, kind = f"hello from {here} as {self.headers.get('Host', '-')}\n".encode(), "text/plain"
        if self.path == "/blob":
            body = BLOB
        if self.path.startswith("/files/"):  # what a test has put there, and 404 for what it has not
            file = (FOLDER / "www" / self.path.partition("?")[0].lstrip("/")).resolve()
            file = file / "index.html" if file.is_dir() else file
            if not file.is_relative_to(FOLDER / "www") or not file.is_file():
                self.send_error(404)
                return
            body, kind = file.read_bytes(), "text/html" if file.suffix == ".html" else "application/octet-stream"
        if self.path.startswith("/redirect"):
            self.send_response(302)
            self.send_header("Location", f"http://{INSIDE}/secret")
        else:
            self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        """Takes whatever comes, and logs what fits a line; of much each MiB, and where it broke off."""
        length, first, taken = int(self.headers.get("Content-Length", "0")), b"", 0
        try:
            while taken < length and (piece := self.rfile.read1(min(length - taken, 65536))):
                first = first or piece
                if (taken + len(piece)) >> 20 > taken >> 20:
                    log("taken", self.path, (taken + len(piece)) >> 20, "MiB")
                taken += len(piece)
        except ConnectionError:
            pass
        if taken < length:
            log("broken off", self.path, taken)
            self.close_connection = True
            return
        log("posted", self.path, first[:4096].decode("utf-8", "replace").replace("\n", " "))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Proxy(socketserver.BaseRequestHandler):
    """An HTTP proxy that knows CONNECT, for who shows the login."""

    def handle(self):
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.request.recv(4096)
            if not more:
                return
            head += more
        line, *fields = head.decode().strip().split("\r\n")
        target = line.split()[1]
        shown = [base64.b64decode(f.split("Basic ")[1]).decode() for f in fields if f.startswith("Proxy-Authorization:")]
        log("proxy", target, *shown)
        if shown != [LOGIN]:
            self.request.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        host, port = target.rsplit(":", 1)
        with socket.create_connection((NAMES.get(host, [host])[0], int(port)), timeout=10) as far:
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=self.copy, args=(far, self.request), daemon=True)
            back.start()
            self.copy(self.request, far)
            back.join()

    @staticmethod
    def copy(source, target):
        try:
            while piece := source.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Proxies(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def main():
    for address in (SERVER, OTHER):
        threading.Thread(target=socketserver.ThreadingUDPServer((address, 53), Names).serve_forever, daemon=True).start()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(FOLDER / "cert.pem", FOLDER / "key.pem")
    for port in (80, 443, 8080):
        server = Server(("0.0.0.0", port), Web)
        if port == 443:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=Proxies((SERVER, 3128), Proxy).serve_forever, daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


main()
