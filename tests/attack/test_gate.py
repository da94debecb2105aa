"""Every way around the gate that needs no VM, tried from a guest's namespace against the real coffer-gate."""

import contextlib
import os
import pathlib
import socket
import ssl
import threading
import time

import gate_client as gc
import gate_world
import pytest
from gate_world import (GOOD, HOST, INSIDE, LISTED, LOGIN, METADATA, OTHER, PROXY, Guest, default_policy, default_settings,
                        read_all, read_until)


@pytest.fixture(scope="module")
def outer():
    one = gate_world.World()
    yield one
    one.close()


@pytest.fixture
def world(outer):
    """A gate of its own for each test, with workspace A under the default policy."""
    outer.start_gate()
    outer.add(outer.a, default_policy())
    outer.rebound = [GOOD]
    for server in (outer.web, outer.secure, outer.raw, outer.hosts_own, outer.own_proxys_port):
        server.reached.clear()
    for seen in (outer.names.asked, outer.http.seen, outer.tls.names, outer.proxy.asked, outer.own_proxy.asked,
                 outer.own_proxy.shown):
        seen.clear()
    outer.own_proxy.answer, outer.own_proxy.silent = None, False
    yield outer
    outer.stop_gate()


@pytest.fixture
def guest(world):
    return Guest(world.a)


def request(host="good.example", line="GET / HTTP/1.1", more=""):
    return f"{line}\r\nHost: {host}\r\n{more}\r\n".encode()


def assert_nothing_arrived(world):
    assert world.web.reached == world.secure.reached == world.raw.reached == world.hosts_own.reached == []


def is_refused(connection):
    """Not one byte came back."""
    got, _how = read_all(connection)
    return got == b""


# -- what is allowed works ---------------------------------------------------------------------------------------------
def test_an_allowed_name_is_reached_over_tls_and_http(world, guest):
    with guest.tls("good.example") as tls:
        tls.sendall(b"hello")
        assert tls.recv(100) == f"{GOOD} hello".encode()
    assert world.tls.names == ["good.example"]
    with guest.dial("a.sub.example", 80) as plain:
        plain.sendall(request("a.sub.example"))
        assert f"{OTHER} GET".encode() in plain.recv(1000)
    opened = world.gate.record(event="opened", name="good.example")
    assert (opened.kind, opened.address, opened.port, opened.peer) == ("egress", GOOD, 443, "good.example")
    closed = world.gate.record(event="closed", name="good.example")
    assert closed.flow == opened.flow and closed.bytes_out > 5 and closed.bytes_in > 5 and closed.duration_us > 0
    plain = world.gate.record(event="closed", name="a.sub.example")
    counters = world.gate.query("ws_0")["ws_0"]
    assert counters["opened"] == 2 and counters["dns_answered"] == 2 and counters["refused"] == 0
    # What the gate looked at before it dialled is counted with the rest.
    assert counters["bytes_out"] == closed.bytes_out + plain.bytes_out
    assert counters["bytes_in"] == closed.bytes_in + plain.bytes_in


def test_bytes_arrive_unchanged_both_ways_in_bulk(world, guest):
    payload = os.urandom(3 << 20)
    with guest.connect(LISTED, 9000) as raw:
        assert read_until(raw, b"BANNER\n") == b"BANNER\n"
        sender = threading.Thread(target=lambda: (raw.sendall(payload), raw.shutdown(socket.SHUT_WR)))
        sender.start()
        got, how = read_all(raw)
        sender.join()
    assert got == payload and how == "end"
    closed = world.gate.record(event="closed", address=LISTED)
    assert (closed.bytes_out, closed.bytes_in) == (len(payload), len(payload) + len(b"BANNER\n"))


def test_a_server_that_speaks_first_is_heard_where_nothing_is_required(world, guest):
    with guest.dial("raw.example", 9000) as raw:
        assert read_until(raw, b"BANNER\n") == b"BANNER\n"


# -- addresses instead of names ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("literal", [GOOD, "755040257", "0x2d.1.0.1", "055.01.0.01", "45.65537", "0x2d010001"])
def test_ip_literals_in_every_spelling_are_silence(world, guest, literal):
    address = socket.inet_ntoa(socket.inet_aton(literal))  # what the C library of a guest makes of it
    assert address == GOOD
    with pytest.raises(TimeoutError):
        guest.connect(address, 443, timeout=0.5)
    assert_nothing_arrived(world)


def test_a_v4_mapped_literal_goes_nowhere(world, guest):
    with guest.space.socket(family=socket.AF_INET6) as six:
        six.settimeout(0.5)
        with pytest.raises(OSError):
            six.connect((f"::ffff:{GOOD}", 443))
    assert_nothing_arrived(world)


@pytest.mark.parametrize("address", [HOST, "45.0.0.2", INSIDE, METADATA, "127.0.0.1", "10.64.0.5", "10.64.0.6", "10.64.0.255"])
def test_host_neighbours_and_metadata_are_silence(world, guest, address):
    for port in (22, 80, 443, 5432):
        with pytest.raises((TimeoutError, ConnectionRefusedError)) as failure:
            guest.connect(address, port, timeout=0.3)
        assert failure.type is TimeoutError or address == "127.0.0.1"  # the guest's own loopback answers for itself
    assert_nothing_arrived(world)


def test_the_gateway_has_nothing_but_dns(world, guest):
    for port in (1, 22, 80, 443, 1024, 8080):
        with pytest.raises(TimeoutError):
            guest.connect(world.a.gateway, port, timeout=0.3)


def test_a_synthetic_address_that_was_never_given_out_is_refused(world, guest):
    assert guest.is_refused("198.18.77.77", 443)
    assert world.gate.record(event="refused", address="198.18.77.77").reason == "not_allowed"


def test_a_port_that_is_not_allowed_for_the_name_is_refused(world, guest):
    assert guest.is_refused(guest.address_of("good.example"), 9000)
    assert world.gate.record(event="refused", name="good.example").reason == "not_allowed"
    assert_nothing_arrived(world)


# -- names ---------------------------------------------------------------------------------------------------------------
def test_other_names_do_not_exist_and_nobody_is_asked(world, guest):
    for name in ("evil.example", "good.example.evil.example", "sub.example", "xgood.example"):
        assert guest.resolve(name) == (3, [])
        assert world.gate.record(kind="dns", name=name).reason == "dns_name"
    assert world.names.asked == []


def test_an_own_dns_server_is_not_reached(world, guest):
    assert guest.ask(guest.question("good.example"), server=gate_world.RESOLVER) is None
    with pytest.raises(TimeoutError):
        guest.connect(gate_world.RESOLVER, 53, timeout=0.5)
    assert world.names.asked == []


def test_dns_tunnelling_carries_nothing_out(world, guest):
    for i in range(50):
        secret = ".".join([f"{i:03}" + "x" * 57] * 3)
        assert guest.resolve(f"{secret}.evil.example") == (3, [])
        # Below an allowed suffix the name gets an address, and still nobody is asked before a connection is made.
        assert guest.resolve(f"{secret}.sub.example")[0] == 0
    assert world.names.asked == []
    assert world.gate.query("ws_0")["ws_0"]["dns_refused"] == 50


@pytest.mark.parametrize("kind", [16, 10, 15, 33, 12, 255, 252, 5, 2])
def test_txt_null_and_other_types_are_refused(world, guest, kind):
    assert guest.resolve("good.example", kind) == (3, [])
    assert world.gate.record(kind="dns", name="good.example").reason == "dns_type"


def test_ipv6_and_https_records_are_empty(world, guest):
    for kind in (28, 64, 65):
        answer = guest.ask(guest.question("good.example", kind))
        assert answer[3] & 15 == 0 and answer[6:8] == b"\0\0"


def test_malformed_dns_is_silence(world, guest):
    good = guest.question("good.example")
    for packet in (b"", b"\0", good[:-1], good + b"x", good[:12] + b"\xc0\x0c\0\1\0\1", b"\xff" * 512, os.urandom(1400)):
        assert guest.ask(packet) is None
    assert guest.resolve("good.example")[0] == 0


def test_dns_over_tcp_obeys_the_same_rules(world, guest):
    def ask(one, name):
        packet = guest.question(name)
        one.sendall(len(packet).to_bytes(2, "big") + packet)
        size = int.from_bytes(one.recv(2, socket.MSG_WAITALL), "big")
        return one.recv(size, socket.MSG_WAITALL)[3] & 15
    with guest.connect(world.a.gateway, 53) as one:
        assert [ask(one, "good.example"), ask(one, "evil.example")] == [0, 3]
        one.sendall(b"\xff\xff")
        assert is_refused(one)


def test_too_many_questions_are_silence(world, guest):
    world.gate.set_policy("ws_0", default_policy(2, dns_per_second=5))
    codes = [guest.ask(guest.question("good.example")) for _ in range(7)]
    assert None in codes
    assert world.gate.record(kind="dns").reason == "dns_rate"


# -- where a name leads --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["inside.example", "metadata.example", "loopback.example", "own.example", "mapped.example",
                                  "nat64.example", "six.example", "denied-address.example"])
def test_a_name_that_leads_inside_is_not_dialled(world, guest, name):
    with guest.dial(name, 80) as one:
        one.sendall(request(name))
        assert is_refused(one)
    assert world.gate.record(event="refused", name=name).reason == "forbidden_address"
    assert_nothing_arrived(world)


def test_of_a_name_with_many_addresses_only_outside_ones_are_dialled(world, guest):
    with guest.dial("mixed.example", 80) as one:
        one.sendall(request("mixed.example"))
        assert f"{GOOD} GET".encode() in one.recv(1000)
    assert set(world.web.reached) == {GOOD}


def test_a_rebinding_server_gains_nothing(world, guest):
    for answers, expected in (([GOOD], GOOD), ([INSIDE], None), ([METADATA, "127.0.0.1"], None)):
        world.rebound = answers
        time.sleep(1.1)  # the last answer's life
        with guest.dial("rebind.example", 80) as one:
            one.sendall(request("rebind.example"))
            got, _how = (one.recv(1000), None) if expected else read_all(one)
        assert (f"{expected} GET".encode() in got) if expected else got == b""
    assert set(world.web.reached) == {GOOD}


def test_a_redirect_inwards_leads_nowhere(world, guest):
    # Following "Location: http://169.254.169.254/" or "http://inside.example/" is dialling that.
    with pytest.raises(TimeoutError):
        guest.connect(METADATA, 80, timeout=0.5)
    with guest.dial("inside.example", 80) as one:
        one.sendall(request("inside.example"))
        assert is_refused(one)
    assert_nothing_arrived(world)


def test_the_operators_list_is_above_the_policy(world, guest):
    assert guest.resolve("x.banned.example") == (3, [])
    assert world.gate.record(kind="dns", name="x.banned.example").reason == "denied_by_operator"
    with guest.connect(LISTED, 443) as one:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with pytest.raises(OSError):
            context.wrap_socket(one, server_hostname="x.banned.example")
    assert world.gate.record(event="refused", address=LISTED).reason == "denied_by_operator"


# -- TLS -----------------------------------------------------------------------------------------------------------------
def hello(sni=None, extra=b"", records=None):
    """A ClientHello; `extra`: more extensions; `records`: bytes of each record."""
    def sized(width, raw):
        return len(raw).to_bytes(width, "big") + raw
    extensions = extra
    if sni is not None:
        extensions += b"\0\0" + sized(2, sized(2, b"\0" + sized(2, sni.encode())))
    body = b"\3\3" + b"r" * 32 + sized(1, b"") + sized(2, b"\x13\x01") + sized(1, b"\0") + sized(2, extensions)
    message = b"\1" + sized(3, body)
    size = records or len(message)
    return b"".join(b"\x16\3\1" + sized(2, message[i:i + size]) for i in range(0, len(message), size))


def refusal_of(world, guest, raw, name="good.example"):
    with guest.dial(name, 443) as one:
        one.sendall(raw)
        assert is_refused(one)
    assert world.secure.reached == []
    return world.gate.record(event="refused", name=name).reason


def test_sni_of_another_allowed_host_is_refused(world, guest):
    with pytest.raises(OSError):
        guest.tls("good.example", sni="other.example")
    refused = world.gate.record(event="refused", name="good.example")
    assert (refused.reason, refused.peer) == ("sni_mismatch", "other.example")
    assert_nothing_arrived(world)


def test_an_etc_hosts_entry_does_not_move_a_name(world, guest):
    # The guest says that good.example lies at other.example's address: the gate goes by the address it gave for a name.
    with pytest.raises(OSError):
        guest.tls("good.example", sni="good.example", address=guest.address_of("other.example"))
    assert world.gate.record(event="refused").reason == "sni_mismatch"
    with pytest.raises(TimeoutError):
        guest.connect(GOOD, 443, timeout=0.5)
    assert_nothing_arrived(world)


def test_domain_fronting_by_sni_is_refused_and_the_destination_is_ours(world, guest):
    # The front's name in the SNI, another inside: with the front's address the bytes do go to the front, to no other.
    with guest.tls("good.example") as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert tls.recv(1000).startswith(GOOD.encode())
    assert set(world.secure.reached) == {GOOD}
    assert refusal_of_second_front(world, guest) == "sni_mismatch"


def refusal_of_second_front(world, guest):
    world.secure.reached.clear()
    return refusal_of(world, guest, hello("evil.example"), name="other.example")


def test_no_sni_is_refused(world, guest):
    assert refusal_of(world, guest, hello()) == "no_sni"


def test_ech_is_refused_where_strict_is_asked(world, guest):
    ech = b"\xfe\x0d\0\4\0\1\2\3"
    assert refusal_of(world, guest, hello("strict.example", ech), name="strict.example") == "ech"
    with guest.dial("good.example", 443) as one:  # not strict: the name outside is held to, as documented
        one.sendall(hello("good.example", ech))
        read_all(one)
    assert world.gate.record(event="opened", name="good.example").peer == "good.example"


def test_a_client_hello_in_many_segments_is_put_together(world, guest):
    for raw, reason in ((hello("good.example", records=20), None), (hello("evil.example", records=3), "sni_mismatch")):
        with guest.dial("good.example", 443) as one:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(raw)):
                one.sendall(raw[i:i + 1])
            read_all(one)  # refused by the gate, or by the server, to whom this is no whole handshake
        record = world.gate.record(event="refused" if reason else "opened", name="good.example")
        assert (record.reason, record.peer) == (reason or "none", "evil.example" if reason else "good.example")
    assert len(world.secure.reached) == 1


def test_an_oversized_client_hello_is_refused(world, guest):
    padding = b"\0\x15" + (15_000).to_bytes(2, "big") + bytes(15_000)
    assert refusal_of(world, guest, hello("good.example", padding * 2, records=16_000)) == "bad_tls"
    assert refusal_of(world, guest, b"\x16\3\1\x40\0\1\0\xff\xff" + bytes(16_000)) == "bad_tls"


def test_malformed_tls_is_refused(world, guest):
    good = hello("good.example")
    for raw in (b"\x16\3\1\0\0", b"\x16\xff\xff\0\x10", good[:5] + b"\2" + good[6:], hello("good.example.")):
        assert refusal_of(world, guest, raw) == "bad_tls"


@pytest.mark.parametrize("first", [b"SSH-2.0-x\r\n", b"\x13BitTorrent protocol", b"\0\0\0\x08\x04\xd2\x16\x2f", b"\x05\x01\x00",
                                   b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_another_protocol_on_443_is_refused(world, guest, first):
    reason = refusal_of(world, guest, first)
    assert reason in ("wrong_protocol", "bad_http", "head_deadline"), reason


def test_a_slow_drip_ends_at_the_deadline(world, guest):
    with guest.dial("good.example", 443) as one:
        raw = hello("good.example", b"\0\x15\x04\0" + bytes(1024))
        with pytest.raises(OSError):
            for i in range(100):
                one.sendall(raw[i:i + 1])
                time.sleep(0.1)
    assert world.gate.record(event="refused").reason == "head_deadline"
    with guest.dial("good.example", 80) as one:  # on a kept connection just as well
        one.sendall(request() + b"GET / HT")
        got, _how = read_all(one)
        assert got.count(b"HTTP/1.1 200") == 1
    assert world.gate.record(event="closed").reason == "head_deadline"


def test_doh_to_an_unlisted_host_is_not_reached(world, guest):
    assert guest.resolve("dns.google") == (3, [])
    with pytest.raises(TimeoutError):
        guest.connect("8.8.8.8", 443, timeout=0.5)
    with pytest.raises(TimeoutError):
        guest.connect("8.8.8.8", 853, timeout=0.5)
    assert refusal_of(world, guest, hello("dns.google")) == "sni_mismatch"


def test_udp_443_is_silence(world, guest):
    with guest.socket(socket.SOCK_DGRAM) as one:
        one.settimeout(0.5)
        one.connect((guest.address_of("good.example"), 443))
        one.send(b"\xc0\0\0\0\1" + bytes(1200))
        with pytest.raises(TimeoutError):
            one.recv(100)


# -- HTTP ----------------------------------------------------------------------------------------------------------------
SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: evil.example\r\n\r\n"
SMUGGLERS = {
    "cl_te": request(line="POST / HTTP/1.1", more=f"Content-Length: {len(SMUGGLED) + 5}\r\nTransfer-Encoding: chunked\r\n") + b"0\r\n\r\n" + SMUGGLED.encode(),
    "te_te": request(line="POST / HTTP/1.1", more="Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n") + b"0\r\n\r\n" + SMUGGLED.encode(),
    "two_lengths": request(line="POST / HTTP/1.1", more=f"Content-Length: 0\r\nContent-Length: {len(SMUGGLED)}\r\n") + SMUGGLED.encode(),
    "obs_fold": request(more=" Host: evil.example\r\n"),
    "bare_lf": b"GET / HTTP/1.1\nHost: good.example\n\n",
    "bare_lf_inside": b"GET / HTTP/1.1\r\nX: y\nHost: evil.example\r\nHost: good.example\r\n\r\n",
    "two_hosts": request(more="Host: evil.example\r\n"),
    "space_before_colon": b"GET / HTTP/1.1\r\nHost : good.example\r\n\r\n",
    "absolute_form": request(line="GET http://evil.example/ HTTP/1.1"),
    "connect": request("good.example:443", line="CONNECT evil.example:443 HTTP/1.1"),
    "no_host": b"GET / HTTP/1.1\r\n\r\n",
    "upgrade": request(more="Connection: upgrade\r\nUpgrade: h2c\r\n"),
    "nul": b"GET / HTTP/1.1\r\nHost: good.example\0.evil.example\r\n\r\n",
}


@pytest.mark.parametrize("raw", SMUGGLERS.values(), ids=SMUGGLERS.keys())
def test_request_smuggling_is_refused(world, guest, raw):
    with guest.dial("good.example", 80) as one:
        one.sendall(raw)
        assert is_refused(one)
    assert world.gate.record(event="refused", name="good.example").reason == "bad_http"
    assert world.http.seen == []


def test_chunk_smuggling_is_cut_where_it_begins(world, guest):
    with guest.dial("good.example", 80) as one:
        one.sendall(request(line="POST / HTTP/1.1", more="Transfer-Encoding: chunked\r\n") + b"1;x=\n\r\nz\r\n0\r\n\r\n" + SMUGGLED.encode())
        read_all(one)
    assert world.gate.record(event="closed", name="good.example").reason == "bad_http"
    assert all(b"smuggled" not in head for head in world.http.seen)


def test_another_host_on_a_kept_connection_is_cut(world, guest):
    with guest.dial("good.example", 80) as one:
        one.sendall(request())
        assert b"200 OK" in one.recv(1000)
        one.sendall(request("evil.example"))
        assert is_refused(one)
    closed = world.gate.record(event="closed", name="good.example")
    assert (closed.reason, closed.peer) == ("host_mismatch", "evil.example")
    assert len(world.http.seen) == 1


def test_another_host_in_the_first_request_is_refused(world, guest):
    with guest.dial("good.example", 80) as one:
        one.sendall(request("other.example"))
        assert is_refused(one)
    assert world.gate.record(event="refused", name="good.example").reason == "host_mismatch"
    assert_nothing_arrived(world)


def test_an_upgrade_is_a_tunnel_only_where_it_is_allowed_and_accepted(world, guest):
    upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n"
    with guest.dial("web.example", 80) as one:
        one.sendall(request("web.example", more=upgrade) + b"\x81\x05frame")
        got = read_until(one, b"frame")
        assert b"101" in got and b"echo \x81\x05frame" in got
        one.sendall(b"not http at all")
        assert b"not http at all" in read_until(one, b"all")
    with guest.dial("web.example", 80) as one:  # the server declines: it goes on being HTTP, and looked at
        one.sendall(request("web.example", "GET /refuse HTTP/1.1", upgrade) + request("evil.example"))
        got, _how = read_all(one)
        assert b"evil" not in got
    assert world.gate.record(event="closed", reason="host_mismatch").peer == "evil.example"


# -- changes, cuts, limits -----------------------------------------------------------------------------------------------
def test_flows_opened_before_a_policy_change_are_cut_and_others_live(world, guest):
    with guest.dial("good.example", 80) as good, guest.dial("other.example", 80) as other, guest.connect(LISTED, 9000) as raw:
        for one, name in ((good, "good.example"), (other, "other.example")):
            one.sendall(request(name))
            assert b"200 OK" in one.recv(1000)
        read_until(raw, b"BANNER\n")
        assert world.gate.set_policy("ws_0", default_policy(2, names=[gc.name_rule("other.example")])) == 1
        assert read_all(good) == (b"", "reset")
        other.sendall(request("other.example"))
        assert b"200 OK" in other.recv(1000)
        raw.sendall(b"still here")
        assert read_until(raw, b"here") == b"still here"
    assert world.gate.record(event="closed", name="good.example").reason == "policy_changed"
    assert guest.resolve("good.example") == (3, [])


def test_a_stricter_rule_cuts_what_was_not_looked_at(world, guest):
    world.gate.set_policy("ws_0", default_policy(2, names=[gc.name_rule("raw.example", [80], inspect=gc.RAW)]))
    with guest.dial("raw.example", 80) as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: whatever\r\n\r\n")
        assert b"200 OK" in one.recv(1000)
        assert world.gate.set_policy("ws_0", default_policy(3, names=[gc.name_rule("raw.example", [80])])) == 1
        assert read_all(one) == (b"", "reset")


def test_an_older_policy_is_refused(world):
    world.gate.set_policy("ws_0", default_policy(5))
    with pytest.raises(gc.Refused):
        world.gate.set_policy("ws_0", default_policy(4))


def test_the_operators_change_cuts_flows_too(world, guest):
    with guest.dial("good.example", 80) as one:
        one.sendall(request())
        assert b"200 OK" in one.recv(1000)
        assert world.gate.change_settings(default_settings(denied_names=["good.example"])) == 1
        assert read_all(one) == (b"", "reset")
    assert world.gate.record(event="closed").reason == "denied_by_operator"


def test_containment_closes_everything_until_it_is_lifted(world, guest):
    with guest.connect(LISTED, 9000) as raw:
        read_until(raw, b"BANNER\n")
        assert world.gate.cut("ws_0", contain=True) == 1
        assert read_all(raw) == (b"", "reset")
    assert guest.resolve("good.example") == (None, [])
    world.gate.set_policy("ws_0", default_policy(2))
    assert guest.is_refused(LISTED, 9000)
    assert world.gate.record(event="refused").reason == "contained"
    world.gate.release("ws_0")
    with guest.connect(LISTED, 9000) as raw:
        assert read_until(raw, b"BANNER\n")


def test_connection_limits_hold(world, guest):
    world.gate.set_policy("ws_0", default_policy(2, connections=2))
    with guest.connect(LISTED, 9000) as one, guest.connect(LISTED, 9000) as two:
        read_until(one, b"BANNER\n")
        read_until(two, b"BANNER\n")
        assert guest.is_refused(LISTED, 9000)
    assert world.gate.record(event="refused").reason == "connection_limit"
    world.gate.set_policy("ws_0", default_policy(3, connections_per_second=1))
    for _ in range(3):
        with contextlib.suppress(ConnectionResetError):
            guest.connect(LISTED, 9000).close()
    assert world.gate.record(event="refused").reason == "connection_rate"


def test_the_byte_rate_holds(world, guest):
    rate = 400_000
    world.gate.set_policy("ws_0", default_policy(2, bytes_per_second=rate))
    with guest.connect(LISTED, 9000) as raw:
        read_until(raw, b"BANNER\n")
        sender = threading.Thread(target=raw.sendall, args=(bytes(rate),))
        start = time.monotonic()
        sender.start()
        got = 0
        while got < rate:
            got += len(raw.recv(65536))
        took = time.monotonic() - start
        sender.join()
    assert took > 0.8  # both ways are counted, and one second's worth may go at once


def test_a_flood_is_sampled_and_what_was_left_out_is_counted(world, guest):
    asked = 4000
    packet = guest.question("evil.example")
    with guest.socket(socket.SOCK_DGRAM) as one:
        one.connect((world.a.gateway, 53))
        for i in range(asked):
            one.send(packet)
            if i % 20 == 19:
                for _ in range(20):
                    one.recv(1000)
    world.gate.wait(lambda: len(world.gate.records) + world.gate.omitted.get("ws_0", 0) >= asked, "every refusal")
    assert world.gate.omitted["ws_0"] > 0
    assert world.gate.query("ws_0")["ws_0"]["dns_refused"] == asked


# -- links and ingress ---------------------------------------------------------------------------------------------------
@pytest.fixture
def linked(world):
    """B with a server at 5432, and A with a link to it."""
    world.add(world.b, default_policy())
    by_id = {world.a.id: world.a, world.b.id: world.b}

    def give(workspace, count):
        sockets = by_id[workspace].dial_sockets(count)
        world.gate.add_sockets(workspace, sockets)
        for one in sockets:
            one.close()
    world.gate.on_need_sockets = give
    server = gate_world.outside.Server(world.b.guest, 5432, gate_world.outside.banner_first)
    give(world.b.id, 2)
    world.a.set_reach([*world.reach, (world.b.guest_address, 5432)])
    world.gate.set_policy("ws_0", default_policy(2, links=[gc.link("b.internal", world.b.guest_address, [5432], "ws_1")]))
    yield server
    server.close()
    world.a.set_reach(world.reach)


def test_a_link_is_dialled_one_way_by_name_and_address(world, guest, linked):
    assert guest.resolve("b.internal") == (0, [world.b.guest_address])
    for _ in range(6):  # more than sockets were sent ahead
        with guest.connect(world.b.guest_address, 5432) as one:
            world.gate.wait(lambda: any(r.kind == "link" and r.event == "opened" for r in world.gate.records), "the link")
            assert read_until(one, b"BANNER\n") == b"BANNER\n"
        world.gate.record(kind="link", event="closed")
        world.gate.record(kind="link", event="opened")
    other = Guest(world.b)
    assert other.resolve("a.internal") == (3, [])
    with pytest.raises(TimeoutError):
        other.connect(world.a.guest_address, 5432, timeout=0.5)


def test_a_link_that_is_taken_away_is_cut(world, guest, linked):
    with guest.connect(world.b.guest_address, 5432) as one:
        world.gate.record(kind="link", event="opened")
        read_until(one, b"BANNER\n")
        assert world.gate.set_policy("ws_0", default_policy(3)) == 1
        assert read_all(one) == (b"", "reset")


def test_containing_the_target_cuts_the_link_from_the_other_end(world, guest, linked):
    with guest.connect(world.b.guest_address, 5432) as one:
        world.gate.record(kind="link", event="opened")
        read_until(one, b"BANNER\n")
        assert world.gate.cut("ws_1", contain=True) == 1
        assert read_all(one) == (b"", "reset")
    assert guest.is_refused(world.b.guest_address, 5432)
    assert world.gate.record(kind="link", event="refused").reason == "target_gone"


def test_removing_the_target_ends_the_link(world, guest, linked):
    with guest.connect(world.b.guest_address, 5432) as one:
        world.gate.record(kind="link", event="opened")
        read_until(one, b"BANNER\n")
        assert world.gate.remove("ws_1") == 1
        assert read_all(one) == (b"", "reset")


def test_ingress_reaches_exposed_ports_only(world, linked):
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(gc.Refused):
        world.gate.ingress("ws_1", 5432, theirs)
    world.gate.set_policy("ws_1", default_policy(2, exposed=[5432]))
    ours, theirs = socket.socketpair()
    with ours:
        world.gate.ingress("ws_1", 5432, theirs)
        theirs.close()
        ours.settimeout(5)
        read_until(ours, b"BANNER\n")
        ours.sendall(b"through")
        assert read_until(ours, b"through") == b"through"
        opened = world.gate.record(kind="ingress", event="opened")
        assert (opened.address, opened.port, opened.peer) == (world.b.guest_address, 5432, "tester")
        assert world.gate.set_policy("ws_1", default_policy(3)) == 1
        assert ours.recv(10) == b""
    closed = world.gate.record(kind="ingress", event="closed")
    assert (closed.bytes_in, closed.bytes_out) == (7, 7 + 7)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(gc.Refused):
        world.gate.ingress("ws_1", 81, theirs, forwarded=True)  # nothing listens there


# -- the upstream proxy --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("by_name", [False, True])
def test_through_a_proxy_the_same_rules_hold(world, guest, by_name):
    world.gate.change_settings(default_settings(proxy=(PROXY, 3128, by_name, "")))
    with guest.tls("good.example") as tls:
        tls.sendall(b"hello")
        assert tls.recv(100) == f"{GOOD} hello".encode()
    assert world.proxy.asked == ["good.example:443" if by_name else f"{GOOD}:443"]
    assert world.gate.record(event="opened", name="good.example").via == "operator"
    with guest.dial("raw.example", 9000) as raw:
        assert read_until(raw, b"BANNER\n") == b"BANNER\n"
    with pytest.raises(OSError):
        guest.tls("good.example", sni="other.example")
    if not by_name:
        with guest.dial("inside.example", 80) as one:
            one.sendall(request("inside.example"))
            assert is_refused(one)
    assert INSIDE not in world.web.reached


def own_proxy(host="proxy.example", port=3129, by_name=False, login=LOGIN):
    return host, port, by_name, login


@pytest.mark.parametrize("by_name", [False, True])
def test_a_workspaces_own_proxy_is_shown_its_login_and_the_same_rules_hold(world, guest, by_name):
    world.gate.set_policy("ws_0", default_policy(2, proxy=own_proxy(by_name=by_name)))
    with guest.tls("good.example") as tls:
        tls.sendall(b"hello")
        assert tls.recv(100) == f"{GOOD} hello".encode()
    assert world.own_proxy.asked == ["good.example:443" if by_name else f"{GOOD}:443"]
    assert world.own_proxy.shown == [LOGIN]
    opened = world.gate.record(kind="egress", event="opened", name="good.example")
    assert opened.address == ("" if by_name else GOOD)  # what the proxy chose is not known here
    assert opened.via == "proxy.example:3129"
    with guest.dial("raw.example", 9000) as raw:  # the first bytes are the server's, right behind the proxy's answer
        assert read_until(raw, b"BANNER\n") == b"BANNER\n"
    world.own_proxy.asked.clear()
    with pytest.raises(OSError):
        guest.tls("good.example", sni="other.example")
    with guest.dial("good.example", 80) as one:
        one.sendall(request("other.example"))
        assert is_refused(one)
    assert guest.resolve("unlisted.example")[0] == 3
    assert world.own_proxy.asked == [] and "unlisted.example" not in world.names.asked


@pytest.mark.parametrize("by_name", [False, True])
def test_private_destinations_are_not_asked_of_a_proxy(world, guest, by_name):
    world.a.set_reach([*world.reach, (INSIDE, 80), (METADATA, 80)])
    try:
        ranges = [gc.range_rule(f"{address}/32", [80]) for address in (INSIDE, METADATA)]
        world.gate.set_policy("ws_0", default_policy(2, ranges=ranges, proxy=own_proxy(by_name=by_name)))
        for address in (INSIDE, METADATA):
            with guest.connect(address, 80) as one:
                one.sendall(request())
                assert is_refused(one)
            assert world.gate.record(event="refused", reason="forbidden_address").address == address
        if not by_name:
            for name in ("inside.example", "metadata.example", "loopback.example", "own.example", "mapped.example"):
                with guest.dial(name, 80) as one:
                    one.sendall(request(name))
                    assert is_refused(one)
                assert world.gate.record(event="refused", name=name).reason == "forbidden_address"
        assert world.own_proxy.asked == []
    finally:
        world.a.set_reach(world.reach)


@pytest.mark.parametrize("host", ["inside.proxy.example", "metadata.proxy.example", "own.proxy.example", "mapped.proxy.example",
                                  "127.0.0.1", INSIDE, METADATA, HOST, "::1", "fd00::1"])
def test_a_proxy_of_ones_own_that_leads_inwards_is_not_connected_to(world, guest, host):
    world.gate.set_policy("ws_0", default_policy(2, proxy=own_proxy(host, 80)))
    with guest.dial("good.example", 80) as one:
        one.sendall(request())
        assert is_refused(one)
    assert world.gate.record(event="refused", name="good.example").reason == "forbidden_address"
    assert_nothing_arrived(world)


def test_the_operators_denials_hold_for_proxies_too(world, guest):
    for generation, host in enumerate(("banned.example", "x.banned.example", "45.1.0.66"), 2):
        world.gate.set_policy("ws_0", default_policy(generation, proxy=own_proxy(host)))
        with guest.dial("good.example", 80) as one:
            one.sendall(request())
            assert is_refused(one)
        refused = world.gate.record(event="refused", name="good.example")
        assert refused.reason in ("denied_by_operator", "forbidden_address")
    assert world.own_proxys_port.reached == []


def test_a_proxy_that_does_not_help_is_named_and_never_gone_around(world, guest):
    settings = default_settings(connect_ms=2500)
    world.gate.change_settings(settings)
    cases = [("proxy_refused", own_proxy(login="me:wrong"), None), ("proxy_refused", own_proxy(login=""), None),
             ("proxy_unreachable", own_proxy(port=3127), None), ("proxy_unreachable", own_proxy("nowhere.example"), None),
             ("proxy_unreachable", own_proxy("45.1.0.200"), None)]
    cases += [("proxy_refused", own_proxy(), answer) for answer in (
        b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 302 Found\r\nLocation: http://10.9.9.9/\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000 + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n")]
    for generation, (reason, proxy, answer) in enumerate(cases, 2):
        world.own_proxy.answer = answer
        world.gate.set_policy("ws_0", default_policy(generation, proxy=proxy))
        with guest.dial("good.example", 80) as one:
            one.sendall(request())
            assert is_refused(one), (reason, proxy, answer)
        refused = world.gate.record(event="refused", name="good.example")
        assert (refused.reason, refused.via) == (reason, ""), (proxy, answer)
    world.own_proxy.answer, world.own_proxy.silent = None, True
    world.gate.set_policy("ws_0", default_policy(100, proxy=own_proxy()))
    with guest.dial("good.example", 80) as one:
        one.sendall(request())
        assert is_refused(one)
    assert world.gate.record(event="refused", name="good.example").reason == "unreachable"
    assert world.web.reached == []


def test_of_a_proxys_addresses_one_that_answers_is_taken(world, guest):
    world.gate.set_policy("ws_0", default_policy(2, proxy=own_proxy("two.proxy.example")))
    with guest.tls("good.example") as tls:
        tls.sendall(b"hello")
        assert tls.recv(100) == f"{GOOD} hello".encode()


@pytest.mark.parametrize("by_name", [False, True])
def test_the_operators_proxy_comes_before_a_workspaces_own(world, guest, by_name):
    world.gate.change_settings(default_settings(proxy=(PROXY, 3128, by_name, "")))
    world.gate.set_policy("ws_0", default_policy(2, proxy=own_proxy()))
    with guest.tls("good.example") as tls:
        tls.sendall(b"hello")
        assert tls.recv(100) == f"{GOOD} hello".encode()
    assert world.proxy.asked == ["proxy.example:3129" if by_name else f"{PROXY}:3129"]
    assert world.own_proxy.asked == ["good.example:443" if by_name else f"{GOOD}:443"]
    assert world.own_proxy.shown == [LOGIN]
    assert world.gate.record(event="opened", name="good.example").via == "operator,proxy.example:3129"


def test_what_the_operator_opened_inside_is_not_asked_of_a_workspaces_own_proxy(world, guest):
    world.gate.change_settings(default_settings(opened_ranges=[f"{INSIDE}/32"]))
    world.gate.set_policy("ws_0", default_policy(2, proxy=own_proxy()))
    with guest.dial("inside.example", 80) as one:
        one.sendall(request("inside.example"))
        assert INSIDE.encode() in one.recv(1000)
    assert world.own_proxy.asked == [] and world.web.reached == [INSIDE]
    assert world.gate.record(event="opened", name="inside.example").via == "direct"


def test_a_change_of_the_proxy_cuts_what_went_the_other_way_and_nothing_else(world, linked):
    guest = Guest(world.a)
    with guest.connect(LISTED, 9000) as raw, guest.connect(world.b.guest_address, 5432) as link:
        read_until(raw, b"BANNER\n")
        read_until(link, b"BANNER\n")
        rules = {"links": [gc.link("db.internal", world.b.guest_address, [5432], "ws_1")]}
        assert world.gate.set_policy("ws_0", default_policy(10, proxy=own_proxy(), **rules)) == 1
        assert read_all(raw) == (b"", "reset")
        with guest.connect(LISTED, 9000) as through:
            read_until(through, b"BANNER\n")
            assert world.gate.set_policy("ws_0", default_policy(11, proxy=own_proxy(), **rules)) == 0
            assert world.gate.set_policy("ws_0", default_policy(12, **rules)) == 1
            assert read_all(through) == (b"", "reset")
        link.sendall(b"still")
        assert read_until(link, b"still") == b"still"


def test_a_login_is_nowhere_but_with_the_proxy(world, guest):
    world.gate.set_policy("ws_0", default_policy(2, proxy=own_proxy()))
    with guest.tls("good.example") as tls:
        tls.sendall(b"hello")
        tls.recv(100)
    world.gate.record(kind="egress", event="closed")
    assert world.own_proxy.shown == [LOGIN]
    secret = LOGIN.split(":", 1)[1]
    process = pathlib.Path(f"/proc/{world.gate.process.pid}")
    for where in ("cmdline", "environ"):
        assert secret.encode() not in (process / where).read_bytes()
    assert secret not in str(world.gate.records) and not [head for head in world.http.seen if secret.encode() in head]


# -- the process itself ---------------------------------------------------------------------------------------------------
def test_the_gate_is_confined(world, guest):
    with guest.tls("good.example"):
        status = world.gate.status_lines()
        assert status["Uid"].split() == ["987654"] * 4 and status["Gid"].split() == ["987654"] * 4
        assert status["Groups"].strip() == ""
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[capabilities], 16) == 0
        assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
        kinds = {name.split(":")[0] for name in world.gate.descriptors()}
        assert kinds <= {"socket", "pipe", "anon_inode"}, world.gate.descriptors()


def test_without_its_daemon_the_gate_closes_everything_and_ends(world, guest):
    with guest.connect(LISTED, 9000) as raw:
        read_until(raw, b"BANNER\n")
        gate = world.gate
        world.gate = None
        assert gate.close() == 0
        assert read_all(raw)[0] == b""
    with pytest.raises(OSError):
        guest.connect(LISTED, 9000, timeout=1)


def test_a_gate_that_is_started_again_is_told_everything_again(world, guest):
    before = guest.address_of("good.example")
    world.stop_gate()
    world.start_gate()
    world.add(world.a, default_policy(7))
    assert guest.address_of("good.example") == before  # what a guest remembers stays good
    with guest.tls("good.example") as tls:
        tls.sendall(b"hello")
        assert tls.recv(100) == f"{GOOD} hello".encode()


def test_a_request_that_makes_no_sense_ends_the_gate(world):
    world.gate.control.send(b"\xff" * 100)
    assert world.gate.process.wait(10) == 0
    with pytest.raises(EOFError):
        world.gate.wait(lambda: False, "the end")
    world.gate = None
