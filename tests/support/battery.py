"""Runs inside a workspace, as root: one way around its network for each name. Prints what came back, or why nothing did."""

import os
import socket
import ssl
import struct
import sys
import time

GATEWAY = next(line.split()[1] for line in open("/etc/resolv.conf", encoding="ascii") if line.startswith("nameserver"))
OWN = None


def said(error):
    return "silence" if isinstance(error, (socket.timeout, TimeoutError)) else f"error {error}"


def tcp(address, port, data=b"", wait=3.0):
    """What a connection answers to the bytes."""
    try:
        with socket.create_connection((address, port), timeout=wait) as sock:
            sock.settimeout(wait)
            if data:
                sock.sendall(data)
            got = b""
            while piece := sock.recv(65536):
                got += piece
            return "closed " + got.decode("latin-1", "replace")
    except OSError as error:
        return said(error)


def udp(address, port, data, wait=2.0):
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(wait)
            sock.sendto(data, (address, port))
            return "answer " + sock.recv(4096).hex()
    except OSError as error:
        return said(error)


def query(name, kind=1):
    labels = b"".join(bytes([len(p)]) + p.encode() for p in name.split("."))
    return struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def ask(name, kind=1):
    """(rcode, number of answers) from the gate."""
    text = udp(GATEWAY, 53, query(name, kind))
    if not text.startswith("answer"):
        return text
    packet = bytes.fromhex(text.split()[1])
    return f"rcode {packet[3] & 15} answers {struct.unpack('!H', packet[6:8])[0]}"


def address_of(name):
    return socket.gethostbyname(name)


def hello(name):
    """A ClientHello with that SNI (none when empty)."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name or None)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def extended(data, extension):
    """A ClientHello in one record, with one more extension."""
    at = 5 + 4 + 2 + 32
    at += 1 + data[at]                                         # the session's id
    at += 2 + struct.unpack("!H", data[at:at + 2])[0]          # cipher suites
    at += 1 + data[at]                                         # compression
    more = len(extension)
    extensions = struct.unpack("!H", data[at:at + 2])[0] + more
    body = data[9:at] + struct.pack("!H", extensions) + data[at + 2:] + extension
    return data[:3] + struct.pack("!H", len(body) + 4) + data[5:6] + len(body).to_bytes(3, "big") + body


def handshake(address, data, pieces=1, pause=0.0):
    """Whether anything like a ServerHello comes back."""
    try:
        with socket.create_connection((address, 443), timeout=5) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(20)
            step = max(1, len(data) // pieces)
            for at in range(0, len(data), step):
                sock.sendall(data[at:at + step])
                time.sleep(pause)
            got = sock.recv(5)
            return "served" if got[:1] == b"\x16" else f"closed {got.hex()}"
    except OSError as error:
        return said(error)


def frames(payload, kind=0x0800, source=None, target=b"\xff" * 6):
    """Sends one Ethernet frame and listens for two seconds for any that is not our own. What the two kernels
    say to each other about hardware addresses, whenever what they know grows old, is no answer to anything but such a
    question."""
    own = bytes.fromhex(open("/sys/class/net/eth0/address", encoding="ascii").read().strip().replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sock:
        sock.bind(("eth0", 0))
        sock.settimeout(0.2)
        sock.send(target + (source or own) + struct.pack("!H", kind) + payload)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            try:
                frame = sock.recv(2048)
            except OSError:
                continue
            about_cards = frame[12:14] == b"\x08\x06" and (kind != 0x0806 or frame[20:22] == b"\x00\x01")
            if frame[6:12] not in (own, source) and not about_cards:
                return f"frame {frame[12:14].hex()} {frame[14:34].hex()}"
    return "silence"


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip(source, target, protocol, rest, flags=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(rest), 7, flags, 64, protocol, 0, socket.inet_aton(source),
                       socket.inet_aton(target))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + rest


def syn(source, target, port):
    part = struct.pack("!HHIIBBHHH", 40000, port, 1, 0, 0x50, 2, 1024, 0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!BBH", 0, 6, len(part))
    return part[:16] + struct.pack("!H", checksum(pseudo + part)) + part[18:]


def echo_request():
    part = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + b"x" * 8
    return part[:2] + struct.pack("!H", checksum(part)) + part[4:]


def gateway_card():
    for line in open("/proc/net/arp", encoding="ascii"):
        if line.startswith(GATEWAY + " "):
            return bytes.fromhex(line.split()[3].replace(":", ""))
    socket.create_connection((address_of("allowed.example"), 80), timeout=3).close()
    return gateway_card()


def own_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((GATEWAY, 53))
        return sock.getsockname()[0]


def scan(*targets):
    """address:port pairs, each with silence or what came."""
    out = []
    for target in targets:
        address, port = target.rsplit(":", 1)
        out.append(f"{target} {tcp(address, int(port), wait=1.0)}")
    return "\n".join(out)


def http(address, text, wait=3.0):
    return tcp(address, 80, text.replace("\n", "\r\n").encode(), wait)


def hold(name, path):
    """Keeps a connection open and asks once a second until it breaks; tells a file."""
    with socket.create_connection((address_of(name), 80), timeout=5) as sock, open(path, "w", encoding="ascii") as file:
        sock.settimeout(5)
        try:
            while True:
                sock.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
                if not sock.recv(4096):
                    raise OSError("closed")
                file.write("alive\n")
                file.flush()
                time.sleep(0.2)
        except OSError as error:
            file.write(f"broken {error}\n")
    return "over"


if __name__ == "__main__":
    print(eval(sys.argv[1]))  # pylint: disable=eval-used
    sys.stdout.flush()
    os._exit(0)
