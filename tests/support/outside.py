"""The world a gate dials into: servers and a name server in a namespace of their own, all on threads of the test."""

import base64
import pathlib
import socket
import ssl
import struct
import subprocess
import threading


def certificate(folder):
    """A self-signed certificate and its key in one file."""
    path = pathlib.Path(folder) / "outside.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", str(path), "-out", str(path) + ".crt", "-days", "2", "-subj", "/CN=outside"],
                   check=True, capture_output=True)
    path.write_text(path.read_text() + pathlib.Path(str(path) + ".crt").read_text())
    return str(path)


class Server:
    """Accepts on every address of its namespace; `serve(connection)` runs on a thread for each connection."""

    def __init__(self, namespace, port, serve, address="0.0.0.0"):
        self.listener = namespace.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(512)
        self.serve = serve
        self.reached = []  # the addresses that clients dialled
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.reached.append(connection.getsockname()[0])
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            connection.settimeout(60)
            try:
                self.serve(connection)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept()
        self.listener.close()


class Http:
    """Keeps connections open and answers every request with the address it came to and what it asked."""

    def __init__(self):
        self.seen = []

    def __call__(self, connection):
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                more = connection.recv(65536)
                if not more:
                    return
                pending += more
            head, pending = pending.split(b"\r\n\r\n", 1)
            self.seen.append(head)
            if b"upgrade: websocket" in head.lower():
                if b"/refuse" not in head:
                    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
                    while more := connection.recv(65536):
                        connection.sendall(b"echo " + more)
                    return
            body = connection.getsockname()[0].encode() + b" " + head.split(b"\r\n")[0]
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class Tls:
    """Answers each connection with the address it came to and the name it was asked by."""

    def __init__(self, pem):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem)
        self.context.sni_callback = self._named
        self.names = []

    def _named(self, _socket, name, _context):
        self.names.append(name)

    def __call__(self, connection):
        with self.context.wrap_socket(connection, server_side=True) as tls:
            while line := tls.recv(65536):
                tls.sendall(tls.getsockname()[0].encode() + b" " + line)


def banner_first(connection):
    """Speaks first, as SSH does, then repeats what it hears."""
    connection.sendall(b"BANNER\n")
    while more := connection.recv(65536):
        connection.sendall(more)


class Proxy:
    """An HTTP proxy that knows CONNECT and reaches the outside of its namespace; with a `login` ("USER:PASSWORD") only for
    who shows it. `answer`: what it says instead, before it hangs up; `silent`: it says nothing at all."""

    def __init__(self, namespace, login=None):
        self.namespace, self.login = namespace, login
        self.asked, self.shown = [], []
        self.answer, self.silent = None, False

    def __call__(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(4096)
            if not more:
                return
            head += more
        line, *fields = head.decode().split("\r\n\r\n")[0].split("\r\n")
        target = line.split(" ")[1]
        self.asked.append(target)
        shown = [base64.b64decode(f.split("Basic ")[1]).decode() for f in fields if f.startswith("Proxy-Authorization:")]
        self.shown += shown
        if self.silent:
            connection.recv(1)
            return
        if self.answer is not None:
            connection.sendall(self.answer)
            return
        if self.login is not None and shown != [self.login]:
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n")
            return
        host, port = target.rsplit(":", 1)
        far = self.namespace.socket()
        try:
            far.connect((host if host[0].isdigit() else "45.1.0.1", int(port)))
        except OSError:
            connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            far.close()
            return
        with far:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=self._copy, args=(far, connection), daemon=True)
            back.start()
            self._copy(connection, far)
            back.join()

    @staticmethod
    def _copy(source, target):
        try:
            while more := source.recv(65536):
                target.sendall(more)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class NameServer:
    """`names`: name to a list of addresses of either family, or to a function that gives one. Asked for others, NXDOMAIN."""

    def __init__(self, namespace, address, names, ttl=1):
        self.names, self.ttl, self.asked = names, ttl, []
        self.socket = namespace.socket(socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                packet, sender = self.socket.recvfrom(1500)
            except OSError:
                return
            self.socket.sendto(self._answer(packet), sender)

    def _answer(self, packet):
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode().lower())
            at += 1 + packet[at]
        kind = struct.unpack(">H", packet[at + 1:at + 3])[0]
        question = packet[12:at + 5]
        name = ".".join(labels)
        self.asked.append(name)
        known = self.names.get(name)
        addresses = known(kind) if callable(known) else known
        family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
        records = [socket.inet_pton(family, a) for a in addresses or [] if family and (":" in a) == (kind == 28)]
        answer = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, self.ttl, len(raw)) + raw for raw in records)
        return packet[:2] + struct.pack(">HHHHH", 0x8180 | (0 if addresses is not None else 3), 1, len(records), 0, 0) + question + answer

    def close(self):
        self.socket.close()
