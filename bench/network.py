"""F30 and F31: a guest's way to a web server through the gate, beside the same guest on a plain TAP with NAT.

Both guests are workspaces of one daemon; the peer's namespace gets a wire of its own and masquerading by hand, as any
VM on a bridge has it. Fetches alternate, so that a slow minute is a slow minute for both. The server is the test's
internet (tests/support/internet.py), plain HTTP."""

import statistics
import subprocess
import time

import internet as nets
import traces

MEBIBYTES = 8
IMAGE = "debian-12"

# Prints the milliseconds of so many connections, each with one small request.
LATENCY = """
import socket, sys, time
address, count = sys.argv[1], int(sys.argv[2])
for _ in range(count):
    start = time.perf_counter()
    with socket.create_connection((address, 80), timeout=10) as sock:
        sock.sendall(b"GET / HTTP/1.1\\r\\nHost: allowed.example\\r\\nConnection: close\\r\\n\\r\\n")
        while sock.recv(65536):
            pass
    print((time.perf_counter() - start) * 1000)
"""


def shell(*lines):
    for line in lines:
        subprocess.run(line.split(), check=True, capture_output=True)


def plain_nat(daemon, net, workspace):
    """Gives a workspace's namespace a way out by NAT, and its guest an address."""
    machine = traces.machine_of(daemon.state, workspace)
    (vmm,) = [p.pid for p in daemon.vmms() if machine in p.cgroup]
    inside = f"nsenter --net=/proc/{vmm}/ns/net"
    host = f"ip -n {net.host}"
    shell(f"{inside} nft flush ruleset",  # the wall that nothing is opened in
          f"{host} link add nat0 type veth peer name out0 netns {vmm}",
          f"{host} addr add 45.84.0.1/30 dev nat0", f"{host} link set nat0 up",
          f"nsenter --net=/run/netns/{net.host} sysctl -qw net.ipv4.ip_forward=1",
          f"{inside} ip addr add 45.84.0.2/30 dev out0", f"{inside} ip link set out0 up",
          f"{inside} ip addr add 192.168.77.1/30 dev tap0", f"{inside} ip route add default via 45.84.0.1",
          f"{inside} sysctl -qw net.ipv4.ip_forward=1",
          f"{inside} nft add table ip nat", f"{inside} nft add chain ip nat out {{type nat hook postrouting priority 100;}}",
          f"{inside} nft add rule ip nat out oifname out0 masquerade",
          f"ip -n {net.world} route add 45.84.0.0/30 via {nets.HOST}")
    daemon.exec(workspace, "ip link set eth0 up; ip addr add 192.168.77.2/30 dev eth0; ip route add default via 192.168.77.1",
                "--user", "root")


def measure(table, accelerator, golden, runs):
    net = nets.Internet()
    daemon = nets.Networked(golden, net, "bytes_per_second: 0")
    try:
        daemon.up()
        ours = daemon.create("--ttl", "60m", "--allow", "allowed.example", image=IMAGE)
        peer = daemon.create("--ttl", "60m", image=IMAGE)
        plain_nat(daemon, net, peer)
        where = {ours: daemon.exec(ours, "getent ahostsv4 allowed.example | head -1 | cut -d ' ' -f 1").out.strip(),
                 peer: nets.SERVER}
        speeds, times = {ours: [], peer: []}, {ours: [], peer: []}
        for _ in range(max(5, runs // 3)):
            for name in (ours, peer):
                done = daemon.exec(name, f"curl -sS -o /dev/null -w '%{{size_download}} %{{speed_download}}' -H 'Host: allowed.example' "
                                   f"http://{where[name]}/blob", "--timeout", "80")
                size, speed = done.out.split()
                assert int(size) == MEBIBYTES << 20, done
                speeds[name].append(float(speed) / (1 << 20))
        for name in (ours, peer):
            daemon.exec(name, "cat >/tmp/latency.py", "-i", stdin=LATENCY.encode())
        for _ in range(3):
            for name in (ours, peer):
                done = daemon.exec(name, f"python3 /tmp/latency.py {where[name]} {runs}", "--timeout", "80")
                times[name] += [float(line) for line in done.out.split()]
                time.sleep(0.2)
        ratio = statistics.median(speeds[ours]) / statistics.median(speeds[peer])
        added = statistics.median(times[ours]) - statistics.median(times[peer])
        table.add("F30", "guest to a web server through the gate, of a plain TAP with NAT", f"{ratio:.2f}", "", ">= 0.7", "1.0",
                  accelerator, f"{statistics.median(speeds[ours]):.1f} of {statistics.median(speeds[peer]):.1f} MiB/s", ratio >= 0.7)
        table.add("F31", "added to one connection and request", f"{added:.2f}", "ms", "<= 1", "0.2", accelerator,
                  f"{statistics.median(times[ours]):.2f} beside {statistics.median(times[peer]):.2f} ms", added <= 1)
        return {"speeds": list(speeds.values()), "times": list(times.values())}
    finally:
        daemon.close()
        net.close()
