#!/usr/bin/python3
"""Arrows point down: an #include names a room below its own, declared in the room's CMake file. Heavy headers have one
user a room."""

import re
import sys

import rooms

INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', re.M)
# Headers that cost seconds to compile, or that carry a whole subject: one .cpp of a room may include them.
ONE_USER = ["boost/beast/websocket", "CLI/", "yaml-cpp/", "sqlite3.h", "libpq-fe.h", "sodium.h", "tss2/"]
# A coroutine nobody owns is a leak: every one belongs to a task group, and only that file may detach.
DETACHED = re.compile(r"\basio::detached\b")


def closure(room, declared):
    seen, todo = set(), [room]
    while todo:
        for dep in declared.get(todo.pop()) or ():
            if dep not in seen:
                seen.add(dep)
                todo.append(dep)
    return seen


def check():
    problems = []
    order = rooms.order()
    level = {room: i for i, room in enumerate(order)}
    declared = {room: rooms.declared(room) for room in order}
    for room, deps in declared.items():
        for dep in sorted(deps or ()):
            if dep not in level:
                problems.append(f"src/{room}/CMakeLists.txt: '{dep}' is no room of src/ROOMS")
            elif level[dep] <= level[room]:
                problems.append(f"src/{room}/CMakeLists.txt: {room} may not call {dep}, which is above it")
    users = {}
    tests = {room: rooms.test_sources(room) for room in order}
    for path in rooms.sources(".h", ".cpp"):
        name = path.relative_to(rooms.ROOT)
        room = rooms.room_of(path)
        if room in rooms.NOT_ROOMS:
            continue
        if room not in level:
            problems.append(f"{name}: '{room}' is no room of src/ROOMS")
            continue
        text = path.read_text()
        allowed = closure(room, declared) | {room}
        test = path.stem.endswith(("_test", "_fuzz")) or path.name in tests[room]
        if DETACHED.search(text) and room != "loop" and not test:
            problems.append(f"{name}: asio::detached outside loop/: spawn through a TaskGroup")
        for header in INCLUDE.findall(text):
            for heavy in ONE_USER:
                if header.startswith(heavy):
                    users.setdefault((room, heavy), set()).add(str(name))
            target = header.split("/")[0]
            if "/" not in header or target not in level or not (rooms.SRC / header).exists():
                continue
            if level[target] < level[room]:
                problems.append(f"{name}: includes {header}, which is above {room}")
            elif target not in allowed and not test and declared[room] is not None:
                problems.append(f"{name}: includes {header}, but src/{room}/CMakeLists.txt does not name {target}")
    for (room, heavy), files in users.items():
        if len(files) > 1:
            problems.append(f"<{heavy}…> has {len(files)} users in {room}, one is allowed: {', '.join(sorted(files))}")
    for room in order:
        if (rooms.SRC / room).is_dir() and not (rooms.SRC / room / "README.md").exists():
            problems.append(f"src/{room}: a room has a README.md of at most a page")
    return problems


if __name__ == "__main__":
    found = check()
    print("\n".join(found))
    sys.exit(1 if found else 0)
