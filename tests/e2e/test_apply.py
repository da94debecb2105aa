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


PROXIED = """version: 1
workspaces:
  - name: agent
    image: minimal
    memory_mb: 256
    ttl: 1h
    egress: ["pypi.org"]
    proxy: {host: Proxy.Example., port: 3128, login: true}
    ready_check: {command: ["sh", "-c", "test -e /bin"], timeout: 30s}
"""
LOGIN = b"me:in-no-file"
SET_LOGIN = "coffer network proxy agent proxy.example:3128 --login FILE"


def test_a_proxy_is_in_the_file_without_its_login_which_stays_or_is_asked_for(golden, one, tmp_path):
    made = one.json("apply", "-f", write(tmp_path, PROXIED))
    assert [a["what"] for a in made["actions"]] == ["create the workspace 'agent'"], made
    assert len(made["by_hand"]) == 1 and SET_LOGIN in made["by_hand"][0], made
    # Until it has one, it is asked for and nothing else is done.
    again = one.json("apply", "-f", write(tmp_path, PROXIED))
    assert again["actions"] == [] and again["by_hand"] == made["by_hand"], again
    one.ok("network", "proxy", "agent", "proxy.example:3128", "--login", "-", stdin=LOGIN)
    text = one.ok("export").out
    assert "proxy.example" in text and "in-no-file" not in text and "login: true" in text, text
    path = write(tmp_path, text)
    same = one.json("apply", "-f", path)
    assert same["actions"] == [] and same["by_hand"] == [], same

    # A change at the same proxy keeps the login; another proxy is not shown it.
    other_way = write(tmp_path, PROXIED.replace("login: true", "login: true, resolves: true"))
    dry = one.ok("apply", "--dry-run", "-f", other_way).out
    assert dry == "would let the workspace 'agent' go out by the proxy proxy.example:3128\n", dry
    kept = one.json("apply", "-f", other_way)
    assert kept["by_hand"] == [] and len(kept["actions"]) == 1, kept
    shown = one.json("network", "show", "agent")["outbound_proxy"]
    assert shown["has_credentials"] and shown["resolves"], shown
    moved = one.json("apply", "-f", write(tmp_path, PROXIED.replace("3128", "3129")))
    assert len(moved["actions"]) == 1 and SET_LOGIN.replace("3128", "3129") in moved["by_hand"][0], moved
    assert not one.json("network", "show", "agent")["outbound_proxy"]["has_credentials"]

    # On an empty installation it is made with its proxy, and the login is asked for.
    elsewhere = Cofferdam(golden=golden)
    try:
        elsewhere.up()
        made = elsewhere.json("apply", "-f", write(tmp_path, text))
        assert SET_LOGIN in " ".join(made["by_hand"]), made
        copy = elsewhere.ok("export").out
        assert without(copy, "images") == without(text, "images").replace("\n      login: true", ""), copy
    finally:
        elsewhere.close()

    without_proxy = write(tmp_path, "\n".join(line for line in PROXIED.splitlines() if "proxy:" not in line))
    gone = one.json("apply", "-f", without_proxy)
    assert [a["what"] for a in gone["actions"]] == ["let the workspace 'agent' go out by no proxy of its own"], gone
    assert one.json("network", "show", "agent")["outbound_mode"] == "managed"
    assert one.ok("apply", "-f", without_proxy).out == "nothing to do\n"


def test_a_ready_check_is_in_the_file_and_what_the_file_says_is_what_drills_ask(one, tmp_path):
    one.ok("apply", "-f", write(tmp_path, PROXIED.replace(", login: true", "")))
    text = one.ok("export").out
    assert "ready_check:" in text and "test -e /bin" in text and "30000ms" in text, text
    assert one.ok("apply", "-f", write(tmp_path, text)).out == "nothing to do\n"
    one.ok("snapshot", "create", "agent")
    (drill,) = one.json("drill", "agent")["drills"]
    assert drill["passed"] and drill["checked"], drill
    changed = write(tmp_path, text.replace("test -e /bin", "test -e /nowhere").replace("30000ms", "1s"))
    done = one.json("apply", "-f", changed)
    assert [a["what"] for a in done["actions"]] == ["change the ready check of the workspace 'agent'"], done
    failed = one("--json", "drill", "agent")
    assert failed.status == 1 and "the ready check" in failed.out, failed
    assert one.ok("apply", "-f", changed).out == "nothing to do\n"
    none = write(tmp_path, PROXIED.replace(", login: true", "").replace("    ready_check", "    # ready_check"))
    assert one.ok("ready", "agent").out == '["sh","-c","test -e /nowhere"], for at most 1 s\n'
    one.ok("ready", "agent", "test -e /dev", "--timeout", "5s")
    assert "test -e /dev" in one.ok("export").out
    assert one("ready", "agent", "true", "--timeout", "5m").status == 1  # longer than anybody waits
    gone = one.json("apply", "-f", none)
    assert [a["what"] for a in gone["actions"]] == ["take the ready check from the workspace 'agent'"], gone
    (drill,) = one.json("drill", "agent")["drills"]
    assert drill["passed"] and not drill["checked"], drill


@pytest.mark.parametrize("change, where, why", [
    (("port: 3128", "port: 0"), "8:12", "port is missing"),
    (("Proxy.Example.", "'me:in-no-file@proxy.example'"), "8:19", "host must be a public name"),
    (("login: true", "login: 'me:in-no-file'"), "8:54", "true or false"),
    (("login: true", "user: me"), "8:47", "unknown key 'user'"),
    (("timeout: 30s", "timeout: 300s"), "9:18", "from 1 to 240"),
    (('["sh", "-c", "test -e /bin"]', "[]"), "9:18", "/command: is missing"),
    (("timeout: 30s", "every: 30s"), "9:58", "unknown key 'every'"),
])
def test_an_error_in_a_proxy_or_a_ready_check_names_its_place_and_no_secret(one, tmp_path, change, where, why):
    assert change[0] in PROXIED
    path = write(tmp_path, PROXIED.replace(*change, 1))
    done = one("apply", "-f", path)
    assert done.status == 1 and f"{path}:{where}: " in done.err and why in done.err and "in-no-file" not in done.err, done
    assert "agent" not in one.ok("export").out


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
