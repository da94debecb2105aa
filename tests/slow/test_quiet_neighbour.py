"""Ordinary work raises no alert: git clone, compile and pip install from an index, over and over, under the rules that
are on by default. The repository and the index are served by the test's internet (internet.py).

COFFER_QUIET_SECONDS says for how long; `make test-quiet` takes the ten minutes."""

import base64
import hashlib
import os
import subprocess
import time
import zipfile

import pytest

import internet as nets
from cofferdam import maker_of, wait_for

SECONDS = int(os.environ.get("COFFER_QUIET_SECONDS", "45"))
IMAGE = "python-3.11"
BASE = "http://allowed.example/files"
MODULES = 40
# One round of it. A person or an agent looks at what came out before going on.
WORK = f"""set -e
cd /home/user
rm -rf project env
git clone -q {BASE}/project.git project
sleep 2
python3 -m compileall -q project
python3 -m unittest discover -q -s project 2>&1 | tail -n 1
sleep 2
python3 -m venv --without-pip env
python3 -m pip --python env/bin/python install -q --no-cache-dir --index-url {BASE}/simple --trusted-host allowed.example counting
env/bin/python -c 'import counting; print(counting.upto(3))'
sleep 2
"""


def git(*words, cwd):
    subprocess.run(["git", "-c", "user.name=test", "-c", "user.email=test@test.example", *words], cwd=cwd, check=True,
                   capture_output=True)


def make_repository(files, scratch):
    """A project of some modules and their test, as a repository that plain HTTP serves."""
    source = scratch / "project"
    source.mkdir()
    for i in range(MODULES):
        body = "\n".join(f"def f{j}(x):\n    return [x * {i} + y for y in range({j + 1})]\n" for j in range(60))
        (source / f"part{i}.py").write_text(body)
    (source / "test_parts.py").write_text(
        "import unittest, part1\n\n\nclass Parts(unittest.TestCase):\n    def test_one(self):\n"
        "        self.assertEqual(part1.f1(2), [2, 3])\n")
    git("init", "-q", "-b", "main", ".", cwd=source)
    git("add", ".", cwd=source)
    git("commit", "-q", "-m", "all of it", cwd=source)
    git("clone", "-q", "--bare", str(source), str(files / "project.git"), cwd=scratch)
    git("update-server-info", cwd=files / "project.git")


def make_wheel(folder, name, version, code, requires=()):
    """A wheel as PEP 427 has it, without any tool that would have to be there."""
    dist = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {other}\n" for other in requires)
    contents = {
        f"{name}/__init__.py": code,
        f"{dist}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{dist}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    contents[f"{dist}/RECORD"] = record + f"{dist}/RECORD,,\n"
    folder.mkdir(parents=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    (folder / "index.html").write_text(f'<!doctype html><a href="{wheel.name}">{wheel.name}</a>\n')


def make_index(files):
    """A package and what it needs, as PEP 503 has it."""
    make_wheel(files / "simple" / "numbering", "numbering", "1.0", "def numbers(n):\n    return list(range(1, n + 1))\n")
    make_wheel(files / "simple" / "counting", "counting", "2.1",
               "import numbering\n\n\ndef upto(n):\n    return numbering.numbers(n)\n", ["numbering>=1.0"])


@pytest.fixture(scope="module")
def internet(tmp_path_factory):
    one = nets.Internet()
    try:
        make_repository(one.files, tmp_path_factory.mktemp("repository"))
        make_index(one.files)
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def daemon(golden, internet):
    with maker_of(golden) as maker:  # which keeps it for the next time
        maker.ok("image", "build", IMAGE, timeout=900)
    one = nets.Networked(golden, internet)
    one.up()
    yield one
    one.close()


def alerts(daemon):
    return daemon.json("alerts", "ls", "--all")["alerts"]


def test_a_quiet_neighbour_raises_no_alert_while_it_works(daemon, internet):
    worker = daemon.create("--memory", "512M", "--cpus", "1", "--ttl", "60m", image=IMAGE)
    daemon.ok("network", "allow", worker, "allowed.example")
    began, rounds = time.monotonic(), 0
    while rounds == 0 or time.monotonic() - began < SECONDS:
        done = daemon.exec(worker, WORK, "--timeout", "240", timeout=260)
        assert done.status == 0 and "[1, 2, 3]" in done.out and "OK" in done.out, done
        rounds += 1
        assert alerts(daemon) == [], f"after {rounds} rounds"
    # All of it went over its network, and the watch has seen it work.
    assert len(internet.heard("/files/project.git/info/refs")) >= rounds
    assert len(internet.heard("/files/simple/counting/")) >= rounds
    assert daemon.json("stats", worker)["stats"]["outside"]["cpu_ms"] > 0
    # The watch was awake all the while: beside it, what is out of the ordinary is told, and of the other one.
    with daemon.workspace("--ttl", "10m") as other:
        daemon.exec(other, "(setsid sleep 600 </dev/null >/dev/null 2>&1 &)")
        found = wait_for(lambda: alerts(daemon), 90, "the alert of a stray process")
        assert {(a["rule"], a["workspace_id"]) for a in found} == {("stray_process", other)}, found
    print(f"{rounds} rounds in {time.monotonic() - began:.0f} s")
