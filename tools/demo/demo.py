#!/usr/bin/python3
"""What `./run` ends with: a program in a fresh microVM, and the proof, from both sides, of what it was and what is left."""

import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import traces  # noqa: E402

COFFER = ROOT / "build" / "bin" / "coffer"
STATE = pathlib.Path(os.environ.get("COFFER_STATE", "/var/lib/cofferdam"))
RUN = pathlib.Path(os.environ.get("COFFER_RUN", "/run/cofferdam"))
IMAGE = "debian-12"
KEPT = ["COFFER_STATE", "COFFER_RUN", "COFFER_LISTEN"]


def coffer(*words, **options):
    return subprocess.run([str(COFFER), *words], check=False, **options)


def fail(message, hint):
    print(f"error: {message}\n  what to do: {hint}", file=sys.stderr)
    sys.exit(1)


def ensure_daemon():
    """Starts cofferd where none answers, and again where an older build of it runs and nobody's workspace would end."""
    listed = coffer("--json", "ls", capture_output=True)
    if listed.returncode == 0:
        daemons = [p for p in traces.of_folders(STATE, RUN) if p.name == "cofferd"]
        if not any(os.readlink(f"/proc/{p.pid}/exe").endswith(" (deleted)") for p in daemons):
            return
        if json.loads(listed.stdout)["workspaces"]:
            print("note: cofferd runs an older build; `coffer down` and `coffer up` when its workspaces are done")
            return
        print("cofferd was built anew: starting it again")
        coffer("down", stdout=subprocess.DEVNULL)
    if coffer("up").returncode != 0:
        fail("cofferd did not start", "read the lines above; `build/bin/coffer doctor` says what this host lacks")


def ensure_image():
    listed = coffer("--json", "image", "ls", capture_output=True)
    images = json.loads(listed.stdout)["images"] if listed.returncode == 0 else []
    if any(image["image"] == IMAGE and image["built"] for image in images):
        return
    print(f"building the image {IMAGE}, once")
    if coffer("image", "build", IMAGE).returncode != 0:
        fail(f"the image {IMAGE} could not be built", "read the lines above; Debian's archive must be reachable")


def look_from_outside(hostname):
    """The workspace, and the processes and cgroups that are it on this host."""
    listed = json.loads(coffer("--json", "ls", capture_output=True).stdout)["workspaces"]
    workspace = next(w for w in listed if w["hostname"] == hostname)
    machine = traces.machine_of(STATE, workspace["id"])
    vmm = next(p for p in traces.vmms(STATE, RUN) if machine in p.cgroup)
    status = pathlib.Path(f"/proc/{vmm.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    links = [line.split(":")[0].strip() for line in
             pathlib.Path(f"/proc/{vmm.pid}/net/dev").read_text().splitlines()[2:]]
    return {"workspace": workspace["id"], "vm": machine, "pids": [vmm.pid, vmm.parent],
            "uid": int(fields["Uid"].split()[0]), "capabilities": int(fields["CapEff"], 16), "links": sorted(links),
            "own_network": os.readlink(f"/proc/{vmm.pid}/ns/net") != os.readlink("/proc/self/ns/net"),
            "cgroups": [str(folder) for folder in traces.cgroups_of(vmm)]}


def left(seen):
    found = [f"process {pid}" for pid in seen["pids"] if os.path.exists(f"/proc/{pid}")]
    found += [folder for folder in seen["cgroups"] if os.path.exists(folder)]
    for folder in (STATE, RUN):
        found += [f for f in traces.files(folder, skip=("images", "vmm")) if seen["vm"] in f or seen["workspace"] in f]
    return found


def main():
    if os.geteuid() != 0:
        os.execvp("sudo", ["sudo", f"--preserve-env={','.join(KEPT)}", sys.executable, __file__])
    ensure_daemon()
    ensure_image()
    print(f"\n$ coffer run --image {IMAGE} -- python3 -c '…'", flush=True)
    process = subprocess.Popen([str(COFFER), "run", "--image", IMAGE, "-i", "--", "python3", "-c",
                                (ROOT / "tools/demo/inside.py").read_text()],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    inside = None
    for line in process.stdout:
        if line.startswith("{"):
            inside = json.loads(line)
            break
        print(line, end="", flush=True)
    if inside is None:
        fail(f"the program ended with status {process.wait()} before it had said all", "read the lines above")
    seen = look_from_outside(inside["hostname"])
    process.stdin.close()
    process.stdout.read()
    status = process.wait()
    ended = time.monotonic()
    remains = left(seen)
    while remains and time.monotonic() < ended + 5:
        time.sleep(0.01)
        remains = left(seen)

    host = os.uname().release
    proofs = [
        (inside["boot_id"] != pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
         f"own kernel: {inside['kernel']} inside, {host} on this host, and a boot id of its own"),
        (not inside["routes"] and "connected" not in inside["outside"].values(),
         "no network: no route inside, and nothing outside answered"),
        (seen["own_network"] and set(seen["links"]) <= {"lo", "tap0"},
         f"no wire: the machine sat in a network namespace with {' and '.join(seen['links'])} only"),
        (seen["uid"] != 0 and seen["capabilities"] == 0,
         f"jailed: QEMU ran as uid {seen['uid']}, which is nobody else's, with no capability and an empty root"),
        (status == 0 and not remains,
         f"nothing is left: processes {seen['pids'][0]} and {seen['pids'][1]}, their cgroups and every file of "
         f"{seen['workspace']} are gone" if not remains else f"something is left: {', '.join(remains)}"),
    ]
    print("\nproven:")
    for holds, text in proofs:
        print(f"  {'ok  ' if holds else 'NO  '} {text}")
    if not all(holds for holds, _ in proofs):
        sys.exit(1)
    print("\nnext: build/bin/coffer run -- python3 -c 'print(6*7)'   ·   build/bin/coffer --help   ·   ./test")


if __name__ == "__main__":
    main()
