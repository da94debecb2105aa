"""The rooms of src/: their order, their sources, and what their CMake files say they may call."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
# Libraries of ours that are no rooms: anybody may link them.
NOT_ROOMS = {"libs"}


def order():
    """Room names, top to bottom."""
    lines = (SRC / "ROOMS").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def sources(*suffixes):
    """Every source file under src/ with one of the suffixes, sorted."""
    return sorted(p for p in SRC.rglob("*") if p.suffix in suffixes and p.is_file())


def room_of(path):
    return path.relative_to(SRC).parts[0]


def declared(room):
    """The rooms that src/<room>/CMakeLists.txt passes as ROOMS, over all its room() calls; None without a room() call."""
    cmake = SRC / room / "CMakeLists.txt"
    if not cmake.exists():
        return None
    text = re.sub(r"#.*", "", cmake.read_text())
    found = None
    for call in re.findall(r"\broom\(([^)]*)\)", text):
        found = found if found is not None else set()
        words = call.split()
        if "ROOMS" not in words:
            continue
        for word in words[words.index("ROOMS") + 1:]:
            if word in ("SOURCES", "LIBS"):
                break
            found.add(word)
        # A part of a room, in LIBS as coffer_<room>_<part>: a library of its own for programs that want no more of it.
        found.update(match[1] for match in re.finditer(r"\bcoffer_([a-z]+)_[a-z]+\b", call) if match[1] != room and (SRC / match[1]).is_dir())
    return found


def test_sources(room):
    """The files that src/<room>/CMakeLists.txt builds into tests only."""
    cmake = SRC / room / "CMakeLists.txt"
    text = re.sub(r"#.*", "", cmake.read_text()) if cmake.exists() else ""
    return {word for call in re.findall(r"\broom_(?:test|fuzz)\(([^)]*)\)", text) for word in call.split()[1:]}
