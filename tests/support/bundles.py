"""Bundles of evidence as files: their members, and changes that somebody might make to them."""

import os
import shutil

BLOCK = 512


def members(path):
    """(name, where its content begins, its size) of each, in the bundle's order."""
    found = []
    with open(path, "rb") as bundle:
        at = 0
        while (head := bundle.read(BLOCK)) and head.strip(b"\0"):
            size = int.from_bytes(head[125:136], "big") if head[124] == 0x80 else int(head[124:135], 8)
            found.append((head[:100].rstrip(b"\0").decode(), at + BLOCK, size))
            at += BLOCK + size + -size % BLOCK
            bundle.seek(at)
    return found


def content(path, name):
    ((at, size),) = [(at, size) for known, at, size in members(path) if known == name]
    with open(path, "rb") as bundle:
        bundle.seek(at)
        return bundle.read(size)


def head(name, size):
    block = bytearray(BLOCK)
    for at, text in ((0, name.encode()), (100, b"0000600"), (108, b"0000000"), (116, b"0000000"), (124, b"%011o" % size),
                     (136, b"0" * 11), (148, b" " * 8), (156, b"0"), (257, b"ustar\x0000")):
        block[at:at + len(text)] = text
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


class Flipped:
    """One bit of a file is another one, as long as this lasts."""

    def __init__(self, path, at):
        self.path, self.at = path, at

    def _flip(self):
        with open(self.path, "r+b") as file:
            file.seek(self.at)
            byte = file.read(1)[0]
            file.seek(self.at)
            file.write(bytes([byte ^ 1]))

    def __enter__(self):
        self._flip()

    def __exit__(self, *_):
        self._flip()


def without(path, name, to):
    """The bundle with one member less."""
    ((at, size),) = [(at, size) for known, at, size in members(path) if known == name]
    with open(path, "rb") as old, open(to, "wb") as new:
        _copy(old, new, at - BLOCK)
        old.seek(at + size + -size % BLOCK)
        shutil.copyfileobj(old, new)
    return to


def with_one_more(path, name, text, to):
    """The bundle with one more member at its front."""
    with open(path, "rb") as old, open(to, "wb") as new:
        new.write(head(name, len(text)) + text + b"\0" * (-len(text) % BLOCK))
        shutil.copyfileobj(old, new)
    return to


def cut(path, size, to):
    shutil.copyfile(path, to)
    os.truncate(to, size)
    return to


def _copy(old, new, size):
    while size > 0:
        piece = old.read(min(size, 1 << 20))
        new.write(piece)
        size -= len(piece)
