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


def test_owners_modes_and_links_come_back_as_they_were(daemon):
    look = "cd /data && stat -c '%n %u:%g %a' . deep deep/tool link mine; cat deep/tool"
    with daemon.workspace("--ttl", "600") as name:
        made = daemon.exec(name, "mkdir -p /data/deep && echo run >/data/deep/tool && echo m >/data/mine && "
                                 "ln -s deep/tool /data/link && chown -R 1234:4321 /data/deep && chown 77:0 /data/mine && "
                                 "chown -h 55:66 /data/link && chmod 4750 /data/deep/tool && chmod 2770 /data/deep && "
                                 "chmod 0711 /data && chmod 600 /data/mine")
        assert made.status == 0, made
        before = daemon.exec(name, look).out
        assert "deep/tool 1234:4321 4750" in before and "mine 77:0 600" in before and "link 55:66" in before, before
        version = daemon.ok("archive", "create", name, "--path", "/data").out.strip()
        # Over files of others, and where nothing is; a folder that is there takes what the archive says of it.
        for spoil in ("chown -R 0:0 /data && chmod -R 777 /data", "rm -r /data"):
            assert daemon.exec(name, spoil).status == 0
            daemon.ok("archive", "restore", name, version)
            assert daemon.exec(name, look).out == before, spoil
        other = daemon.ok("create", "--image", "minimal", "--from-archive", f"{name}:{version}").out.strip()
        try:
            assert daemon.exec(other, look).out == before
        finally:
            daemon.ok("rm", other)


def test_what_the_host_tells_a_guest_stays_when_its_files_come_back(daemon):
    with daemon.workspace("--ttl", "600") as name:
        told = daemon.exec(name, "cat /etc/hostname /etc/hosts /etc/machine-id").out
        assert daemon.exec(name, "echo kept >/etc/kept").status == 0
        version = daemon.ok("archive", "create", name, "--path", "/etc").out.strip()
        assert daemon.exec(name, "rm /etc/kept").status == 0
        daemon.ok("archive", "restore", name, version)
        assert daemon.exec(name, "cat /etc/kept").out == "kept\n"
        other = daemon.ok("create", "--image", "minimal", "--from-archive", f"{name}:{version}").out.strip()
        try:
            assert daemon.exec(other, "cat /etc/kept").out == "kept\n"
            own = daemon.exec(other, "cat /etc/hostname /etc/hosts /etc/machine-id").out
            assert own and own != told, "a workspace that grew from an archive is not the one that was archived"
        finally:
            daemon.ok("rm", other)
