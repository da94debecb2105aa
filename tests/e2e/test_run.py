"""`coffer run`: one command in a fresh microVM, streamed both ways, ending with the command's own status."""

import fcntl
import hashlib
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time

import pytest
import traces
from cofferdam import wait_for


def read_until(stream, text, seconds=30):
    """Reads a pipe or terminal descriptor until the text is there; the whole of what came is returned."""
    got = b""
    os.set_blocking(stream, False)

    def grow():
        nonlocal got
        try:
            got += os.read(stream, 65536)
        except (BlockingIOError, OSError):
            pass
        return text in got

    wait_for(grow, seconds, f"{text!r} in the output")
    return got


def test_output_and_status_are_the_commands_own(daemon):
    done = daemon.run("echo out; echo err >&2; exit 7")
    assert (done.status, done.out, done.err) == (7, "out\n", "err\n")


def test_the_kernel_is_not_the_hosts(daemon):
    done = daemon.run(["cat", "/proc/sys/kernel/random/boot_id", "/proc/version"])
    assert done.status == 0, done
    boot_id, version = done.out.splitlines()
    assert boot_id != open("/proc/sys/kernel/random/boot_id").read().strip()
    assert version != open("/proc/version").read().strip()


def test_arguments_arrive_as_they_were_given(daemon):
    words = ["a b", "", "$HOME", "'q'", "ünï", "--", "-x", "line\nline"]
    done = daemon.run(["printf", "[%s]", *words])
    assert done.out == "".join(f"[{word}]" for word in words), done


def test_standard_input_is_binary_safe_both_ways(daemon):
    sent = os.urandom(3 << 20)
    done = daemon.run(["cat"], "-i", stdin=sent)
    assert done.status == 0, done
    assert hashlib.sha256(done.raw).digest() == hashlib.sha256(sent).digest()


def test_without_i_standard_input_is_empty(daemon):
    done = daemon.run(["cat"], stdin=b"not for the guest")
    assert (done.status, done.out) == (0, ""), done


def test_output_streams_while_the_command_runs(daemon):
    process = daemon.spawn("run", "--image", "minimal", "-i", "--", "sh", "-c",
                           "echo first; read answer; echo got $answer", stdin=subprocess.PIPE)
    read_until(process.stdout.fileno(), b"first\n")
    assert process.poll() is None
    process.stdin.write(b"42\n")
    process.stdin.flush()
    read_until(process.stdout.fileno(), b"got 42\n")
    assert process.wait(30) == 0


def test_the_status_comes_after_the_last_byte(daemon):
    done = daemon.run("i=0; while [ $i -lt 20 ]; do dd if=/dev/zero bs=64k count=16 2>/dev/null; i=$((i+1)); done; exit 3")
    assert (done.status, len(done.raw)) == (3, 20 << 20), done.err


def test_a_terminal_has_the_size_of_the_users_and_follows_it(daemon):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 91, 0, 0))
    process = daemon.spawn("run", "--image", "minimal", "-it", "--", "sh", "-c",
                           "test -t 0 && test -t 1 && echo terminal; stty size; read x; stty size; exit 4",
                           stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = read_until(master, b"33 91")
    assert b"terminal" in seen
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
    process.send_signal(signal.SIGWINCH)
    time.sleep(0.3)
    os.write(master, b"\n")
    read_until(master, b"50 120")
    assert process.wait(30) == 4
    os.close(master)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_the_command(daemon, number):
    name = number.name.removeprefix("SIG")
    process = daemon.spawn("run", "--image", "minimal", "--", "sh", "-c",
                           f"trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.1; done")
    read_until(process.stdout.fileno(), b"ready\n")
    process.send_signal(number)
    read_until(process.stdout.fileno(), f"got {name}\n".encode())
    assert process.wait(30) == 9


def test_a_killed_client_takes_its_machine_with_it(daemon):
    process = daemon.spawn("run", "--image", "minimal", "--", "sh", "-c", "echo ready; sleep 100")
    read_until(process.stdout.fileno(), b"ready\n")
    before = {w["id"] for w in daemon.json("ls")["workspaces"]}
    assert before
    process.kill()
    process.wait()
    wait_for(lambda: not {w["id"] for w in daemon.json("ls")["workspaces"]} & before, 20, "the workspace's end")


def test_environment_from_options_and_files(daemon, tmp_path):
    listed = tmp_path / "env"
    listed.write_text("# a comment\nFROM_FILE=a=b c\n\nEMPTY=\n")
    done = daemon.run("printf '%s|' \"$GIVEN\" \"$FROM_FILE\" \"${EMPTY-unset}\"", "--env", "GIVEN=x y",
                      "--env-file", listed)
    assert (done.status, done.out) == (0, "x y|a=b c||"), done


def test_a_secret_from_a_file_is_in_no_argument_vector(daemon, tmp_path):
    listed = tmp_path / "env"
    listed.write_text("TOKEN=s3cr3t-in-no-list\n")
    process = daemon.spawn("run", "--image", "minimal", "--env-file", listed, "--", "sh", "-c",
                           "cat /proc/cmdline; for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; done; echo ready; sleep 20")
    seen = read_until(process.stdout.fileno(), b"ready\n")
    assert b"s3cr3t-in-no-list" not in seen
    told = [p for p in traces.processes() if any("s3cr3t-in-no-list" in word for word in p.argv)]
    process.terminate()
    process.wait(30)
    assert told == []
    assert "s3cr3t-in-no-list" not in daemon.log()


def test_the_working_folder(daemon):
    assert daemon.run("pwd", "--workdir", "/usr").out == "/usr\n"
    missing = daemon.run("pwd", "--workdir", "/no/such")
    assert missing.status != 0 and "/no/such" in missing.err, missing


def test_the_user(daemon):
    done = daemon.run("id -un; id -u; echo $HOME", "--user", "user", image="debian-12")
    assert done.status == 0, done
    name, number, home = done.out.split()
    assert name == "user" and number != "0" and home == "/home/user"
    unknown = daemon.run("id", "--user", "nobody-of-that-name", image="debian-12")
    assert unknown.status != 0 and "nobody-of-that-name" in unknown.err, unknown


def test_a_file_is_there_before_the_command(daemon, tmp_path):
    local = tmp_path / "data.bin"
    local.write_bytes(os.urandom(100_000))
    script = tmp_path / "tool.sh"
    script.write_text("#!/bin/sh\nsha256sum /data/in.bin\n")
    script.chmod(0o755)
    done = daemon.run(["/opt/tool.sh"], "--file", f"{local}:/data/in.bin", "--file", f"{script}:/opt/tool.sh")
    assert done.status == 0, done
    assert done.out.split()[0] == hashlib.sha256(local.read_bytes()).hexdigest()


def test_a_command_that_does_not_exist_is_127(daemon):
    done = daemon.run(["no-such-command"])
    assert done.status == 127 and "no-such-command" in done.err, done


def test_a_file_that_is_not_executable_is_126(daemon):
    done = daemon.run(["/etc/hosts"])
    assert done.status == 126 and "/etc/hosts" in done.err, done


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_death_by_a_signal_is_128_and_its_number(daemon, number):
    done = daemon.run(f"kill -{int(number)} $$")
    assert done.status == 128 + number, done


def test_a_command_over_its_time_is_124(daemon):
    done = daemon.run("echo started; sleep 60", "--timeout", "1")
    assert (done.status, done.out) == (124, "started\n"), done
    assert "time" in done.err


def test_a_machine_over_its_ttl_ends(daemon):
    done = daemon.run("echo started; sleep 60", "--ttl", "2")
    assert done.status in (124, 125) and done.out == "started\n", done
    assert "ttl" in done.err.lower(), done


def test_the_shape_is_what_was_asked(daemon):
    done = daemon.run("nproc; awk '/MemTotal/ {print $2}' /proc/meminfo; df -k / | awk 'END {print $2}'",
                      "--cpus", "2", "--memory", "300M", "--disk", "200M")
    assert done.status == 0, done
    cpus, memory_kib, disk_kib = map(int, done.out.split())
    assert cpus == 2
    assert 200 << 10 <= memory_kib <= 300 << 10
    assert 120 << 10 <= disk_kib <= 200 << 10


def test_a_fraction_of_a_cpu_still_runs(daemon):
    assert daemon.run("nproc", "--cpus", "0.5").out == "1\n"


def test_ten_at_once_keep_their_outputs_apart(daemon):
    results = {}

    def one(number):
        results[number] = daemon.run(f"echo {number}; sleep 0.2; echo {number}")

    threads = [threading.Thread(target=one, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: d.out for n, d in results.items()} == {n: f"{n}\n{n}\n" for n in range(10)}


def test_usage_errors_are_2(daemon):
    assert daemon("run", "--no-such-option").status == 2
    assert daemon("run").status == 2
    assert daemon("no-such-command").status == 2


def test_without_a_daemon_the_message_says_how_to_start_it(fresh):
    done = fresh.run("true")
    assert done.status == 125, done
    assert "coffer up" in done.err, done
    assert fresh("ls").status == 1
