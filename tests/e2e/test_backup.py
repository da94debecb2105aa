"""The daemon's own state in one sealed file, and back: on an empty state folder, over one that is there, and never what
has ended since. What is damaged, newer or sealed under another passphrase is named, and changes nothing."""

import os
import shutil
import sqlite3
import stat
import subprocess
import threading

import forensics
import pytest

from cofferdam import BIN, SHARED, Cofferdam, wait_for

PASSPHRASE = b"correct horse battery staple\n"

ESTATE = """version: 1
namespaces:
  - {slug: acme, name: "Acme", description: "a customer", max_workspaces: 7}
workspaces:
  - name: kept
    namespace: acme
    image: minimal
    mode: permanent
    memory_mb: 256
    disk_size_mb: 100
    egress: ["pypi.org"]
  - name: gone
    namespace: acme
    image: minimal
    mode: permanent
    memory_mb: 256
    disk_size_mb: 100
links:
  - {from: gone, to: kept, ports: "5432", note: "orders"}
"""


@pytest.fixture
def another(golden):
    """An empty state folder beside the one that is backed up."""
    one = Cofferdam(golden=golden)
    yield one
    one.close()


@pytest.fixture
def bare():
    """A daemon without images: no machine is started here."""
    one = Cofferdam(tcp=True)
    yield one
    one.close()


def start(one):
    return one.start("--pool-size", "0", "--pool-standby", "0")


def back_up(one, name="backup", passphrase=PASSPHRASE):
    file = one.base / name
    one.ok("backup", file, stdin=passphrase)
    return file


def restore(one, file, *options, passphrase=PASSPHRASE):
    return one("restore", file, *options, stdin=passphrase)


def restored(one, file, *options):
    return one.json("restore", file, *options, stdin=PASSPHRASE)


def contents(folder):
    """Every file of a state folder but what never changes in it, with what is in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and path.relative_to(folder).parts[0] not in (*SHARED, "lock")}


def id_of(one, name):
    return next(w["id"] for w in one.json("ls")["workspaces"] if w["name"] == name)


def make_estate(one, folder):
    (folder / "estate.yaml").write_text(ESTATE)
    one.ok("apply", "-f", folder / "estate.yaml")
    for name in ("kept", "gone"):
        assert one.exec(name, f"echo what {name} has >/root/file; sync").status == 0
    return {name: id_of(one, name) for name in ("kept", "gone")}


def test_a_backup_of_a_daemon_at_work_comes_back_on_an_empty_state_folder(fresh, another, tmp_path):
    fresh.up()
    make_estate(fresh, tmp_path)
    fresh.ok("secret", "set", "KEY", "--namespace", "acme", stdin=b"hush-hush")
    fresh.ok("token", "create", "--namespace", "acme", "--verbs", "read", "--label", "ci", "--ttl", "1d")
    working, failed = threading.Event(), []

    def work():
        while not working.is_set():
            done = fresh.exec("kept", "date >>/root/work; cat /root/file")
            if done.status != 0:
                failed.append(done)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        first = back_up(fresh, "first")
        file = back_up(fresh)
    finally:
        working.set()
        thread.join(60)
    assert failed == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and first.read_bytes()[:64] != file.read_bytes()[:64]
    assert forensics.in_file(file, [b"hush-hush", b"a customer", b"what kept has", PASSPHRASE.strip()]) == set()
    assert forensics.in_files(fresh.state, [PASSPHRASE.strip()], skip=SHARED) == set()
    told = fresh.json("events", "--kind", "state.backed_up")["events"]
    assert len(told) == 2 and told[-1]["keys"] >= 3, told
    before = fresh.ok("export").out
    receipt_key = (fresh.state / "receipt.pub").read_text()
    fresh.down("--all")

    assert another("restore", file, stdin=PASSPHRASE).status == 0
    shutil.copytree(fresh.state / "workspaces", another.state / "workspaces")
    another.up()
    assert another.ok("export").out == before
    assert (another.state / "receipt.pub").read_text() == receipt_key
    another.ok("start", "kept")
    assert another.exec("kept", "cat /root/file").out == "what kept has\n"
    another.ok("ledger", "verify")
    (entry,) = another.json("events", "--kind", "state.restored")["events"]
    assert entry["backup"] == told[-1]["backup"] and entry["keys"] == told[-1]["keys"] and entry["ended_at"] == -1, entry
    # The log is the old one, and goes on.
    assert len(another.json("events", "--kind", "workspace.created")["events"]) >= 2
    another.down("--all")
    another.up()
    assert len(another.json("events", "--kind", "state.restored")["events"]) == 1


def test_a_workspace_that_was_deleted_after_the_backup_does_not_come_back_readable(fresh, another, tmp_path):
    fresh.up()
    ids = make_estate(fresh, tmp_path)
    fresh.ok("snapshot", "create", "kept")
    file = back_up(fresh)
    fresh.ok("stop", "gone")
    stolen = tmp_path / "stolen"
    shutil.copytree(fresh.state / "workspaces" / ids["gone"], stolen)
    (snapshot,) = fresh.json("snapshot", "ls", "kept")["snapshots"]
    fresh.ok("snapshot", "rm", "kept", snapshot["id"])
    fresh.ok("rm", "gone")
    fresh.down("--all")

    done = restored(another, file, "--ledger", fresh.state / "ledger")
    assert done["ended"]["keys"] >= 2 and done["ended"]["workspaces"] == 1, done
    shutil.copytree(fresh.state / "workspaces", another.state / "workspaces")
    shutil.copytree(stolen, another.state / "workspaces" / ids["gone"])
    another.up()
    assert [w["name"] for w in another.json("ls")["workspaces"]] == ["kept"]
    assert not (another.state / "workspaces" / ids["gone"]).exists(), "the next start clears it away"
    another.ok("start", "kept")
    assert another.exec("kept", "cat /root/file").out == "what kept has\n"
    assert another.json("snapshot", "ls", "kept")["snapshots"] == []


def test_over_a_state_that_is_there_its_key_tree_and_its_ledger_stay(fresh, tmp_path):
    fresh.up()
    ids = make_estate(fresh, tmp_path)
    file = back_up(fresh)
    fresh.ok("rm", "gone")
    fresh.ok("namespace", "create", "later")
    busy = restore(fresh, file, "--replace")
    assert busy.status == 1 and "another cofferd already uses the folder" in busy.err, busy
    fresh.down("--all")
    refused = restore(fresh, file)
    assert refused.status == 1 and "is not empty" in refused.err and "--replace" in refused.err, refused
    tree = (fresh.state / "keys" / "tree").read_bytes()
    done = restored(fresh, file, "--replace")
    assert done["key_tree"] == "stayed" and done["ledger"] == "stayed" and done["ended"]["workspaces"] == 1, done
    assert (fresh.state / "keys" / "tree").read_bytes() == tree
    fresh.up()
    assert [w["id"] for w in fresh.json("ls")["workspaces"]] == [ids["kept"]]
    assert "later" not in fresh.ok("namespace", "ls").out
    fresh.ok("start", "kept")
    assert fresh.exec("kept", "cat /root/file").out == "what kept has\n"
    fresh.ok("ledger", "verify")
    assert len(fresh.json("events", "--kind", "workspace.removed")["events"]) >= 1


def test_what_is_damaged_newer_or_sealed_otherwise_is_named_and_changes_nothing(bare, tmp_path):
    start(bare)
    bare.ok("namespace", "create", "acme")
    file = back_up(bare)
    bare.down()
    good = file.read_bytes()
    other = Cofferdam()
    try:
        before = contents(other.state)

        def refused(data, words, *options, passphrase=PASSPHRASE):
            (tmp_path / "file").write_bytes(data)
            done = restore(other, tmp_path / "file", *options, passphrase=passphrase)
            assert done.status == 1 and words in done.err, (words, done)
            assert "horse" not in done.err and contents(other.state) == before, (words, sorted(contents(other.state)))

        refused(good, "wrong passphrase", passphrase=b"battery staple\n")
        for at in (20, 40, 100, 200, len(good) // 2, len(good) - 1):
            refused(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:], "the backup")
        for size in (0, 7, 60, 129, 200, len(good) // 2, len(good) - 1):
            refused(good[:size], "backup")
        refused(good[:8] + b"\x02" + good[9:], "is of version 2, and this program reads 1")
        refused(b"\x1f\x8b" + good, "this is no backup")
        refused(good, "ledger", "--ledger", tmp_path)
        assert restore(other, tmp_path / "none").status == 1
        # Nothing is the matter with it.
        assert restore(other, file).status == 0
    finally:
        other.close()


def test_a_newer_database_in_a_backup_is_named(bare):
    start(bare)
    bare.down()
    with sqlite3.connect(bare.state / "cofferd.db") as db:
        (version,) = db.execute("SELECT version FROM schema_versions WHERE room = 'identity'").fetchone()
    start(bare)
    with sqlite3.connect(bare.state / "cofferd.db") as db:  # as if a newer program had it
        db.execute("UPDATE schema_versions SET version = 99 WHERE room = 'identity'")
    file = back_up(bare)
    with sqlite3.connect(bare.state / "cofferd.db") as db:
        db.execute("UPDATE schema_versions SET version = ? WHERE room = 'identity'", (version,))
    other = Cofferdam()
    try:
        refused = restore(other, file)
        assert refused.status == 1 and "newer cofferd" in refused.err, refused
        assert contents(other.state) == {}
    finally:
        other.close()


def test_a_token_that_was_revoked_after_the_backup_stays_revoked(bare):
    start(bare)
    kept, ended = (bare.json("token", "create", "--ttl", "1d", "--verbs", "read") for _ in range(2))
    file = back_up(bare)
    bare.ok("token", "rm", ended["id"])
    bare.down()
    assert restored(bare, file, "--replace")["ended"]["credentials"] == 1
    start(bare)

    def listed(token):
        return bare("ls", env={"COFFER_URL": bare.url, "COFFER_TOKEN": token})

    secret = [kept["token"], ended["token"]]
    assert listed(secret[0]).status == 0, listed(secret[0])
    assert listed(secret[1]).status == 1, listed(secret[1])


def test_only_who_has_the_whole_account_makes_backups_and_the_passphrase_is_seen_nowhere(bare):
    start(bare)
    bare.ok("namespace", "create", "acme")
    token = bare.json("token", "create", "--namespace", "acme")["token"]
    afar = {"COFFER_URL": bare.url, "COFFER_TOKEN": token}
    file = bare.base / "backup"
    refused = bare("backup", file, stdin=PASSPHRASE, env=afar)
    assert refused.status == 1 and not file.exists() and list(bare.base.glob("backup*")) == [], refused
    for passphrase, words in ((b"short\n", "8 to 1024 bytes"), (b"", "8 to 1024 bytes")):
        refused = bare("backup", file, stdin=passphrase)
        assert refused.status == 1 and words in refused.err and list(bare.base.glob("backup*")) == [], refused
    from_file = bare.base / "words"
    from_file.write_bytes(PASSPHRASE)
    from_file.chmod(0o644)
    refused = bare("backup", file, "--passphrase-file", from_file)
    assert refused.status == 1 and "can be read by others" in refused.err, refused
    from_file.chmod(0o600)
    bare.ok("backup", file, "--passphrase-file", from_file)
    refused = bare("backup", file, "--passphrase-file", from_file)
    assert refused.status == 1 and "is there already" in refused.err, refused
    pid = bare.pid
    for place in ("cmdline", "environ"):
        assert b"horse" not in open(f"/proc/{pid}/{place}", "rb").read(), place
    assert forensics.in_files(bare.state, [b"battery staple"]) == set()
    assert list(bare.state.glob("backup.tmp-*")) == []


def test_killed_at_any_moment_a_restore_is_done_or_was_never(bare):
    start(bare)
    bare.ok("namespace", "create", "acme")
    before = bare.ok("namespace", "ls").out
    file = back_up(bare)
    bare.down()
    other = Cofferdam()
    try:
        for tenths in range(3, 40):
            process = subprocess.Popen([BIN / "cofferd", "--restore", file],
                                       env=other._environment(),  # noqa: SLF001
                                       stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            process.stdin.write(PASSPHRASE)
            process.stdin.close()
            try:
                process.wait(tenths / 10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if (other.state / "restore.committed").exists() or (other.state / "cofferd.db").exists():
                break
        else:
            assert restore(other, file).status == 0
        start(other)
        assert other.ok("namespace", "ls").out == before
        other.ok("ledger", "verify")
        assert not [name for name in os.listdir(other.state) if name.startswith("restore.")]
        wait_for(lambda: not (other.state / "restored").exists(), what="the note of the restore to be written down")
    finally:
        other.close()
