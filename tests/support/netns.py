"""Network namespaces of the tests' own, prepared as src/gate/README.md asks: an outside with servers, a host in which the
gate lives, and for each workspace a namespace with its gateway and one for its guest, joined as a TAP and a VM are."""

import contextlib
import ctypes
import os
import socket
import subprocess

CLONE_NEWNET = 0x40000000
IP_TRANSPARENT = 19
RELAY_PORT = 1024
SYNTHETIC = "198.18.0.0/16"
_libc = ctypes.CDLL(None, use_errno=True)


def _run(*argv, stdin=None):
    subprocess.run(argv, check=True, input=stdin, text=True, capture_output=True)


def _enter(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """One network namespace, for as long as this object is not closed."""

    def __init__(self, name):
        self.name = name
        _run("ip", "netns", "add", name)
        self.fd = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        self.ip("link", "set", "lo", "up")

    @contextlib.contextmanager
    def inside(self):
        """The calling thread is in the namespace; sockets made there stay in it."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(self.fd)
            try:
                yield self
            finally:
                _enter(here)
        finally:
            os.close(here)

    def ip(self, *argv):
        _run("ip", "-n", self.name, *argv)

    def nft(self, rules):
        _run("ip", "netns", "exec", self.name, "nft", "-f", "-", stdin=rules)

    def sysctl(self, **values):
        for name, value in values.items():
            _run("ip", "netns", "exec", self.name, "sysctl", "-qw", f"{name.replace('__', '.')}={value}")

    def socket(self, kind=socket.SOCK_STREAM, family=socket.AF_INET):
        with self.inside():
            return socket.socket(family, kind)

    def popen(self, argv, **options):
        with self.inside():
            return subprocess.Popen(argv, **options)

    def close(self):
        os.close(self.fd)
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


def join(one, one_name, one_address, other, other_name, other_address):
    """A veth pair, with addresses where given."""
    _run("ip", "link", "add", one_name, "netns", one.name, "type", "veth", "peer", "name", other_name, "netns", other.name)
    for space, name, address in ((one, one_name, one_address), (other, other_name, other_address)):
        if address:
            space.ip("addr", "add", address, "dev", name)
        space.ip("link", "set", name, "up")


class Workspace:
    """The two namespaces of a workspace: 10.64.0.(4n+1) is its gateway, 10.64.0.(4n+2) its guest."""

    def __init__(self, prefix, index, reach=(), inward=True):
        self.id = f"ws_{index}"
        self.gateway, self.guest_address = f"10.64.0.{4 * index + 1}", f"10.64.0.{4 * index + 2}"
        self.space = Namespace(f"{prefix}-w{index}")
        self.guest = Namespace(f"{prefix}-g{index}")
        join(self.space, "tap0", f"{self.gateway}/30", self.guest, "eth0", f"{self.guest_address}/30")
        self.guest.ip("route", "add", "default", "via", self.gateway)
        self.space.ip("route", "add", "local", "default", "dev", "lo")
        inwards = f"ip daddr {self.gateway} ct state established accept" if inward else ""
        self.space.nft(f"""
table ip gate {{
  set reach {{ type ipv4_addr . inet_service; flags interval; }}
  chain before {{
    type filter hook prerouting priority mangle; policy drop;
    iifname "lo" accept
    iifname "tap0" ip saddr != {self.guest_address} drop
    ip daddr {self.gateway} udp dport 53 accept
    ip daddr {self.gateway} tcp dport 53 accept
    ip daddr . tcp dport @reach tproxy to :{RELAY_PORT} accept
    {inwards}
  }}
  chain out {{
    type filter hook output priority filter; policy accept;
    meta l4proto icmp drop
  }}
}}""")
        self.set_reach(reach)

    def set_reach(self, reach):
        """(range, port) pairs."""
        rules = "flush set ip gate reach\n"
        for where, port in reach:
            rules += f"add element ip gate reach {{ {where} . {port} }}\n"
        self.space.nft(rules)

    def listening_sockets(self):
        with self.space.inside():
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind((self.gateway, 53))
            tcp, relay = socket.socket(), socket.socket()
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            relay.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind((self.gateway, 53))
            tcp.listen(64)
            relay.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
            relay.bind((self.gateway, RELAY_PORT))
            relay.listen(4096)
        return [udp, tcp, relay]

    def dial_sockets(self, count):
        with self.space.inside():
            return [socket.socket() for _ in range(count)]

    def close(self):
        self.guest.close()
        self.space.close()
