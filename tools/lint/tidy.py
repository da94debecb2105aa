#!/usr/bin/python3
"""clang-tidy over every source of the release build; a file that came out clean is not looked at again until it changes.

Most of what clang-tidy does for a file is to look through the headers it includes. So sources of one room are looked at
together, as one that includes them all, and these headers once: 247 s became 45 for a room of 19. Sources that give two
things one name, each in a namespace of its own, are kept apart: the compiler says which they are.
"""

import concurrent.futures
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

import cache
import compiles
import rooms

TIDY = "clang-tidy-19"
COMPILER = "clang++-19"
TOGETHER = 12
# A source that includes others is what this is about.
CHECKS = "-bugprone-suspicious-include"
# A test waits for what it spawns, and its own time is nobody's.
CHECKS_OF_TESTS = f"{CHECKS},-cppcoreguidelines-avoid-capturing-lambda-coroutines,-performance-*"
OBJECT = re.compile(r"^([^:]*)/CMakeFiles/[^/]+\.dir/([^:]*)\.o: ")
COMPLAINT = re.compile(r"^(/[^:\n]+\.cpp):\d+:\d+: (error|fatal error|note): ", re.MULTILINE)


def _dependencies():
    """source -> the files its object was compiled from, as ninja recorded them."""
    text = subprocess.run(["ninja", "-C", str(rooms.ROOT / "build"), "-t", "deps"], capture_output=True, text=True,
                          check=True).stdout
    found, current = {}, None
    for line in text.splitlines():
        if line.startswith("    "):
            path = line.strip()
            if current is not None:
                current.append(str((rooms.ROOT / "build" / path).resolve()) if not path.startswith("/") else path)
        elif target := OBJECT.match(line):
            current = found.setdefault(str(rooms.ROOT / target[1] / target[2]), [])
        else:
            current = None
    return found


def _one_of_many(sources, folder):
    """A source that includes these."""
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".cpp", delete=False) as file:
        file.writelines(f'#include "{source}"\n' for source in sources)
    return file.name


def _kept_apart(sources, flags, folder):
    """Splits sources into those that the compiler takes together and those that must wait for another turn."""
    together, later = list(sources), []
    while len(together) > 1:
        done = subprocess.run([COMPILER, *flags, "-fsyntax-only", "-ferror-limit=0", _one_of_many(together, folder)],
                              cwd=rooms.ROOT / "build", capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
        accused = {name for name, kind in COMPLAINT.findall(done.stderr) if kind != "note" and name in together}
        # The first is never sent away, so that every turn has something; nor is anybody without cause.
        accused = accused - {together[0]} or set(together[1:])
        later += [name for name in together if name in accused]
        together = [name for name in together if name not in accused]
    return together, later


def _look(sources, flags, folder):
    """What clang-tidy complains about, or nothing."""
    name = sources[0] if len(sources) == 1 else _one_of_many(sources, folder)
    checks = CHECKS_OF_TESTS if _is_test(sources[0]) else CHECKS
    done = subprocess.run([TIDY, "--quiet", f"--config-file={rooms.ROOT / '.clang-tidy'}", f"--checks={checks}", name, "--",
                           *flags], cwd=rooms.ROOT / "build", capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"{done.stdout.rstrip()}\n{done.stderr.rstrip()}".strip()


def _is_test(source):
    return source.endswith("_test.cpp") or pathlib.Path(source).name.startswith("fake_")


class _Waiting:
    """Sources that nobody looks at yet, by room, flags, and whether they are tests: those alike may be taken together."""

    def __init__(self, commands):
        self._lists, self._lock = {}, threading.Lock()
        for source, flags in sorted(commands.items()):
            self._lists.setdefault(self._key(source, flags), []).append(source)

    @staticmethod
    def _key(source, flags):
        return rooms.room_of(pathlib.Path(source)), tuple(flags), _is_test(source)

    def take(self):
        """Some of those of which most wait, with their flags; nothing when none wait."""
        with self._lock:
            key = max(self._lists, key=lambda k: len(self._lists[k]), default=None)
            waiting = self._lists.get(key, [])
            if not waiting:
                return [], []
            step = -(-len(waiting) // TOGETHER)
            taken = waiting[::step]
            self._lists[key] = [source for source in waiting if source not in taken]
            return taken, list(key[1])

    def give_back(self, sources, flags):
        with self._lock:
            for source in sources:
                self._lists[self._key(source, flags)].append(source)


def check():
    deps = _dependencies()
    remembered = cache.Cache("tidy", cache.Hashes())

    def salt(flags):
        return " ".join([TIDY, (rooms.ROOT / ".clang-tidy").read_text(), *flags])

    commands = {name: flags for name, flags in compiles.by_file().items()
                if rooms.room_of(pathlib.Path(name)) not in rooms.NOT_ROOMS
                and not (name in deps and remembered.clean(name, salt(flags)))}
    waiting, problems, done, lock = _Waiting(commands), [], 0, threading.Lock()

    def work(folder):
        nonlocal done
        while True:
            sources, flags = waiting.take()
            if not sources:
                return
            sources, others = _kept_apart(sources, flags, folder)
            waiting.give_back(others, flags)
            text = _look(sources, flags, folder)
            for source in sources:
                if not text and source in deps:
                    remembered.remember(source, salt(flags), deps[source])
            with lock:
                done += len(sources)
                print(f"  clang-tidy {done}/{len(commands)}", end="\r", file=sys.stderr, flush=True)
                if text:
                    print(text, file=sys.stderr, flush=True)
                    problems.append(text)

    with tempfile.TemporaryDirectory(prefix="coffer-tidy-") as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
        for worker in [pool.submit(work, folder) for _ in range(2)]:
            worker.result()
    return problems


if __name__ == "__main__":
    found = check()
    print("\n".join(found))
    sys.exit(1 if found else 0)
