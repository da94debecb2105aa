"""For tests inside a workspace: answers GET with 200, and a WebSocket with the path and what it was sent."""

import base64
import hashlib
import http.server
import sys

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        key = self.headers.get("Sec-WebSocket-Key")
        if key is None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")
            return
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode() + MAGIC).digest()).decode())
        self.end_headers()
        # One short masked frame is all that the test sends.
        length = self.rfile.read(2)[1] & 0x7F
        mask = self.rfile.read(4)
        sent = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self.rfile.read(length)))
        answer = self.path.encode() + b" " + sent
        self.wfile.write(bytes([0x81, len(answer)]) + answer)
        self.rfile.read(2)
        self.close_connection = True

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
