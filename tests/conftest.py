"""Fixtures of the whole-system tests: images built once a session, a shared daemon, and daemons of one's own."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
import cofferdam as support  # noqa: E402

IMAGES = ["minimal", "debian-12"]


def pytest_configure(config):
    if os.geteuid() != 0:
        pytest.exit("the whole-system tests start microVMs and need root", 2)
    missing = [name for name in ("coffer", "cofferd", "coffer-jail", "coffer-gate", "coffer-guest", "coffer-verify") if not (support.BIN / name).exists()]
    if missing:
        pytest.exit(f"build/bin lacks {', '.join(missing)}: run make build", 2)


@pytest.fixture(scope="session")
def golden():
    """A state folder with the images built and a template of each booted once. Kept between sessions: a build that
    changes nothing takes no time. Whoever runs beside us waits for its turn here; from then on it is only read."""
    state = pathlib.Path(os.environ.get("COFFER_TEST_IMAGES") or support.ROOT / "build" / "test-state")
    with support.maker_of(state) as maker:
        for image in IMAGES:
            maker.ok("image", "build", image, timeout=900)
            done = maker.run("true", image=image)
            assert done.status == 0, f"{image} does not run: {done}\n{maker.log()}"
    return state


@pytest.fixture(scope="session")
def daemon(golden):
    """One daemon for all tests that leave it as they found it."""
    one = support.Cofferdam(golden=golden, tcp=True)
    one.up()
    yield one
    one.close()


@pytest.fixture
def fresh(golden):
    """A daemon for one test, not started yet."""
    one = support.Cofferdam(golden=golden)
    yield one
    one.close()
