"""A whole installation as one file: written, made again elsewhere from nothing, and changed as the file changes."""

import pytest
from cofferdam import Cofferdam

WHOLE = """version: 1
namespaces:
  - {slug: acme, name: "Acme: Inc", description: "a # customer", max_workspaces: 7}
workspaces:
  - name: db
    namespace: acme
    image: minimal
    mode: permanent
    memory_mb: 256
    disk_size_mb: 100
    restart_policy: on-failure
    metadata: {owner: "x: y"}
  - name: api
    namespace: acme
    image: minimal
    memory_mb: 256
    ttl: 1h
    env: {MODE: "test"}
    egress: ["pypi.org", "*.debian.org:80"]
    exposed:
      - {port: 8080, slug: shop, label: "the shop"}
links:
  - {from: api, to: db, ports: "5432,8000-8010", note: "orders"}
"""


def write(folder, text):
    path = folder / "estate.yaml"
    path.write_text(text)
    return path


def without(text, *sections):
    """The file without some of its sections."""
    kept, skip = [], False
    for line in text.splitlines():
        if not line.startswith((" ", "-")):
            skip = line.rstrip(":") in sections
        if not skip:
            kept.append(line)
    return "\n".join(kept)


@pytest.fixture
def one(golden):
    daemon = Cofferdam(golden=golden)
    daemon.up()
    yield daemon
    daemon.close()


def test_everything_is_made_again_on_an_empty_state_folder(golden, one, tmp_path):
    first = one.json("apply", "-f", write(tmp_path, WHOLE))
    assert all(action["done"] for action in first["actions"]) and len(first["actions"]) == 5, first
    one.ok("secret", "set", "KEY", "--namespace", "acme", stdin=b"hush-hush")
    one.ok("token", "create", "--namespace", "acme", "--verbs", "read", "--label", "ci")
    text = one.ok("export").out
    assert "hush-hush" not in text and "cof_" not in text and "KEY" in text and "ci" in text

    # Applied to where it comes from, it does nothing.
    again = one.json("apply", "-f", write(tmp_path, text))
    assert again["actions"] == [] and again["by_hand"] == [], again

    other = Cofferdam(golden=golden)
    try:
        other.up()
        text = text.replace('"MODE": ~', '"MODE": "test"')
        made = other.json("apply", "-f", write(tmp_path, text))
        assert all(action["done"] for action in made["actions"]), made
        assert len(made["by_hand"]) == 2, made  # the secret's value and the token
        copy = other.ok("export").out
        assert without(copy, "secrets", "tokens", "images") == without(one.ok("export").out, "secrets", "tokens", "images")
        assert other.exec("api", "echo $MODE").out == "test\n"
        assert other.json("apply", "-f", write(tmp_path, text))["actions"] == []
    finally:
        other.close()


def test_only_what_differs_is_changed_and_a_dry_run_changes_nothing(one, tmp_path):
    one.ok("apply", "-f", write(tmp_path, WHOLE))
    before = {w["name"]: w["id"] for w in one.json("ls")["workspaces"]}
    changed = WHOLE.replace('["pypi.org", "*.debian.org:80"]', '["pypi.org"]').replace('"x: y"', '"z"').replace("5432,8000-8010", "5432")
    path = write(tmp_path, changed)
    text = one.ok("export").out
    dry = one.ok("apply", "--dry-run", "-f", path).out
    assert len([line for line in dry.splitlines() if line.startswith("would ")]) == 4, dry
    assert one.ok("export").out == text
    done = one.json("apply", "-f", path)
    assert {a["what"] for a in done["actions"]} == {
        "replace the notes of the workspace 'db'", "change what the workspace 'api' may reach",
        "remove the link from 'api' to 'db' port 5432,8000-8010", "link 'api' to 'db' port 5432"}, done
    assert one.json("network", "show", "api")["egress"] == ["pypi.org"]
    assert {w["name"]: w["id"] for w in one.json("ls")["workspaces"]} == before
    assert one.ok("apply", "-f", path).out == "nothing to do\n"


def test_a_failure_in_the_middle_leaves_what_was_done_and_a_second_run_finishes(one, tmp_path):
    # An image that is not there: the second workspace fails.
    broken = WHOLE.replace("name: db\n    namespace: acme\n    image: minimal", "name: db\n    namespace: acme\n    image: nowhere")
    failed = one("apply", "-f", write(tmp_path, broken))
    assert failed.status == 1 and "create the workspace 'db'" in failed.err and "apply the file again" in failed.err, failed
    done = one.json("apply", "-f", write(tmp_path, WHOLE))
    assert all(action["done"] for action in done["actions"])
    assert one.json("apply", "-f", write(tmp_path, WHOLE))["actions"] == []


@pytest.mark.parametrize("change, where, why", [
    (("version: 1", "version: 2"), "1:10", "newer program"),
    (("    memory_mb: 256\n    ttl", "    memory: 256\n    ttl"), "16:5", "unknown key 'memory'"),
    (("name: api", "name: db"), "13:5", "given twice"),
    (("to: db", "to: nobody"), "23:5", "not in the file"),
    (("from: api", "from: db"), "23:5", "to itself"),
    (("namespaces:", "x: &a [*a]\nnamespaces:"), "2:4", "anchor"),
    (("memory_mb: 256\n    disk", "memory_mb: 1\n    disk"), "5:5", "memory"),
    (("metadata: {owner", "metadata: {owner: a, owner"), "12:26", "given twice"),
])
def test_a_file_with_an_error_names_its_place_and_changes_nothing(one, tmp_path, change, where, why):
    assert change[0] in WHOLE
    path = write(tmp_path, WHOLE.replace(*change, 1))
    before = one.ok("export").out
    done = one("apply", "-f", path)
    assert done.status == 1 and f"{path}:{where}: " in done.err and why in done.err, done
    assert one.ok("export").out == before
