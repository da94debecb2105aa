"""Evidence of a workspace that was cut off: a bundle that anybody can check, that nobody can change, and that lets its
reader look at the intruder without letting the intruder look at anything.

Real microVMs. One workspace with an intruder in it is contained once for all tests of this module."""

import json
import os
import pathlib
import re
import socket
import subprocess
import time

import pytest

import bundles
import forensics
import traces
from cofferdam import BIN, Cofferdam, wait_for

INTRUDER = "setsid sh -c 'echo $$ >/dev/shm/pid; i=0; while :; do i=$((i+1)); echo $i >/dev/shm/n; sleep 0.05; done' " \
           "</dev/null >/dev/null 2>&1 &"
MARKER = "loot-5e1f7a"
ALWAYS = {"workspace.json", "incident.json", "connections.jsonl", "watch.json", "console/boot.log", "console/cmd.log",
          "console/guest.log", "ledger/checkpoint", "ledger/proofs-000001", "ledger/events-000001.jsonl", "ledger/consistency",
          "snapshot/manifest", "snapshot/state", "snapshot/memory", "snapshot/disk", "manifest", "seal", "keys"}


class Scene:
    """A contained workspace, and what was exported of it."""

    def __init__(self, golden, folder):
        self.folder = folder
        self.daemon = Cofferdam(golden=golden)
        self.daemon.up()
        self.name = self.daemon.create("--name", "taken", "--ttl", "60m", "--memory", "128M", "--disk", "100M")
        self.daemon.exec(self.name, INTRUDER)
        self.daemon.ok("cp", "-", f"{self.name}:/root/loot", stdin=MARKER.encode() + b"\n")  # no argument: those are in the ledger
        assert self.daemon.exec(self.name, "sync").status == 0
        wait_for(lambda: self.daemon.exec(self.name, "cat /dev/shm/n").out.strip(), 20, "the intruder")
        self.incident = self.daemon.json("contain", self.name, "--why", "odd upload")["incident"]
        self.keys = folder / "investigator"
        made = subprocess.run(["age-keygen", "-o", self.keys], capture_output=True, text=True, check=True)
        self.recipient = re.search(r"age1\w+", made.stderr + self.keys.read_text())[0]
        self.plain, self.sealed = folder / "plain.evidence", folder / "sealed.evidence"
        self.daemon.ok("evidence", "export", self.name, "-o", self.plain)
        self.daemon.ok("evidence", "export", "taken", "-o", self.sealed, "--recipient", self.recipient)

    def verify(self, bundle, *options):
        """By a program that could not reach a daemon if it wanted to."""
        return self.daemon("--json", "evidence", "verify", bundle, *options, env={"COFFER_RUN": "/nonexistent"})

    def findings(self, bundle):
        done = self.verify(bundle)
        report = json.loads(done.out)
        assert (done.status == 0) == report["success"] == (not report["findings"]), done
        other = subprocess.run([BIN / "coffer-verify", "--json", "--evidence", bundle], capture_output=True, text=True, check=False)
        assert json.loads(other.stdout) == report and other.returncode == done.status
        return report["findings"]


@pytest.fixture(scope="module")
def scene(golden, tmp_path_factory):
    one = None
    try:
        one = Scene(golden, tmp_path_factory.mktemp("evidence"))
        yield one
    finally:
        if one is not None:
            one.daemon.close()


def expect_no_network(daemon, name):
    """Neither inside nor outside, whatever somebody asks for."""
    assert daemon.exec(name, "cat /proc/net/route | tail -n +2").out == ""
    machine = traces.machine_of(daemon.state, name)
    (process,) = [p for p in daemon.vmms() if machine in p.cgroup]
    links = subprocess.run(["nsenter", f"--net=/proc/{process.pid}/ns/net", "ip", "-o", "link"], capture_output=True, text=True,
                           check=True).stdout
    assert sorted(re.findall(r"^\d+: (\w+)", links, re.M)) == ["lo", "tap0"], links
    for words in (["network", "allow", name, "example.com"], ["network", "allow", name, "--internet"], ["port", "expose", name, "80"],
                  ["link", "add", name, "taken:80"], ["link", "add", "taken", f"{name}:80"]):
        refused = daemon(*words)
        assert refused.status != 0 and ("never has a network" in refused.err or "is contained" in refused.err), (words, refused)
    rules = subprocess.run(["nsenter", f"--net=/proc/{process.pid}/ns/net", "nft", "list", "ruleset"], capture_output=True, text=True,
                           check=True).stdout
    assert "198.18" not in rules, rules


def expect_intruder(daemon, name):
    """Its file, and its process, which goes on."""
    assert daemon.exec(name, "cat /root/loot").out == MARKER + "\n"
    first = int(wait_for(lambda: daemon.exec(name, "cat /dev/shm/n").out.strip(), 20, "the intruder's count"))
    assert daemon.exec(name, "kill -0 $(cat /dev/shm/pid)").status == 0
    wait_for(lambda: int(daemon.exec(name, "cat /dev/shm/n").out.strip() or 0) > first, 20, "an intruder that goes on")


def test_a_bundle_has_everything_and_verifies_without_a_daemon(scene):
    names = [name for name, _, _ in bundles.members(scene.plain)]
    assert len(names) == len(set(names)) and set(names) == ALWAYS, names
    listed = subprocess.run(["tar", "-tf", scene.plain], capture_output=True, text=True, check=True).stdout.split()
    assert listed == names
    report = json.loads(scene.verify(scene.plain).out)
    assert report["success"] and report["incident"] == scene.incident["id"] and report["snapshot"] == scene.incident["snapshot"], report
    assert report["entries"] > 3 and report["trees"] >= 1, report
    # With the key that was kept elsewhere, and with another one.
    first_key = scene.daemon.ok("ledger", "checkpoint", "--keys").out.splitlines()[2]
    assert report["first_key"] == first_key
    assert scene.verify(scene.plain, "--key", first_key).status == 0
    other = first_key[:-5] + ("A" if first_key[-5] != "A" else "B") + first_key[-4:]
    assert scene.verify(scene.plain, "--key", other).status != 0
    # What is in it is what is known.
    incident = json.loads(bundles.content(scene.plain, "incident.json"))
    assert incident["why"] == "odd upload" and incident["report"]["look_at"] is not None
    events = [json.loads(line) for line in bundles.content(scene.plain, "ledger/events-000001.jsonl").splitlines()]
    assert {"workspace.created", "exec.started", "workspace.contained", "snapshot.taken"} <= {e["kind"] for e in events}
    assert "created" in bundles.content(scene.plain, "console/boot.log").decode()
    # It was written down, and to whom.
    sealed = scene.daemon.json("events", "--kind", "evidence.sealed")["events"]
    assert [e.get("recipients", []) for e in sealed] == [[], [scene.recipient]], sealed


def test_a_flipped_byte_in_each_member_is_caught_and_the_member_named(scene):
    for name, at, size in bundles.members(scene.plain):
        for place in {0, size // 2, size - 1} if size else set():
            with bundles.Flipped(scene.plain, at + place):
                found = scene.findings(scene.plain)
            assert name in [f["member"] for f in found], (name, place, found)
        # Its head, and what fills its last block.
        with bundles.Flipped(scene.plain, at - bundles.BLOCK + 150):
            assert scene.findings(scene.plain), name
    assert scene.findings(scene.plain) == []


def test_a_removed_an_invented_and_a_cut_off_member_are_caught_and_named(scene):
    changed = scene.folder / "changed"
    for name, _, _ in bundles.members(scene.plain):
        found = scene.findings(bundles.without(scene.plain, name, changed))
        assert (name, "it is missing") in [(f["member"], f["what"]) for f in found], (name, found)
    found = scene.findings(bundles.with_one_more(scene.plain, "invented.json", b"{}", changed))
    assert [(f["member"], f["what"]) for f in found] == [("invented.json", "the manifest does not know it")], found
    for name, at, size in bundles.members(scene.plain):
        if size < 2:
            continue
        found = scene.findings(bundles.cut(scene.plain, at + size // 2, changed))
        assert any(f["member"] == name and "cut off" in f["what"] for f in found), (name, found)
    whole = os.path.getsize(scene.plain)
    assert scene.findings(bundles.cut(scene.plain, whole - 1, changed))
    with open(bundles.cut(scene.plain, whole, changed), "ab") as file:
        file.write(b"\0")
    assert "more behind its end" in scene.findings(changed)[0]["what"]
    changed.unlink()


def test_what_was_changed_and_made_to_fit_was_not_sealed(scene):
    """Somebody who can write a manifest, and cannot sign one."""
    import hashlib
    changed = scene.folder / "forged"
    members = {name: (at, size) for name, at, size in bundles.members(scene.plain)}
    with open(scene.plain, "rb") as file:
        whole = file.read()
    at, size = members["incident.json"]
    forged = whole[at:at + size].replace(b"odd upload", b"all is OK!")
    old, new = (hashlib.sha256(text).hexdigest().encode() for text in (whole[at:at + size], forged))
    assert len(forged) == size and whole.count(old) == 1
    changed.write_bytes((whole[:at] + forged + whole[at + size:]).replace(old, new))
    found = scene.findings(changed)
    assert [f["member"] for f in found] == ["manifest"] and "has sealed" in found[0]["what"], found
    changed.unlink()


def test_the_preserved_snapshot_is_looked_into_without_any_network(scene):
    one = scene.daemon
    for words in ([scene.name], [scene.plain]):
        opened = one.json("evidence", "open", *words, "--name", "look", "--ttl", "10m")
        assert opened["workspace"]["isolated"] and opened["from"] == scene.name and opened["snapshot"] == scene.incident["snapshot"]
        expect_intruder(one, "look")
        expect_no_network(one, opened["id"])
        one.ok("rm", "look")
    # The one it was taken of still stands still, and nothing else is left of the bundle.
    assert {w["id"]: w["status"] for w in one.json("ls")["workspaces"]}[scene.name] == "paused"
    assert not (one.state / "evidence").exists() or list((one.state / "evidence").iterdir()) == []
    kinds = [e.get("signed_by", "") != "" for e in one.json("events", "--kind", "evidence.opened")["events"]]
    assert kinds == [False, True]


def test_a_bundle_that_was_changed_becomes_no_workspace(scene):
    (at,) = [at for name, at, _ in bundles.members(scene.plain) if name == "snapshot/memory"]
    with bundles.Flipped(scene.plain, at + 5000):
        refused = scene.daemon("evidence", "open", scene.plain, "--name", "bad")
    assert refused.status == 1 and "not what was signed" in refused.err and "snapshot/memory" in refused.err, refused
    assert "bad" not in [w["name"] for w in scene.daemon.json("ls")["workspaces"]]
    assert not (scene.daemon.state / "evidence").exists() or list((scene.daemon.state / "evidence").iterdir()) == []


def test_an_encrypted_bundle_opens_with_the_private_key_alone_and_on_another_host_too(scene, golden):
    assert scene.sealed.read_bytes()[:22].startswith(b"age-encryption.org/")
    without = scene.verify(scene.sealed)
    assert without.status == 1 and "--identity" in without.out + without.err, without
    strange = scene.folder / "strange"
    subprocess.run(["age-keygen", "-o", strange], capture_output=True, check=True)
    assert scene.verify(scene.sealed, "--identity", strange).status != 0
    good = scene.verify(scene.sealed, "--identity", scene.keys)
    assert good.status == 0 and json.loads(good.out)["success"], good
    # A flipped byte is found by the decryption itself.
    with bundles.Flipped(scene.sealed, os.path.getsize(scene.sealed) // 2):
        assert scene.verify(scene.sealed, "--identity", scene.keys).status != 0

    other = Cofferdam(golden=golden)
    try:
        other.up()
        first_key = json.loads(good.out)["first_key"]
        # It believes its own ledger, and whom it is told to.
        refused = other("evidence", "open", scene.sealed, "--identity", scene.keys)
        assert refused.status == 1 and "another key" in refused.err and "--key" in refused.err, refused
        # In the open there is no key in it, and only the host that took the snapshot has one.
        refused = other("evidence", "open", scene.plain, "--key", first_key)
        assert refused.status == 1 and "no key that opens the snapshot" in refused.err, refused
        assert other("evidence", "open", scene.sealed, "--identity", strange, "--key", first_key).status == 1
        name = other.ok("evidence", "open", scene.sealed, "--identity", scene.keys, "--key", first_key, "--name", "look").out.strip()
        expect_intruder(other, name)
        other.ok("rm", name)
    finally:
        other.close()


def test_a_configured_key_is_always_one_of_those_it_is_encrypted_to(golden, scene, tmp_path):
    one = Cofferdam(golden=golden)
    try:
        one.start("--evidence-recipients", scene.recipient)
        name = one.create("--ttl", "20m")
        one.ok("contain", name)
        one.ok("evidence", "export", name, "-o", tmp_path / "one")
        assert (tmp_path / "one").read_bytes().startswith(b"age-encryption.org/")
        assert one("evidence", "verify", tmp_path / "one", "--identity", scene.keys).status == 0
        # Nor is it written over, nor kept when it is not whole.
        assert one("evidence", "export", name, "-o", tmp_path / "one").status == 1
        assert one("evidence", "export", "nobody", "-o", tmp_path / "two").status == 1
        assert not (tmp_path / "two").exists()
    finally:
        one.close()
    wrong = subprocess.run([BIN / "cofferd", "--evidence-recipients", "age1nobody", "--state", tmp_path / "s", "--run", tmp_path / "r"],
                           capture_output=True, text=True, check=False)
    assert wrong.returncode != 0 and "no public key of age" in wrong.stderr, wrong


def test_age_works_in_a_cage_and_ends_with_its_reader(scene):
    """The reader stops reading, and looks at whoever encrypts for it."""
    body = json.dumps({"recipients": [scene.recipient]})
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(scene.daemon.run_dir / "cofferd.sock"))
        link.sendall((f"POST /workspace/{scene.name}/evidence HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                      f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
        assert b" 200 " in link.recv(64)
        (age,) = wait_for(lambda: [p for p in traces.of_folders(scene.daemon.state, scene.daemon.run_dir) if p.name == "age"], 20, "age")
        status = pathlib.Path(f"/proc/{age.pid}/status").read_text()
        uids = set(re.search(r"^Uid:\s+(.*)$", status, re.M)[1].split())
        assert len(uids) == 1 and uids != {"0"} and uids.isdisjoint({s for p in scene.daemon.vmms() for s in _uids(p.pid)}), status
        for capability in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert re.search(rf"^{capability}:\s+0+$", status, re.M), (capability, status)
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
        assert os.readlink(f"/proc/{age.pid}/ns/net") != os.readlink("/proc/self/ns/net")
        assert re.search(r"Max file size\s+0\s+0\s", pathlib.Path(f"/proc/{age.pid}/limits").read_text())
        # Its pipes are all it has.
        assert all(place.startswith(("pipe:", "anon_inode:")) for place in age.opened()), age.opened()
        assert scene.recipient in age.argv and not any(MARKER in word for word in age.argv)
    wait_for(lambda: not os.path.exists(f"/proc/{age.pid}"), 20, "the end of age")
    # What the guest had is in the open nowhere on this host's disk.
    time.sleep(0.2)
    assert forensics.in_files(scene.daemon.state, [MARKER.encode()], skip=("images", "templates", "vmm")) == set()


def _uids(pid):
    return re.search(r"^Uid:\s+(.*)$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1].split()
