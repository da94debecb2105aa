"""The compile commands of the release build as a lint needs them: without precompiled headers, so that a file shows all that
it includes, and without how much is optimised."""

import json
import shlex

import rooms

COMMANDS = rooms.ROOT / "build" / "compile_commands.json"
DROPPED = ("-c", "-Winvalid-pch", "-O", "-g", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE")


def _flags(command):
    words, flags, skip = shlex.split(command), [], False
    for word in words:
        if skip:
            skip = False
        elif word in ("-o", "-Xclang"):
            skip = True
        elif word.startswith(("-", "@")) and not word.startswith(DROPPED):
            flags.append(word)
        elif flags and flags[-1] in ("-isystem", "-I", "-include", "-D"):
            flags.append(word)
    return flags


def by_file():
    """source path -> flags, for the files under src/ only."""
    found = {}
    for entry in json.loads(COMMANDS.read_text()):
        if entry["file"].startswith(str(rooms.SRC) + "/"):
            found[entry["file"]] = _flags(entry["command"])
    return found


def by_room(commands):
    """room -> the flags of one of its files: a header is compiled with them. A room's library comes before its tests."""
    found = {}
    for name, flags in sorted(commands.items(), key=lambda item: item[0].endswith(("_test.cpp", "_fuzz.cpp"))):
        found.setdefault(rooms.room_of(rooms.pathlib.Path(name)), flags)
    return found
