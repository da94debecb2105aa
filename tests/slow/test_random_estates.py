"""Random installations on a real daemon: applied, exported, made anew from what was exported, and exported again."""

import json
import os
import random

import pytest
from cofferdam import Cofferdam

CONFIGURATIONS = int(os.environ.get("COFFER_ESTATES", "100"))
FIRST = int(os.environ.get("COFFER_ESTATE_SEED", "1"))
# What means something to YAML, or to nobody.
PARTS = ["a", "Ω", "日本", " ", ": ", "#", "- ", "'", '"', "\\", "~", "null", "&a", "*a", "{}", "[", "|", ">", "!x", "---", "0x", "yes", "%"]


def text(rng):
    return "n" + "".join(rng.choice(PARTS) for _ in range(rng.randrange(6)))


def workspace(rng, index, spaces):
    permanent = rng.random() < 0.5
    one = {"name": f"w{index}" + rng.choice(["", " Ω #'"]), "namespace": rng.choice(["default", *spaces]), "image": "minimal",
           "mode": "permanent" if permanent else "temporary", "memory_mb": rng.choice([128, 192]), "disk_size_mb": 64,
           "metadata": {f"key{n}": text(rng) for n in range(rng.randrange(3))},
           "egress": rng.sample(["pypi.org", "*.debian.org:80", "203.0.113.0/24:22", "example.com:443"], rng.randrange(4)),
           "exposed": [{"port": 8000 + n, "slug": f"slug-{index}-{n}", "label": text(rng)} for n in range(rng.randrange(3))]}
    if permanent and rng.random() < 0.5:
        one["restart_policy"] = rng.choice(["always", "on-failure"])
    if not permanent:
        one["ttl"] = rng.choice(["30m", "1h", "90m"])
    if rng.random() < 0.3:
        one["egress_ports"] = "443,8000-8080"
    if rng.random() < 0.3:
        one["ready_check"] = {"command": ["sh", "-c", "true # " + text(rng)], "timeout": "30s"}
    if rng.random() < 0.3:
        one["proxy"] = {"host": "proxy.example.org", "port": rng.randrange(1, 65536), "resolves": rng.random() < 0.5}
    return one


def estate(seed):
    rng = random.Random(seed)
    spaces = [f"space-{n}" for n in range(rng.randrange(3))]
    workspaces = [workspace(rng, n, spaces) for n in range(rng.randrange(1, 4))]
    links = [{"from": workspaces[n]["name"], "to": workspaces[n - 1]["name"], "ports": rng.choice(["443", "80,8000-8080"]),
              "note": text(rng)} for n in range(1, len(workspaces)) if rng.random() < 0.7]
    return {"version": 1, "workspaces": workspaces, "links": links,
            "namespaces": [{"slug": slug, "name": text(rng), "description": text(rng),
                            **({"max_workspaces": rng.randrange(10, 99)} if rng.random() < 0.5 else {})} for slug in spaces]}


@pytest.fixture(scope="module")
def one(golden):
    daemon = Cofferdam(golden=golden)
    daemon.up()
    yield daemon
    daemon.close()


def apply(daemon, path):
    done = daemon.json("apply", "-f", path)
    assert all(action["done"] for action in done["actions"]), done
    return done["actions"]


def clear(daemon):
    for there in daemon.json("ls")["workspaces"]:
        daemon.ok("rm", there["id"])
    for space in daemon.json("namespace", "ls")["data"]:
        if not space["is_default"]:
            daemon.ok("namespace", "rm", space["slug"])


def test_random_configurations_are_exported_applied_and_exported_again_equal(one, tmp_path):
    path = tmp_path / "estate.yaml"
    for seed in range(FIRST, FIRST + CONFIGURATIONS):
        wanted = estate(seed)
        path.write_text(json.dumps(wanted, ensure_ascii=False))  # JSON is YAML
        apply(one, path)
        exported = one.ok("export").out
        path.write_text(exported)
        assert apply(one, path) == [], f"seed {seed}: applied to where it comes from it does something"
        clear(one)
        made = apply(one, path)
        assert len(made) >= len(wanted["workspaces"]) + len(wanted["links"]) + len(wanted["namespaces"]), (seed, made)
        assert one.ok("export").out == exported, f"seed {seed}"
        clear(one)
