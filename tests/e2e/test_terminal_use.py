"""What a person at a terminal sees: completion in a real shell, and bars of progress where there is a terminal."""

import os
import pty
import re
import select
import subprocess

import pytest

import cofferdam as support


def completed(host, *words):
    """What bash offers for the last of these words."""
    script = host.ok("completion", "bash").out
    line = script + '\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _coffer; printf "%s\\n" "${COMPREPLY[@]}"'
    path = f"{support.BIN}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", line, "bash", *words], env={**host._environment(), "PATH": path},
                          capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


def test_the_shell_completes_commands_options_and_workspaces(daemon):
    assert "workload" in completed(daemon, "coffer", "wo")
    assert {"create", "logs"} <= set(completed(daemon, "coffer", "workload", ""))
    assert completed(daemon, "coffer", "run", "--mem") == ["--memory"]
    assert "--restart" in " ".join(completed(daemon, "coffer", "workload", "create", "--"))
    assert completed(daemon, "coffer", "token", "create", "--workspa") == ["--workspace"]
    with daemon.workspace() as workspace:
        assert workspace in completed(daemon, "coffer", "exec", "ws_")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell_that_names_every_command(daemon, shell):
    script = daemon.ok("completion", shell).out
    for command in ("run", "workload", "token", "secret", "namespace", "webhook", "top", "shell", "cp"):
        assert re.search(rf"\b{command}\b", script), command
    assert daemon("completion", "cmd.exe").status == 2


def run_on_a_terminal(host, *argv):
    """(what came to stderr, which is a terminal; the status)"""
    ours, theirs = pty.openpty()
    process = host.spawn(*argv, stderr=theirs)
    os.close(theirs)
    seen = b""
    while True:
        ready, _, _ = select.select([ours], [], [], support.DEADLINE_S)
        assert ready, f"coffer {argv} hangs: {seen[-500:]}"
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    process.stdout.close()
    return seen.decode(errors="replace"), process.wait(support.DEADLINE_S)


def test_a_copy_shows_a_bar_on_a_terminal_and_nothing_in_a_pipe(daemon, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(os.urandom(24 << 20))
    with daemon.workspace() as workspace:
        seen, status = run_on_a_terminal(daemon, "cp", big, f"{workspace}:/big")
        assert status == 0, seen
        assert re.search(r"\[#*-+\]\s+\d+%", seen), repr(seen[-500:])
        assert seen.endswith("\r\x1b[K") or "\r\x1b[K" in seen.rsplit("%", 1)[1], "the bar is left on the screen"
        back, status = run_on_a_terminal(daemon, "cp", f"{workspace}:/big", tmp_path / "back")
        assert status == 0 and "%" in back, back
        assert (tmp_path / "back").read_bytes() == big.read_bytes()
        piped = daemon.ok("cp", big, f"{workspace}:/again")
        assert piped.err == "" and piped.out == ""


def test_a_build_shows_a_bar_on_a_terminal_lines_in_a_pipe_and_json_to_machines(daemon):
    seen, status = run_on_a_terminal(daemon, "image", "build", "minimal")
    assert status == 0, seen
    plain = daemon.ok("image", "build", "minimal")
    assert "\x1b" not in plain.err and "\r" not in plain.err
    machine = daemon.ok("--json", "image", "build", "minimal")
    assert machine.err == "" and machine.out.startswith("{")


def test_top_is_a_table_for_people_and_json_for_machines(daemon):
    with daemon.workspace() as workspace:
        # It is looked at once a second; the first look has nothing to compare with.
        support.wait_for(lambda: workspace in daemon.ok("top").out, 20, "its row")
        assert daemon.json("top")
