#!/usr/bin/python3
"""run.py PART…: builds what a part needs, runs it, and closes with one line: how many tests passed and how many failed.

Parts: lint, unit (GoogleTest), e2e, attack, crash, slow (pytest, real microVMs; slow is limits and bad input, minutes under
TCG); `all` is these, the last four at once. On their own: quiet (ten minutes of ordinary work under the watch), sdk (the published client, from npm), sanitized (unit tests under ASan and UBSan), setup (the installation in a bare Debian root).
"""

import os
import pathlib
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build" / "test-results"
REAL = ["e2e", "attack", "crash", "slow"]
LONGEST = ["slow", "attack", "e2e", "crash"]
PARTS = ["lint", "unit", *REAL]
# Files of whole-system tests that run at once. A test waits more than it works: one more than there are CPUs.
LANES = int(os.environ.get("COFFER_TEST_LANES") or len(os.sched_getaffinity(0)) + 1)
ON_THEIR_OWN = ["sdk", "sanitized", "setup", "quiet"]
# Rooms whose unit tests also run under the sanitizers: those that read bytes of guests and clients. The rest is glue over
# the kernel and QEMU, or a static program, and a second build of it would double the time of ./test.
SANITIZED = ["base", "wire", "guest", "http", "model", "gate"]


class Count:
    """What one runner reported; `names` has the failed tests, each with the first line of what it said."""

    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped, self.names = passed, failed, skipped, []

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.names += other.names
        return self

    def fail(self, name, said):
        self.failed += 1
        self.names.append(f"{name}: {(said or '').strip().splitlines()[0] if (said or '').strip() else 'no message'}")

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


def call(command, **options):
    return subprocess.run([str(word) for word in command], cwd=ROOT, check=False, **options).returncode


def as_root(command):
    return command if os.geteuid() == 0 else ["sudo", "--preserve-env=COFFER_TEST_IMAGES,COFFER_QUIET_SECONDS", *command]


def read_junit(path, part=None):
    """The tests of one file of results; `part`: those alone that lie in tests/PART."""
    count = Count()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        if part and not case.get("classname", "").startswith(f"tests.{part}."):
            continue
        if case.get("status") == "notrun" or case.get("result") == "skipped" or case.find("skipped") is not None:
            count.skipped += 1
        elif case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
            complaint = next((found for kind in ("failure", "error") if (found := case.find(kind)) is not None), None)
            count.fail(f"{case.get('classname', '')}.{case.get('name')}",
                       complaint.get("message") if complaint is not None else "")
        else:
            count.passed += 1
    return count


def run_ctest(build, results, selection):
    """Runs the unit tests of one build folder; counts GoogleTest's cases, and one for each program that died midway."""
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    junit = results / "ctest.xml"
    environment = dict(os.environ, GTEST_OUTPUT=f"xml:{results}/")
    call(["ctest", "--test-dir", build, "--output-on-failure", "--output-junit", junit, "-j", "2", *selection],
         env=environment)
    count = Count()
    if not junit.exists():
        return Count(failed=1)
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        name = case.get("name")
        own = results / f"{name.removeprefix('unit_')}_test.xml"
        died = case.get("status") != "run"
        if not own.exists():
            if died:
                count.fail(name, "the program died")
            else:
                count.passed += 1
            continue
        cases = read_junit(own)
        if died and cases.failed == 0:
            cases.fail(name, "the program died after its last case")
        count += cases
    return count


def unit():
    if call(["tools/build.sh", "release"]) != 0:
        return Count(failed=1)
    return run_ctest(ROOT / "build", RESULTS / "unit", ["-L", "unit"])


def sanitized():
    count = Count()
    rooms = [room for room in SANITIZED if (ROOT / "src" / room / "CMakeLists.txt").exists()]
    rooms = [room for room in rooms if "room_test(" in (ROOT / "src" / room / "CMakeLists.txt").read_text()]
    fuzz = [path.stem for room in rooms for path in (ROOT / "src" / room).glob("*_fuzz.cpp")]
    targets = [f"bin/{room}_test" for room in rooms] + [f"bin/{name}" for name in fuzz]
    if call(["tools/build.sh", "asan", *targets]) != 0:
        count += Count(failed=1)
        return count
    names = [f"unit_{room}" for room in rooms] + [f"corpus_{name.removesuffix('_fuzz')}" for name in fuzz]
    count += run_ctest(ROOT / "build-asan", RESULTS / "unit-asan", ["-R", f"^({'|'.join(names)})$"])
    return count


def pytest(name, *where):
    """Runs whole-system tests, each file's in order, several files at once; their results are in NAME.xml."""
    if call(["tools/build.sh", "release"]) != 0:
        return Count(failed=1)
    junit = RESULTS / f"{name}.xml"
    junit.unlink(missing_ok=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    status = call(as_root(["/usr/bin/python3", "-m", "pytest", "-q", "-rfEs", "--durations=15", f"--junitxml={junit}",
                           "-p", "no:cacheprovider", "--import-mode=importlib", "-n", str(LANES), "--dist", "loadfile", *(where or [f"tests/{name}"])]))
    if not junit.exists():
        return Count(failed=1)
    count = read_junit(junit)
    if status != 0 and count.failed == 0:
        count.failed += 1
    return count


def real(parts):
    """Several folders at once: part to count. What cannot be told apart is counted for the first."""
    name = "-".join(parts)
    # The longest first, so that no lane is left alone with one of them.
    whole = pytest(name, *(f"tests/{part}" for part in sorted(parts, key=LONGEST.index)))
    junit = RESULTS / f"{name}.xml"
    if not junit.exists():
        return {parts[0]: whole}
    counts = {part: read_junit(junit, part) for part in parts}
    told = sum((count.passed + count.failed for count in counts.values()))
    if told != whole.passed + whole.failed:
        counts[parts[0]].fail(name, "the run itself failed: see above")
    return counts


def quiet():
    os.environ["COFFER_QUIET_SECONDS"] = "600"
    return pytest("quiet", "tests/slow/test_quiet_neighbour.py")


def setup():
    return pytest("setup")


def sdk():
    """The client comes from npm, at the version that package-lock.json names; Node may come from anywhere."""
    count = Count()
    if call(["tools/install-deps.sh", "tools/packages-sdk.txt"]) != 0 or call(["tools/build.sh", "release"]) != 0:
        return Count(failed=1)
    if call(["npm", "ci", "--no-audit", "--no-fund", "--prefix", "tests/sdk"]) != 0:
        return Count(failed=1)
    node = call(["node", "--test", "tests/sdk/every_call.test.mjs"])
    count += Count(passed=1) if node == 0 else Count(failed=1)
    count += pytest("sdk")
    return count


def lint():
    junit = RESULTS / "lint.xml"
    junit.unlink(missing_ok=True)
    if call(["tools/build.sh", "release"]) != 0:
        return Count(failed=1)
    call(["/usr/bin/python3", "tools/lint/lint.py", "--junit", junit])
    return read_junit(junit) if junit.exists() else Count(failed=1)


def timed(run, *arguments):
    """What a part answers, and how many seconds it took; an accident is a failure with a name."""
    start = time.monotonic()
    try:
        answer = run(*arguments)
    except (OSError, ElementTree.ParseError) as error:
        answer = Count()
        answer.fail(run.__name__, str(error))
    return answer, time.monotonic() - start


def main():
    chosen = sys.argv[1:] or ["all"]
    if chosen == ["all"]:
        chosen = PARTS
    unknown = [part for part in chosen if part not in PARTS + ON_THEIR_OWN]
    if unknown:
        print(f"no such part: {', '.join(unknown)}; there are: {', '.join(PARTS + ON_THEIR_OWN)}", file=sys.stderr)
        return 2
    total, lines = Count(), []
    together = [part for part in chosen if part in REAL]
    alone = [part for part in chosen if part not in REAL]
    for part in alone:
        print(f"== {part}", flush=True)
        count, took = timed({"unit": unit, "lint": lint, "sanitized": sanitized, "sdk": sdk, "quiet": quiet, "setup": setup}[part])
        lines.append(f"{part:8} {count} ({took:.0f} s)")
        total += count
    if together:
        print(f"== {', '.join(together)}", flush=True)
        counts, took = timed(real, together)
        for part, count in (counts if isinstance(counts, dict) else {together[0]: counts}).items():
            lines.append(f"{part:8} {count}")
            total += count
        lines.append(f"{', '.join(together)}: {took:.0f} s")
    print("\n".join(["", *(f"failed: {name[:400]}" for name in total.names), *lines]))
    print(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
