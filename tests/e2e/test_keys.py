"""The key tree and its root through the daemon a user has: every holder, and what a lost or a wrong root looks like."""

import json
import os
import shutil
import stat
import subprocess

import pytest

from cofferdam import BIN, Cofferdam, wait_for


@pytest.fixture
def bare():
    """A daemon for one test, without images: no machine is started here."""
    one = Cofferdam()
    yield one
    one.close()


def start(one, *options):
    # Nothing is kept ready: there is no image.
    return one.start("--pool-size", "0", "--pool-standby", "0", *options)


def refused(one, *options):
    """What cofferd says when it does not start."""
    done = subprocess.run([str(BIN / "cofferd"), "--pool-size", "0", *options], env=one._environment(),  # noqa: SLF001
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 1, done
    return done.stderr


def public_key(one):
    return (one.state / "receipt.pub").read_text()


def test_keys_are_private_and_the_public_key_is_not(bare):
    start(bare)
    for name in ("tree", "root.key"):
        assert stat.S_IMODE((bare.state / "keys" / name).stat().st_mode) == 0o600, name
    assert public_key(bare).startswith("-----BEGIN PUBLIC KEY-----\n")
    assert bare.ok("receipt", "ls").out.split() == ["ID", "WORKSPACE", "ERASED", "KEY"]
    assert bare("receipt", "show", "rcp_none").status == 1


def test_the_receipt_key_survives_a_restart_and_a_kill(bare):
    start(bare)
    first = public_key(bare)
    bare.kill()
    start(bare)
    assert public_key(bare) == first
    bare.down()
    start(bare)
    assert public_key(bare) == first


def test_a_lost_and_a_wrong_root_are_named_and_nothing_is_touched(bare):
    start(bare)
    first = public_key(bare)
    bare.down()
    tree, root = bare.state / "keys" / "tree", bare.state / "keys" / "root.key"
    kept_tree, kept_root = tree.read_bytes(), root.read_bytes()
    root.unlink()
    said = refused(bare)
    assert "lost root" in said and "hint:" in said, said
    root.write_bytes(kept_root)
    root.chmod(0o644)
    assert "can be read by others" in refused(bare)
    root.chmod(0o600)
    # A key tree from elsewhere under this root.
    other = Cofferdam()
    try:
        start(other)
        other.down()
        shutil.copy(other.state / "keys" / "tree", tree)
    finally:
        other.close()
    assert "another key tree" in refused(bare)
    tree.write_bytes(kept_tree)
    assert root.read_bytes() == kept_root
    start(bare)
    assert public_key(bare) == first


def test_a_passphrase_opens_the_tree_and_a_wrong_one_is_named(bare):
    passphrase = bare.base / "passphrase"
    passphrase.write_text("correct horse battery staple\n")
    passphrase.chmod(0o600)
    options = ("--keys-root", "passphrase", "--keys-passphrase-file", str(passphrase))
    start(bare, *options)
    first = public_key(bare)
    pid = bare.pid
    for place in (f"/proc/{pid}/cmdline", f"/proc/{pid}/environ"):
        assert b"horse" not in open(place, "rb").read(), place
    bare.down()
    assert "sealed with a passphrase" in refused(bare)
    passphrase.write_text("another passphrase\n")
    said = refused(bare, *options)
    assert "wrong passphrase" in said and "another passphrase" not in said, said
    passphrase.write_text("correct horse battery staple\n")
    start(bare, *options)
    assert public_key(bare) == first


def test_a_command_holds_the_root(bare):
    vault = bare.base / "vault"
    kms = bare.base / "kms"
    kms.write_text(f"""#!/bin/sh
[ ! -e {vault}.down ] || {{ echo "the vault is sealed" >&2; exit 3; }}
mkdir -p {vault}/$2
case $1 in
  list) ls {vault}/$2 ;;
  get) cat {vault}/$2/$3 ;;
  put) cat >{vault}/$2/$3 ;;
  delete) rm -f {vault}/$2/$3 ;;
esac
""")
    kms.chmod(0o700)
    config = bare.base / "cofferd.yaml"
    config.write_text(f"keys:\n  root: command\n  command: {kms}\n  command_timeout: 10s\n")
    options = ("--config", str(config))
    start(bare, *options)
    first = public_key(bare)
    assert not (bare.state / "keys" / "root.key").exists()
    assert len(list(vault.glob("keys_*/root_*"))) == 1
    bare.down()
    (bare.base / "vault.down").touch()
    assert "the vault is sealed" in refused(bare, *options)
    (bare.base / "vault.down").unlink()
    start(bare, *options)
    assert public_key(bare) == first


def test_a_tpm_holds_the_root(bare):
    state = bare.base / "tpm"
    state.mkdir()
    tpm = subprocess.Popen(["swtpm", "socket", "--tpm2", "--server", f"type=unixio,path={state}/socket", "--ctrl",
                            f"type=unixio,path={state}/socket.ctrl", "--tpmstate", f"dir={state}", "--flags",
                            "not-need-init,startup-clear"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: os.path.exists(state / "socket"), what="swtpm")
        options = ("--keys-root", "tpm", "--keys-tpm", f"swtpm:path={state}/socket")
        start(bare, *options)
        first = public_key(bare)
        assert not (bare.state / "keys" / "root.key").exists()
        bare.down()
        start(bare, *options)
        assert public_key(bare) == first
        bare.down()
    finally:
        tpm.kill()
        tpm.wait()
    said = refused(bare, *options)
    assert "open the TPM" in said and "hint:" in said, said


def test_the_keys_of_the_tree_are_in_locked_memory_only(bare):
    """The root as the file holds it is once in the daemon's memory: in a mapping that is locked and not dumped."""
    start(bare)
    root = (bare.state / "keys" / "root.key").read_bytes()
    at = root.index(b"COFROOT1")
    record = root[at:at + 512]
    # magic, two texts with their lengths, then the key with its length
    position = 8
    for _ in range(2):
        position += 4 + int.from_bytes(record[position:position + 4], "little")
    key = record[position + 4:position + 4 + 32]
    found = 0
    flags = {}
    span = None
    for line in open(f"/proc/{bare.pid}/smaps"):
        words = line.split()
        if "-" in words[0] and not words[0].endswith(":"):
            span = tuple(int(x, 16) for x in words[0].split("-")), words[1]
        elif words[0] == "VmFlags:":
            flags[span] = set(words[1:])
    with open(f"/proc/{bare.pid}/mem", "rb", buffering=0) as memory:
        for ((low, high), mode), marks in flags.items():
            if mode[0] != "r" or high > 1 << 47:
                continue
            try:
                memory.seek(low)
                content = memory.read(high - low)
            except OSError:
                continue
            if key in content:
                found += content.count(key)
                assert {"lo", "dd"} <= marks, (hex(low), marks)
    assert found >= 1


def test_a_receipt_is_verified_without_a_daemon(bare):
    start(bare)
    bare.down()
    text = bare.base / "receipt.json"
    text.write_text(json.dumps({"receipt": {}, "signature": {}}))
    done = bare("receipt", "verify", text)
    assert done.status == 1 and "no erasure receipt" in done.err, done
