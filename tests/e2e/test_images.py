"""Images: built from recipes, imported from folders, tar files, OCI layouts and docker archives; bad ones refused."""

import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import threading

import pytest

BUSYBOX = pathlib.Path("/bin/busybox")


def make_root(folder):
    """A root file system of one static program."""
    for name in ("bin", "dev", "proc", "sys", "tmp", "etc", "run", "root", "usr"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(BUSYBOX, folder / "bin" / "busybox")
    for applet in ("sh", "cat", "ls", "stat", "echo", "id", "true", "pwd", "env", "test"):
        (folder / "bin" / applet).symlink_to("busybox")
    (folder / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nworker:x:1234:1234::/srv:/bin/sh\n")
    (folder / "etc" / "group").write_text("root:x:0:\nworker:x:1234:\n")
    (folder / "etc" / "marker").write_text("imported\n")
    (folder / "srv").mkdir()
    os.chown(folder / "srv", 1234, 1234)
    return folder


@pytest.fixture(scope="module")
def root_folder(tmp_path_factory):
    return make_root(tmp_path_factory.mktemp("root") / "fs")


@pytest.fixture(scope="module")
def layout(root_folder, tmp_path_factory):
    """An OCI layout of two layers: the second deletes a file (a whiteout) and adds another."""
    base = tmp_path_factory.mktemp("oci")
    image = f"{base}/layout:latest"

    def umoci(*words):
        subprocess.run(["umoci", *words], check=True, capture_output=True)

    umoci("init", "--layout", f"{base}/layout")
    umoci("new", "--image", image)
    for number, change in enumerate((lambda fs: subprocess.run(["cp", "-a", f"{root_folder}/.", fs], check=True),
                                     lambda fs: (os.remove(f"{fs}/etc/marker"),
                                                 pathlib.Path(f"{fs}/etc/second").write_text("second\n")))):
        bundle = f"{base}/bundle{number}"
        umoci("unpack", "--image", image, bundle)
        change(f"{bundle}/rootfs")
        umoci("repack", "--image", image, bundle)
    umoci("config", "--image", image, "--config.env", "FROM_IMAGE=yes", "--config.workingdir", "/srv",
          "--config.user", "worker")
    return base / "layout"


def write_tar(path, members, root=None):
    with tarfile.open(path, "w") as archive:
        if root:
            archive.add(root, ".")
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def member(name, kind=tarfile.REGTYPE, link="", mode=0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def imported(daemon, source, name):
    daemon.ok("image", "import", source, "--name", name, timeout=120)
    return name


def refused(daemon, source, name, *words):
    done = daemon("image", "import", source, "--name", name, timeout=120)
    assert done.status == 1, done
    assert any(word in done.err.lower() for word in words), f"none of {words} in: {done.err}"
    assert name not in daemon.images()
    return done


def test_a_folder(daemon, root_folder):
    name = imported(daemon, root_folder, "from-folder")
    done = daemon.run("cat /etc/marker; stat -c %u:%g /srv; stat -c %N /bin/sh", image=name)
    assert done.status == 0, done
    assert done.out.startswith("imported\n1234:1234\n") and "busybox" in done.out
    assert daemon("image", "rm", name).status == 0
    assert daemon.run("true", image=name).status == 125


def test_a_tar(daemon, root_folder, tmp_path):
    name = imported(daemon, write_tar(tmp_path / "root.tar", [], root_folder), "from-tar")
    assert daemon.run("cat /etc/marker", image=name).out == "imported\n"
    daemon.ok("image", "rm", name)


def test_an_oci_layout_with_whiteouts_and_its_configuration(daemon, layout):
    name = imported(daemon, layout, "from-oci")
    done = daemon.run("echo $FROM_IMAGE; pwd; id -un; cat /etc/second; test -e /etc/marker || echo deleted", image=name)
    assert (done.status, done.out) == (0, "yes\n/srv\nworker\nsecond\ndeleted\n"), done
    daemon.ok("image", "rm", name)


def test_a_docker_archive(daemon, layout, tmp_path):
    archive = tmp_path / "image.tar"
    subprocess.run(["skopeo", "--insecure-policy", "copy", f"oci:{layout}:latest",
                    f"docker-archive:{archive}:project/app:1"], check=True, capture_output=True)
    name = imported(daemon, archive, "from-docker")
    assert daemon.run("pwd; test -e /etc/marker || echo deleted", image=name).out == "/srv\ndeleted\n"
    daemon.ok("image", "rm", name)


def test_a_bad_digest_is_refused(daemon, layout, tmp_path):
    broken = tmp_path / "layout"
    shutil.copytree(layout, broken)
    index = json.loads((broken / "index.json").read_text())
    manifest = json.loads((broken / "blobs/sha256" / index["manifests"][0]["digest"].split(":")[1]).read_text())
    blob = broken / "blobs/sha256" / manifest["layers"][0]["digest"].split(":")[1]
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.write_bytes(content)
    refused(daemon, broken, "bad-digest", "digest", "checksum", "match")


@pytest.mark.parametrize("name", ["../outside", "/../../outside", "a/../../outside"])
def test_a_path_that_leaves_the_root_is_refused(daemon, root_folder, tmp_path, name):
    archive = write_tar(tmp_path / "root.tar", [(member(name), b"x")], root_folder)
    refused(daemon, archive, "escape", "outside", "..")


def test_a_link_that_leads_out_of_the_root_is_not_followed(daemon, root_folder, tmp_path):
    target = tmp_path / "host-target"
    target.mkdir()
    archive = write_tar(tmp_path / "root.tar",
                        [(member("trap", tarfile.SYMTYPE, str(target)), b""), (member("trap/planted"), b"x")], root_folder)
    daemon("image", "import", archive, "--name", "link-escape", timeout=120)
    daemon("image", "rm", "link-escape")
    assert list(target.iterdir()) == []


def test_a_hard_link_to_a_file_outside_is_refused(daemon, root_folder, tmp_path):
    archive = write_tar(tmp_path / "root.tar", [(member("stolen", tarfile.LNKTYPE, "../../../etc/shadow"), b"")],
                        root_folder)
    refused(daemon, archive, "hard-link", "shadow", "link")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_a_device_node_is_refused(daemon, root_folder, tmp_path, kind):
    node = member("dev/disk", kind)
    node.devmajor, node.devminor = 8, 0
    refused(daemon, write_tar(tmp_path / "root.tar", [(node, b"")], root_folder), "device-node", "device")


def test_what_is_no_image_is_refused(daemon, tmp_path):
    noise = tmp_path / "noise.tar"
    noise.write_bytes(os.urandom(20_000))
    refused(daemon, noise, "noise", "noise.tar")
    refused(daemon, tmp_path / "missing", "missing-source", "missing")


def test_unknown_recipes_and_images_are_named(daemon):
    unknown = daemon("image", "build", "no-such-recipe")
    assert unknown.status == 1 and "no-such-recipe" in unknown.err, unknown
    assert daemon("image", "rm", "no-such-image").status == 1
    run = daemon.run("true", image="no-such-image")
    assert run.status == 125 and "no-such-image" in run.err and "image" in run.err, run


def test_a_build_of_what_is_built_answers_at_once(daemon):
    before = daemon.images()
    daemon.ok("image", "build", "minimal")
    assert daemon.images() == before


def test_two_builds_at_once_give_one_image(fresh):
    for name in ("rootfs", "roots", "images"):
        shutil.rmtree(fresh.state / "images" / name, ignore_errors=True)
    fresh.up()
    results = []
    threads = [threading.Thread(target=lambda: results.append(fresh("image", "build", "minimal", timeout=300)))
               for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [done.status for done in results] == [0, 0], results
    assert [i["image"] for i in fresh.json("image", "ls")["images"]].count("minimal") == 1
    assert fresh.run("echo built").out == "built\n"
