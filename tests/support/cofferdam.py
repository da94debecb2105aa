"""A Cofferdam of one's own: a real daemon in scratch folders, driven through the programs a user has."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import traces

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("COFFER_TEST_BIN") or ROOT / "build" / "bin")
# No test waits longer than this for one command, so that a hang is a failure with a name.
DEADLINE_S = 90
# What state folders share, since it never changes in place and takes long to make.
SHARED = ("images", "templates", "vmm")
# A file in such a folder: locked by whoever builds there, shared by those who take it over.
TURN = "tests.lock"


class Done:
    """How a command ended."""

    def __init__(self, status, out, err):
        self.status, self.raw, self.err = status, out, err.decode(errors="replace")

    @property
    def out(self):
        return self.raw.decode(errors="replace")

    def __repr__(self):
        return f"status {self.status}\nstdout: {self.out[-2000:]}\nstderr: {self.err[-2000:]}"


def wait_for(condition, seconds=20.0, what="the condition"):
    """Polls until condition() is true; what it is then is returned."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(0.02)


@contextlib.contextmanager
def maker_of(state):
    """A running daemon on a state folder that others take over: nobody does, and nobody else builds there, meanwhile."""
    state.mkdir(parents=True, exist_ok=True)
    with open(state / TURN, "a", encoding="ascii") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        one = Cofferdam(state=state)
        try:
            one.up()
            yield one
        finally:
            one.close()


@contextlib.contextmanager
def unchanged(state):
    """Nobody builds in that state folder meanwhile; any number may read it."""
    with open(state / TURN, "a", encoding="ascii") as turn:
        fcntl.flock(turn, fcntl.LOCK_SH)
        yield


class Cofferdam:
    """One installation. `golden`: another state folder whose images and templates are taken over as hard links.

    It has no TCP address, so that any number of them live side by side; `tcp`: one on a port that the kernel chooses.
    """

    # In front of every program that is started: how a daemon is put into a network namespace of a test's own.
    within = ()

    def __init__(self, golden=None, state=None, tcp=False):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="cfd-", dir="/tmp"))
        self.base.chmod(0o755)
        self.state = pathlib.Path(state) if state else self.base / "state"
        self.run_dir = self.base / "run"
        self.state.mkdir(mode=0o755, exist_ok=True, parents=True)
        self.environment = {"COFFER_STATE": str(self.state), "COFFER_RUN": str(self.run_dir),
                            "COFFER_LISTEN": "127.0.0.1:0" if tcp else "none"}
        if golden:
            self._take_over(pathlib.Path(golden))
        # The folder below each controller that holds this installation's VMMs; vmms() checks that it is so.
        self.cgroup_name = "cofferdam-" + hashlib.sha256(f"{self.run_dir}/vm".encode()).hexdigest()[:8]

    def _take_over(self, golden):
        with unchanged(golden):
            for name in SHARED:
                if (golden / name).exists():
                    subprocess.run(["cp", "-al", str(golden / name), str(self.state)], check=True)

    # -- commands ------------------------------------------------------------------------------------------------
    def _environment(self, more=None):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("COFFER_")}
        return {**kept, **self.environment, **(more or {})}

    def spawn(self, *argv, env=None, **options):
        """Starts `coffer ARGV…`; the caller waits for it."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([*self.within, str(BIN / "coffer"), *map(str, argv)], env=self._environment(env), **options)

    def __call__(self, *argv, stdin=b"", env=None, timeout=DEADLINE_S):
        """Runs `coffer ARGV…` to its end."""
        process = self.spawn(*argv, env=env, stdin=subprocess.PIPE)
        try:
            out, err = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"coffer {' '.join(map(str, argv))} did not end within {timeout} s\n"
                                 f"{Done(None, out, err)}") from None
        return Done(process.returncode, out, err)

    def ok(self, *argv, **options):
        done = self(*argv, **options)
        assert done.status == 0, f"coffer {' '.join(map(str, argv))}: {done}"
        return done

    def json(self, *argv, **options):
        return json.loads(self.ok("--json", *argv, **options).out)

    def run(self, command, *options, image="minimal", **more):
        """`coffer run` of a command (a list, or a line for sh) in a fresh microVM."""
        words = ["sh", "-c", command] if isinstance(command, str) else command
        return self("run", "--image", image, *options, "--", *words, **more)

    def create(self, *options, image="minimal"):
        return self.ok("create", "--image", image, *options).out.strip()

    def exec(self, workspace, command, *options, **more):
        words = ["sh", "-c", command] if isinstance(command, str) else command
        return self("exec", *options, workspace, "--", *words, **more)

    @contextlib.contextmanager
    def workspace(self, *options, image="minimal"):
        name = self.create(*options, image=image)
        try:
            yield name
        finally:
            self("rm", name)

    def images(self):
        """Name to id of every image that is built."""
        return {i["image"]: i["id"] for i in self.json("image", "ls")["images"] if i["built"]}

    # -- the daemon ----------------------------------------------------------------------------------------------
    def up(self):
        done = self("up", timeout=120)
        assert done.status == 0, f"the daemon did not start: {done}\n{self.log()}"
        return self

    def start(self, *options):
        """The daemon itself in the background, with options that `coffer up` does not have."""
        with open(self.base / "cofferd.log", "ab") as log:
            subprocess.Popen([*self.within, str(BIN / "cofferd"), *options], env=self._environment(), stdin=subprocess.DEVNULL,
                             stdout=log, stderr=log, start_new_session=True)
        wait_for(lambda: self("ls").status == 0, 30, "an answer of cofferd")
        return self

    def down(self, *options):
        return self("down", *options, timeout=60)

    @property
    def url(self):
        """Where the daemon answers over TCP."""
        return json.loads(self.ok("--json", "up").out)["listen"]

    @property
    def port(self):
        return int(self.url.rsplit(":", 1)[1])

    def administrator(self):
        """(client id, client secret)"""
        kept = json.loads((self.state / "admin.json").read_text())
        return kept["client_id"], kept["client_secret"]

    @property
    def pid(self):
        """Of the running cofferd, or None."""
        found = [p.pid for p in traces.of_folders(self.state, self.run_dir) if p.name == "cofferd" and p.state != "Z"]
        return found[0] if found else None

    def kill(self):
        """kill -9 of the daemon."""
        pid = self.pid
        assert pid is not None, "no daemon runs"
        os.kill(pid, signal.SIGKILL)
        # The first of its threads may be a zombie while the others still hold what is open.
        wait_for(lambda: not os.path.exists(f"/proc/{pid}") or
                 (traces.Process(pid).state == "Z" and len(os.listdir(f"/proc/{pid}/task")) == 1), what="the daemon's end")

    def log(self):
        """The end of whatever the daemon wrote."""
        texts = []
        for folder in (self.base, self.state):
            for path in sorted(folder.glob("*.log")) if folder.exists() else []:
                texts.append(f"--- {path}\n{path.read_text(errors='replace')[-4000:]}")
        return "\n".join(texts)

    # -- what is there -------------------------------------------------------------------------------------------
    def vmms(self):
        found = traces.vmms(self.state, self.run_dir)
        for process in found:
            parents = {folder.parent.name for folder in traces.cgroups_of(process)}
            # A VMM that is just being started, or just gone, is in none yet or any more.
            assert parents <= {self.cgroup_name}, parents
        return found

    def cgroups(self):
        return traces.cgroups_below(traces.cgroups_naming(self.cgroup_name))

    def jails(self):
        return traces.jails(self.state, self.run_dir)

    def leftovers(self):
        """What an installation without a running workspace must not have: VMMs, jails, their cgroups, mounts, files."""
        own = ("cofferd", "coffer", "coffer-gate") if self.pid else ("cofferd", "coffer")  # the gate is the daemon's own
        found = [str(p) for p in traces.of_folders(self.state, self.run_dir) if p.name not in own]
        found += self.cgroups()
        found += traces.mounts(self.state, self.run_dir)
        found += [f for f in traces.files(self.state, skip=SHARED) if f.startswith("workspaces/")]
        return found

    def assert_nothing_left(self, seconds=20):
        """After the daemon is down, or with a pool of nothing."""
        left = []

        def clean():
            left[:] = self.leftovers()
            return not left

        try:
            wait_for(clean, seconds)
        except AssertionError:
            raise AssertionError("left over:\n" + "\n".join(map(str, left))) from None

    def close(self):
        """Stops everything, by force where needed, and removes the folders."""
        with contextlib.suppress(AssertionError, OSError):
            self.down("--all")
        for process in reversed(traces.of_folders(self.state, self.run_dir)):
            with contextlib.suppress(OSError):
                os.kill(process.pid, signal.SIGKILL)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not traces.of_folders(self.state, self.run_dir), 10)
        for line in reversed(traces.mounts(self.base)):
            subprocess.run(["umount", "-l", line.split()[4]], check=False)
        shutil.rmtree(self.base, ignore_errors=True)
