"""F47: how soon an installation is what its file says: workspaces that were not there, from an image that is.

Each may reach a host of its own, so that every one of them is created and opened. The peer, in the same run, is the API
alone: the same workspaces made one after the other on a connection that is kept."""

import statistics
import time


def names(count):
    return [f"site-{number}" for number in range(count)]


def text_of(count):
    lines = [f"  - {{name: {name}, image: minimal, memory_mb: 256, ttl: 1h, egress: [\"{name}.example.org\"]}}"
             for name in names(count)]
    return "\n".join(["version: 1", "workspaces:", *lines]) + "\n"


def emptied(one):
    for workspace in one.api.list():
        one.api.destroy(workspace["id"])


def applied_s(one, path, count):
    """`coffer apply` as a whole process, and that the second one has nothing to do."""
    began = time.perf_counter()
    done = one.json("apply", "-f", path, timeout=300)
    first = time.perf_counter() - began
    if len(done["actions"]) != count or not all(action["done"] for action in done["actions"]):
        raise RuntimeError(f"the file was not applied: {done}")
    began = time.perf_counter()
    again = one.json("apply", "-f", path, timeout=300)
    second = time.perf_counter() - began
    if again["actions"]:
        raise RuntimeError(f"a second run has something to do: {again}")
    return first, second


def by_the_api_s(one, count):
    began = time.perf_counter()
    for name in names(count):
        one.api.create(image="minimal", memory_mb=256, ttl="1h", network_config={"egress": [f"{name}.example.org"]})
    return time.perf_counter() - began


def apply(table, start, golden, count, runs, accelerator):
    one = start(golden, "--max-workspaces", str(count + 1))
    path = one.base / "estate.yaml"
    path.write_text(text_of(count))
    firsts, seconds, bare = [], [], []
    try:
        one.run("true", "--memory", "256M")  # the image and its template are there
        for _ in range(max(3, runs // 10)):
            first, second = applied_s(one, path, count)
            firsts.append(first)
            seconds.append(second)
            emptied(one)
            bare.append(by_the_api_s(one, count))
            emptied(one)
    finally:
        one.close()
    half, alone = statistics.median(firsts), statistics.median(bare)
    table.add("F47", f"apply of {count} workspaces from a ready image, median", f"{half:.1f}", "s", "30", "", accelerator,
              f"{half / alone:.2f} of the {alone:.1f} s that their creates take by the API; a second run, with nothing to "
              f"do, {statistics.median(seconds):.2f} s", half <= 30)
    return {"first_s": firsts, "second_s": seconds, "by_the_api_s": bare}
