#!/usr/bin/python3
"""Every header compiles alone: whoever includes it needs to know nothing else."""

import concurrent.futures
import pathlib
import subprocess
import sys
import tempfile

import cache
import compiles
import rooms

COMPILER = "clang++-19"


def _try(header, flags, remembered):
    salt = " ".join(flags)
    if remembered.clean(header, salt):
        return ""
    with tempfile.NamedTemporaryFile(suffix=".d") as deps:
        command = [COMPILER, *flags, "-fsyntax-only", "-x", "c++", "-Wno-pragma-once-outside-header",
                   "-Wno-unused-function", "-Wno-unused-const-variable", "-Wno-unused-command-line-argument",
                   "-MD", "-MF", deps.name, str(header)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            remembered.remember(header, salt, cache.dependencies(pathlib.Path(deps.name).read_text()))
            return ""
        return f"{header.relative_to(rooms.ROOT)} does not compile alone:\n{done.stderr.rstrip()}"


def check():
    per_room = compiles.by_room(compiles.by_file())
    remembered = cache.Cache("headers", cache.Hashes())
    headers = [h for h in rooms.sources(".h") if rooms.room_of(h) in per_room]
    problems = [f"{h.relative_to(rooms.ROOT)}: no file of this room is compiled" for h in rooms.sources(".h")
                if rooms.room_of(h) not in per_room]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda h: _try(h, per_room[rooms.room_of(h)], remembered), headers)
        problems += [text for text in results if text]
    return problems


if __name__ == "__main__":
    found = check()
    print("\n".join(found))
    sys.exit(1 if found else 0)
