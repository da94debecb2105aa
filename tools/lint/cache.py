"""Remembers which checks came out clean, by the content of everything they looked at."""

import hashlib
import json
import pathlib

import rooms

FOLDER = rooms.ROOT / "build" / "lint-cache"


class Hashes:
    """Digests of files, each read once."""

    def __init__(self):
        self._known = {}

    def of(self, path):
        path = pathlib.Path(path)
        if path not in self._known:
            try:
                self._known[path] = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError:
                self._known[path] = "absent"
        return self._known[path]


class Cache:
    """One file a checked thing: a fixed salt (tool, flags), and the digests of the project's files it depends on."""

    def __init__(self, kind, hashes):
        self._folder = FOLDER / kind
        self._hashes = hashes
        self._folder.mkdir(parents=True, exist_ok=True)

    def _file(self, name):
        return self._folder / (hashlib.sha256(str(name).encode()).hexdigest()[:32] + ".json")

    def clean(self, name, salt):
        try:
            known = json.loads(self._file(name).read_text())
        except (OSError, ValueError):
            return False
        return known["salt"] == salt and all(self._hashes.of(rooms.ROOT / p) == d for p, d in known["files"].items())

    def remember(self, name, salt, files):
        inside = sorted({str(pathlib.Path(f).resolve().relative_to(rooms.ROOT)) for f in files
                         if pathlib.Path(f).resolve().is_relative_to(rooms.ROOT)})
        record = {"salt": salt, "files": {f: self._hashes.of(rooms.ROOT / f) for f in inside}}
        target = self._file(name)
        temporary = target.with_suffix(".tmp")
        temporary.write_text(json.dumps(record))
        temporary.rename(target)


def dependencies(make_rule):
    """The files of a make rule as the compiler writes it (-MD)."""
    return make_rule.replace("\\\n", " ").split(":", 1)[-1].split()
