#!/usr/bin/python3
"""Every header compiles alone: whoever includes it needs to know nothing else.

A header with a source beside it is proven by the build, since that source includes it first. The others are compiled here.
"""

import concurrent.futures
import pathlib
import re
import subprocess
import sys
import tempfile

import cache
import compiles
import rooms

COMPILER = "clang++-19"


FIRST_INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', re.M)


def _proven_by_the_build(header):
    """True when x.cpp includes x.h before anything else."""
    source = header.with_suffix(".cpp")
    first = FIRST_INCLUDE.search(source.read_text()) if source.exists() else None
    return first is not None and first.group(1) == str(header.relative_to(rooms.SRC))


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
    alone = [h for h in rooms.sources(".h") if not _proven_by_the_build(h)]
    headers = [h for h in alone if rooms.room_of(h) in per_room]
    problems = [f"{h.relative_to(rooms.ROOT)}: no file of this room is compiled" for h in alone if h not in headers]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda h: _try(h, per_room[rooms.room_of(h)], remembered), headers)
        problems += [text for text in results if text]
    return problems


if __name__ == "__main__":
    found = check()
    print("\n".join(found))
    sys.exit(1 if found else 0)
