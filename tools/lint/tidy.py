#!/usr/bin/python3
"""clang-tidy over every source of the release build; a file that came out clean is not looked at again until it changes."""

import concurrent.futures
import pathlib
import subprocess
import sys
import threading

import cache
import compiles
import rooms

TIDY = "clang-tidy-19"


def _dependencies():
    """source -> the files its object was compiled from, as ninja recorded them."""
    text = subprocess.run(["ninja", "-C", str(rooms.ROOT / "build"), "-t", "deps"], capture_output=True, text=True,
                          check=True).stdout
    found, current = {}, []
    for line in text.splitlines():
        if line.startswith("    "):
            path = line.strip()
            current.append(str((rooms.ROOT / "build" / path).resolve()) if not path.startswith("/") else path)
            if len(current) == 1:
                found[current[0]] = current
        elif not line.strip():
            current = []
    return found


def _try(source, flags, deps, remembered):
    salt = " ".join([TIDY, (rooms.ROOT / ".clang-tidy").read_text(), *flags])
    if source in deps and remembered.clean(source, salt):
        return ""
    done = subprocess.run([TIDY, "--quiet", source, "--", *flags], cwd=rooms.ROOT / "build", capture_output=True,
                          text=True, check=False)
    if done.returncode == 0:
        if source in deps:
            remembered.remember(source, salt, deps[source])
        return ""
    return f"{pathlib.Path(source).relative_to(rooms.ROOT)}:\n{done.stdout.rstrip()}\n{done.stderr.rstrip()}"


def check():
    commands = {name: flags for name, flags in compiles.by_file().items()
                if rooms.room_of(pathlib.Path(name)) not in rooms.NOT_ROOMS}
    deps = _dependencies()
    remembered = cache.Cache("tidy", cache.Hashes())
    problems, done, lock = [], 0, threading.Lock()

    def one(item):
        nonlocal done
        text = _try(item[0], item[1], deps, remembered)
        with lock:
            done += 1
            print(f"  clang-tidy {done}/{len(commands)}", end="\r", file=sys.stderr, flush=True)
            if text:
                problems.append(text)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(one, sorted(commands.items())))
    return problems


if __name__ == "__main__":
    found = check()
    print("\n".join(found))
    sys.exit(1 if found else 0)
