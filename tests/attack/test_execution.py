"""The checklist's questions about the execution environment, asked by hostile programs in real microVMs."""

import os
import pathlib
import re
import subprocess
import tempfile
import time

import neighbour
import traces
from cofferdam import wait_for


def test_can_it_reach_others_processes_files_interfaces(daemon):
    marker = f"marker-{os.urandom(12).hex()}"
    with tempfile.NamedTemporaryFile("w", prefix="host-secret-") as host_file, daemon.workspace() as other:
        host_file.write(marker)
        host_file.flush()
        # The neighbour has the marker in a file, in its memory, and a process with a telling name.
        daemon.exec(other, "cat >/root/secret; sync; (exec -a other-process sleep 300) >/dev/null 2>&1 &", "-i",
                    stdin=marker.encode())
        with daemon.workspace("--disk", "64M", "--memory", "128M") as name:
            # Processes: its own, all of them children of its own PID 1; none of the host's or the neighbour's.
            seen = daemon.exec(name, "for d in /proc/[0-9]*; do echo \"$(cat $d/comm) $(tr '\\0' ' ' <$d/cmdline)\"; done").out
            for foreign in ("cofferd", "coffer-jail", "qemu", "other-process", "systemd", "pytest"):
                assert foreign not in seen, seen
            # Files: neither the host's nor the neighbour's, through the tree or through the raw disks.
            assert daemon.exec(name, f"cat {host_file.name}").status == 1
            assert daemon.exec(name, "cat /root/secret").status == 1
            found = daemon.exec(name, "cat >/tmp/m; for d in /dev/vd*; do head -c 8388608 $d | tr '\\0' '\\n' | grep -c -F -f /tmp/m; done; ls /dev/vd*",
                                "-i", "--timeout", "60", stdin=marker.encode())
            assert [int(n) for n in re.findall(r"^\d+$", found.out, re.M)] == [0, 0], found
            assert sorted(re.findall(r"/dev/vd\S*", found.out)) == ["/dev/vda", "/dev/vdb"], found
            # The image all workspaces share cannot be written, not even as a raw disk.
            assert daemon.exec(name, "dd if=/dev/zero of=/dev/vda bs=512 count=1 conv=notrunc").status != 0
            # Interfaces: none of the host's; nothing that answers; no route to anywhere.
            links = set(daemon.exec(name, "ls /sys/class/net").out.split())
            assert links <= {"lo", "eth0"}, links
            assert daemon.exec(name, "cat /proc/net/route | tail -n +2; cat /proc/net/ipv6_route | grep -v ' lo$'").out == ""
            host_addresses = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
            for address in ["1.1.1.1", "169.254.169.254", *host_addresses[:1]]:
                silent = daemon.exec(name, f"nc -w 1 {address} 80 </dev/null", "--timeout", "5")
                assert silent.status not in (0, 125) and silent.out == "", silent
            own = daemon.exec(name, f"nc -w 1 127.0.0.1 {daemon.port} </dev/null", "--timeout", "5")
            assert own.status not in (0, 125), own


def test_what_the_vmm_of_a_workspace_has_on_the_host(daemon):
    """From outside: the process that would be the attacker's after an escape holds no identity, capability, network,
    file or process of the host."""
    with daemon.workspace() as name:
        machine = traces.machine_of(daemon.state, name)
        vmms = daemon.vmms()
        assert vmms
        uids = []
        for process in vmms:
            base = pathlib.Path("/proc") / str(process.pid)
            status = dict(line.split(":\t", 1) for line in (base / "status").read_text().splitlines() if ":\t" in line)
            uids.append(status["Uid"].split()[0])
            assert uids[-1] != "0"
            assert {int(status[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
            assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
            assert status["Groups"].strip() in ("", status["Gid"].split()[0])
            for kind in ("mnt", "pid", "net", "ipc", "uts"):
                assert os.readlink(base / "ns" / kind) != os.readlink(f"/proc/self/ns/{kind}"), kind
            interfaces = {line.split(":")[0].strip() for line in (base / "net/dev").read_text().splitlines()[2:]}
            assert interfaces <= {"lo", "tap0"}, interfaces
            assert (base / "net/route").read_text().splitlines()[1:] == []
            mounts = {line.split()[4] for line in (base / "mountinfo").read_text().splitlines()}
            assert mounts <= {"/", "/proc", "/dev"}, mounts
            root = sorted(os.listdir(base / "root"))
            assert set(root) <= {"usr", "lib", "lib64", "proc", "dev", "etc", "share", "bin"}, root
            assert not any(char in word for word in process.argv for char in ("s3cr3t",))
            assert re.search(r"coffer", process.cgroup), process.cgroup
        assert len(set(uids)) == len(uids), f"VMMs share a uid: {uids}"
        assert machine


def test_does_the_environment_still_exist_after_completion_is_there_a_trace(fresh):
    fresh.up()
    marker = f"trace-{os.urandom(12).hex()}"
    known = set(traces.files(fresh.state)) | set(traces.files(fresh.run_dir))
    process = fresh.spawn("run", "--image", "minimal", "-i", "--", "sh", "-c",
                          "read m; echo $m >/root/left; echo $m >/tmp/left; sync; echo ready; read end; exit 0", stdin=subprocess.PIPE)
    process.stdin.write(marker.encode() + b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"ready\n"
    listed = fresh.json("ls")["workspaces"]
    assert len(listed) == 1
    workspace = listed[0]["id"]
    machine = traces.machine_of(fresh.state, workspace)
    assert traces.cgroups_naming(machine), "the machine has no cgroup of its own"
    process.stdin.close()
    assert process.wait(30) == 0

    # It does not exist any more: not for the daemon, not as a process, a cgroup, a mount or a file.
    assert fresh.json("ls")["workspaces"] == []
    assert traces.cgroups_naming(machine) == []
    assert not [p for p in traces.processes() if any(machine in word for word in p.argv)]
    assert not [line for line in traces.mounts(machine)]
    for folder in (fresh.state, fresh.run_dir):
        assert not [f for f in traces.files(folder) if machine in f or workspace in f]
    # No trace: no file of the installation holds what was written inside.
    for folder in (fresh.state, fresh.run_dir, pathlib.Path("/dev/shm")):
        found = subprocess.run(["grep", "-r", "-l", "-s", "-D", "skip", marker, str(folder)], capture_output=True,
                               text=True, check=False)
        assert found.stdout == ""
    # Nor does the next environment find any on its disks.
    found = fresh.run("cat >/tmp/m; for d in /dev/vda /dev/vdb; do head -c 8388608 $d | tr '\\0' '\\n' | grep -c -F -f /tmp/m; done", "-i", "--disk", "64M",
                      stdin=marker.encode())
    assert found.out.split() == ["0", "0"], found
    # And when the daemon goes, nothing but the images and templates stays.
    fresh.down()
    fresh.assert_nothing_left()
    fresh_files = set(traces.files(fresh.state)) | set(traces.files(fresh.run_dir))
    new = [f for f in fresh_files - known if not f.startswith(("images", "templates", "vmm", "disks/formats"))]
    assert new == [] or all(f.endswith((".log", ".json", ".lock")) for f in new), new


def test_an_environment_serves_one_task_only(daemon):
    first = daemon.run("cat /proc/sys/kernel/random/boot_id; touch /tmp/was-here /root/was-here")
    second = daemon.run("cat /proc/sys/kernel/random/boot_id; ls /tmp /root")
    assert first.status == second.status == 0
    assert first.out not in second.out and "was-here" not in second.out


def test_a_fork_bomb_does_anything_else_notice(daemon):
    with neighbour.unharmed(daemon) as check, daemon.workspace() as name:
        before = neighbour.threads_below(daemon.pid)
        # What its processes complain of is more than a pipe holds, which nobody reads here.
        bomb = daemon.spawn("exec", "--timeout", "8", name, "--", "sh", "-c", "b() { b | b & }; b; while :; do sleep 1; done",
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        most = 0
        end = time.monotonic() + 120
        while bomb.poll() is None and time.monotonic() < end:
            check()
            most = max(most, neighbour.threads_below(daemon.pid) - before)
        bomb.kill()
        assert bomb.wait() in (124, 137, 125, 2, 1), bomb.returncode
        # However many processes the guest made, the host saw the few threads of the VMM and of its clients.
        assert most < 100, f"the host grew by {most} threads"
        # The bombed machine itself still answers: its agent is out of the bomb's reach.
        wait_for(lambda: daemon.exec(name, "echo alive", "--timeout", "20").out == "alive\n", 60,
                 "an answer of the bombed workspace")
    assert name not in [w["id"] for w in daemon.json("ls")["workspaces"]]


def test_no_url_can_be_fetched_and_no_name_is_resolved(daemon):
    done = daemon.run("curl -sS -m 3 https://example.com/; echo $?; curl -sS -m 3 http://1.1.1.1/; echo $?; "
                      "getent hosts example.com; echo $?; ip -o addr show scope global; ip route; ip -6 route show default",
                      "--timeout", "40", image="debian-12")
    assert done.status == 0, done
    first, second, third, *rest = done.out.splitlines()
    assert first in ("6", "7", "28") and second in ("7", "28") and third == "2", done
    assert rest == [], rest


def test_nothing_that_listens_inside_can_be_reached_from_outside(daemon):
    with daemon.workspace() as name, daemon.workspace() as other:
        listening = daemon.spawn("exec", name, "--", "nc", "-l", "-p", "5432")
        wait_for(lambda: ":1538 " in daemon.exec(name, "cat /proc/net/tcp /proc/net/tcp6").out, 10, "the listener")
        # The host has no interface, address or route that leads there, and neither has the neighbour.
        assert not [i for i in traces.interfaces() if i.startswith(("tap", "coffer", "veth"))]
        addresses = daemon.exec(name, "ip -o addr 2>/dev/null || ifconfig -a").out
        own = [a for a in re.findall(r"inet6? (?:addr:)?([0-9a-f.:]+)", addresses) if not a.startswith(("127.", "::1"))]
        for address in own:
            assert daemon.exec(other, f"nc -w 1 {address} 5432 </dev/null", "--timeout", "5").status != 0
        assert listening.poll() is None, "somebody connected"
        listening.kill()
        listening.wait()
