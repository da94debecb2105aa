"""Whoever owns the host edits its ledger: each edit is found by a program that needs neither daemon nor network, and names
the entry."""

import hashlib
import json
import shutil
import struct
import subprocess

import pytest
from cofferdam import BIN, wait_for

ENTRY, CHECKPOINT = 0, 2
MAGIC = b"COFLEDG1"


def frames(data):
    """(type, payload) of each frame of a file of the ledger."""
    assert data.startswith(MAGIC)
    at, found = len(MAGIC), []
    while at + 13 <= len(data):
        length, kind = struct.unpack_from("<IB", data, at)
        if length == 0:
            break
        found.append((kind, data[at + 13:at + 13 + length]))
        at += 13 + length
    return found


def file_of(found):
    """The file with checks that fit: an attacker knows how they are made."""
    data = MAGIC
    for kind, payload in found:
        data += struct.pack("<IB", len(payload), kind) + hashlib.sha256(bytes([kind]) + payload).digest()[:8] + payload
    return data


def number_of(payload):
    return struct.unpack_from("<Q", payload, 1)[0]


def verify(folder, *options):
    done = subprocess.run([str(BIN / "coffer-verify"), "--json", *map(str, options), str(folder)], capture_output=True,
                          text=True, check=False)
    assert done.returncode in (0, 1), done
    assert done.stdout, done
    report = json.loads(done.stdout)
    assert report["good"] == (done.returncode == 0), report
    return report


def signed(one, number):
    """The newest checkpoint, once it covers this entry."""
    text = one.ok("ledger", "checkpoint").out
    return text if int(text.splitlines()[1]) > number else None


@pytest.fixture(scope="module")
def kept(golden, tmp_path_factory):
    """The ledger of a day's work, its newest checkpoint as somebody outside has it, and the number of a telling entry."""
    import cofferdam
    one = cofferdam.Cofferdam(golden=golden)
    try:
        one.up()
        with one.workspace() as name:
            for i in range(12):
                assert one.exec(name, f"echo work-{i}").out == f"work-{i}\n"
        # What was signed last is up to a second old.
        number = one.json("events", "--limit", "1")["events"][0]["number"]
        outside = wait_for(lambda: signed(one, number), 20, "a checkpoint of all entries")
        one.down()
        place = tmp_path_factory.mktemp("kept")
        shutil.copytree(one.state / "ledger", place / "ledger")
        (place / "checkpoint").write_text(outside)
        target = [number_of(p) for kind, p in frames((place / "ledger" / SEGMENT).read_bytes())
                  if kind == ENTRY and b"echo work-6" in p][0]
        yield place, target
    finally:
        one.close()


SEGMENT = "0" * 20 + ".seg"


@pytest.fixture
def ledger(kept, tmp_path):
    place, target = kept
    shutil.copytree(place / "ledger", tmp_path / "ledger")
    return tmp_path / "ledger", target, place / "checkpoint"


def place_of(found, number):
    return [i for i, (kind, p) in enumerate(found) if kind == ENTRY and number_of(p) == number][0]


def rewrite(folder, change):
    path = folder / SEGMENT
    found = frames(path.read_bytes())
    change(found)
    path.write_bytes(file_of(found))


def assert_named(report, number):
    assert not report["good"], report
    named = [f for f in report["findings"] if f["from"] <= number <= f["to"]]
    assert named, report["findings"]
    return named


def test_a_ledger_that_nobody_touched_is_good(ledger):
    folder, _, outside = ledger
    report = verify(folder, "--checkpoint", outside)
    assert report["good"] and report["unsigned"] == 0, report


def test_one_byte_of_a_command_is_changed(ledger):
    folder, target, _ = ledger
    path = folder / SEGMENT
    path.write_bytes(path.read_bytes().replace(b"echo work-6", b"echo w0rk-6"))
    named = assert_named(verify(folder), target)
    assert named[0]["from"] == named[0]["to"] == target, named


def test_a_command_is_changed_and_its_check_made_to_fit(ledger):
    folder, target, _ = ledger

    def change(found):
        i = place_of(found, target)
        found[i] = (ENTRY, found[i][1].replace(b"echo work-6", b"echo w0rk-6"))

    rewrite(folder, change)
    named = assert_named(verify(folder), target)
    assert named[0]["from"] == named[0]["to"] == target, named


def test_the_index_is_removed_besides(ledger):
    folder, target, _ = ledger

    def change(found):
        i = place_of(found, target)
        found[i] = (ENTRY, found[i][1].replace(b"echo work-6", b"echo w0rk-6"))

    rewrite(folder, change)
    (folder / "nodes").unlink()
    (folder / "offsets").unlink()
    assert_named(verify(folder), target)


def test_an_entry_is_taken_out(ledger):
    folder, target, _ = ledger
    rewrite(folder, lambda found: found.pop(place_of(found, target)))
    assert "missing" in assert_named(verify(folder), target)[0]["what"]


def test_two_entries_are_exchanged(ledger):
    folder, target, _ = ledger

    def change(found):
        i, j = place_of(found, target), place_of(found, target + 1)
        found[i], found[j] = found[j], found[i]

    rewrite(folder, change)
    assert "out of place" in assert_named(verify(folder), target)[0]["what"]


def test_an_entry_is_invented_in_the_middle(ledger):
    folder, target, _ = ledger

    def change(found):
        i = place_of(found, target)
        found.insert(i + 1, (ENTRY, found[i][1].replace(b"echo work-6", b"echo forged")))

    rewrite(folder, change)
    assert "invented" in " ".join(f["what"] for f in assert_named(verify(folder), target))


def test_an_entry_is_invented_at_the_end(ledger):
    folder, target, _ = ledger
    size = verify(folder)["size"]

    def change(found):
        old = found[place_of(found, target)][1]
        found.append((ENTRY, old[:1] + struct.pack("<Q", size) + old[9:]))

    rewrite(folder, change)
    # The newest may wait for its signature for a while.
    report = wait_for(lambda: (found := verify(folder)) and not found["good"] and found, 60, "a finding")
    assert "signed by nobody" in assert_named(report, size)[0]["what"]


def test_the_end_is_cut_off(ledger):
    folder, target, _ = ledger
    rewrite(folder, lambda found: found.__delitem__(slice(place_of(found, target), None)))
    assert "missing" in assert_named(verify(folder), target)[0]["what"]


def test_the_end_is_cut_off_where_it_was_signed(ledger):
    """Consistent in itself: only who kept a checkpoint elsewhere sees it."""
    folder, target, outside = ledger
    path = folder / SEGMENT
    found = frames(path.read_bytes())
    end = max(i for i in range(place_of(found, target)) if found[i][0] == CHECKPOINT)
    path.write_bytes(file_of(found[:end + 1]))
    (folder / "checkpoint").write_bytes(found[end][1])
    assert "missing" in assert_named(verify(folder, "--checkpoint", outside), target)[0]["what"]


def test_a_checkpoint_is_changed(ledger):
    folder, target, _ = ledger

    def change(found):
        i = min(i for i in range(place_of(found, target), len(found)) if found[i][0] == CHECKPOINT)
        note = found[i][1].decode()
        lines = note.split("\n")
        lines[2] = ("A" if lines[2][0] != "A" else "B") + lines[2][1:]
        found[i] = (CHECKPOINT, "\n".join(lines).encode())

    rewrite(folder, change)
    report = verify(folder)
    assert not report["good"], report
    assert "cannot be believed" in report["findings"][0]["what"], report


def test_the_chain_of_keys_is_exchanged(ledger):
    folder, _, outside = ledger
    keys = (folder / "keys").read_text()
    notes = keys.split("\n\n")
    (folder / "keys").write_text(keys.replace(notes[0].split("\n")[2][-20:], "A" * 20))
    assert not verify(folder)["good"]


def test_the_whole_ledger_is_made_anew(golden, kept):
    """A ledger that is good in itself is not the one whose checkpoint was kept."""
    import cofferdam
    place, _ = kept
    one = cofferdam.Cofferdam(golden=golden)
    try:
        one.up()
        one.ok("ls")
        one.down()
        assert verify(one.state / "ledger")["good"]
        assert not verify(one.state / "ledger", "--checkpoint", place / "checkpoint")["good"]
    finally:
        one.close()


def test_a_daemon_does_not_go_on_with_a_ledger_that_was_cut(fresh):
    fresh.up()
    with fresh.workspace():
        pass
    fresh.down()
    path = fresh.state / "ledger" / SEGMENT
    data = path.read_bytes()
    path.write_bytes(data[:len(data) * 2 // 3])
    done = fresh("up", timeout=60)
    assert done.status == 1 and "the ledger is not what was written" in done.err, done
    path.write_bytes(data)
    fresh.up()


def test_no_secret_is_in_the_ledger(fresh):
    """Neither a token, nor a secret that was delivered, nor what a command line calls a password."""
    fresh.up()
    token = fresh.ok("token", "create", "--ttl", "10m").out.strip()
    fresh.ok("secret", "set", "DEPLOY_KEY", stdin=b"the-delivered-value-4711")
    body = json.dumps({"image": "minimal", "config": {"secrets": ["DEPLOY_KEY"], "ttl": "10m"}})
    made = subprocess.run(["curl", "-s", "--unix-socket", str(fresh.run_dir / "cofferd.sock"), "-d", body,
                           "http://localhost/workspace"], capture_output=True, text=True, check=True)
    name = json.loads(made.stdout)["workspace"]["id"]
    done = fresh.exec(name, "echo $DEPLOY_KEY")
    assert done.out.strip() == "the-delivered-value-4711", done
    fresh.exec(name, ["echo", "the-delivered-value-4711", token, "--password", "open-sesame-42"])
    wait_for(lambda: "secret.used" in fresh.ok("events", "--limit", "1000").out, what="the entries")
    written = b"".join(p.read_bytes() for p in (fresh.state / "ledger").iterdir())
    written += fresh.ok("events", "--limit", "1000").out.encode() + fresh.ok("ledger", "export", "--ocsf").out.encode()
    for secret in (token, "the-delivered-value-4711", "open-sesame-42"):
        assert secret.encode() not in written, secret
    assert b"[secret]" in written
