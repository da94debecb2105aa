"""Archives: paths of a workspace kept encrypted, put back, taken out, and grown into a new workspace."""

import subprocess


def test_files_are_kept_put_back_taken_out_and_grown_into_a_new_workspace(daemon, tmp_path):
    with daemon.workspace("--ttl", "600") as name:
        assert daemon.exec(name, "mkdir -p /data/sub && echo one >/data/a && echo two >/data/sub/b && "
                                 "ln -s a /data/link && head -c 2000000 /dev/urandom >/data/random && "
                                 "md5sum </data/random >/data/sum && touch /data/x.log").status == 0
        version = daemon.ok("archive", "create", name, "--path", "/data", "--exclude", "*.log").out.strip()
        assert version == "1"
        (listed,) = daemon.json("archive", "ls", name)["archives"]
        assert (listed["version"], listed["vm_paths"], listed["format"]) == ("1", ["/data"], "tar.zst")
        # On the host it is nothing but noise.
        (kept,) = (path for path in daemon.state.rglob("archives/*") if path.is_file())
        assert b"\x28\xb5\x2f\xfd" not in kept.read_bytes()[:64] and kept.stat().st_size > 2_000_000

        assert daemon.exec(name, "rm -r /data").status == 0
        daemon.ok("archive", "restore", name, version)
        check = "cat /data/a /data/sub/b /data/link && md5sum </data/random | cmp - /data/sum && ls /data"
        assert daemon.exec(name, check).out == "one\ntwo\none\na\nlink\nrandom\nsub\nsum\n"

        taken = tmp_path / "out.tar.zst"
        daemon.ok("archive", "download", name, version, str(taken))
        names = subprocess.run(["tar", "--zstd", "-tf", taken], capture_output=True, text=True, check=True).stdout.split()
        assert {"data/a", "data/sub/b", "data/link", "data/random"} <= set(names) and "data/x.log" not in names

        other = daemon.ok("create", "--image", "minimal", "--from-archive", f"{name}:{version}").out.strip()
        try:
            assert daemon.exec(other, check).out == "one\ntwo\none\na\nlink\nrandom\nsub\nsum\n"
        finally:
            daemon.ok("rm", other)
        daemon.ok("archive", "rm", name, version)
        assert daemon.json("archive", "ls", name)["archives"] == []
        assert daemon("archive", "restore", name, version).status == 1
