#!/usr/bin/python3
"""lint.py [--full] [--junit FILE]: every check of the sources, each a line; --full adds clang-tidy, which takes minutes."""

import argparse
import pathlib
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import arrows  # noqa: E402
import headers  # noqa: E402
import promises  # noqa: E402
import rooms  # noqa: E402
import tidy  # noqa: E402


def _run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=rooms.ROOT)
    return [] if done.returncode == 0 else [(done.stdout + done.stderr).rstrip()]


def _tracked(*patterns):
    done = subprocess.run(["git", "-c", f"safe.directory={rooms.ROOT}", "ls-files", "--", *patterns],
                          capture_output=True, text=True, check=False, cwd=rooms.ROOT)
    if done.returncode == 0 and done.stdout:
        return [name for name in done.stdout.splitlines() if (rooms.ROOT / name).is_file()]
    # A source tree without its history: take what is there.
    return [str(p.relative_to(rooms.ROOT)) for pattern in patterns for p in rooms.ROOT.glob(pattern) if p.is_file()]


def format_():
    """clang-format"""
    return _run(["clang-format-19", "--dry-run", "-Werror", *map(str, rooms.sources(".h", ".cpp"))])


def shell():
    """shellcheck"""
    return _run(["shellcheck", "-x", "run", "test", ".ci/run", *_tracked("tools/*.sh", "tools/**/*.sh", "tests/**/*.sh",
                                                                         "bench/**/*.sh")])


def python():
    """Python compiles"""
    problems = []
    for name in _tracked("tools/**/*.py", "tests/**/*.py", "bench/*.py"):
        try:
            compile((rooms.ROOT / name).read_text(), name, "exec")
        except SyntaxError as error:
            problems.append(str(error))
    return problems


CHECKS = [("arrows", arrows.check), ("promises", promises.check), ("clang-format", format_), ("shellcheck", shell),
          ("python", python), ("headers-alone", headers.check)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--junit", type=pathlib.Path)
    options = parser.parse_args()
    suite = ElementTree.Element("testsuite", name="lint")
    failed = 0
    for name, check in CHECKS + ([("clang-tidy", tidy.check)] if options.full else []):
        start = time.monotonic()
        problems = check()
        took = time.monotonic() - start
        print(f"{name}: {'clean' if not problems else f'{len(problems)} problems'} ({took:.1f} s)")
        case = ElementTree.SubElement(suite, "testcase", classname="lint", name=name, time=f"{took:.2f}")
        if problems:
            failed += 1
            print("\n".join(problems))
            ElementTree.SubElement(case, "failure", message=f"{len(problems)} problems").text = "\n".join(problems)
    if options.junit:
        options.junit.parent.mkdir(parents=True, exist_ok=True)
        ElementTree.ElementTree(suite).write(options.junit)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
