"""The published client against a daemon with real machines; run.py has installed it."""

import os
import subprocess

import pytest

import cofferdam as support

SDK = support.ROOT / "tests" / "sdk"


def node_options():
    """The client's sockets use the global WebSocket, which Node 22 has, 20 and 21 have when asked, and 18 has not."""
    version = subprocess.run(["node", "-p", "process.versions.node"], capture_output=True, text=True, check=True).stdout
    return "--experimental-websocket" if version.split(".")[0] in ("20", "21") else ""


def run(daemon, script, timeout=300):
    client_id, secret = daemon.administrator()
    env = {**os.environ, "COFFER_URL": daemon.url, "COFFER_CLIENT_ID": client_id, "COFFER_CLIENT_SECRET": secret,
           "NODE_OPTIONS": node_options()}
    done = subprocess.run(["node", "--test", script], cwd=SDK, env=env, capture_output=True, text=True, timeout=timeout,
                          check=False)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}\n{daemon.log()}"


@pytest.fixture(scope="module")
def private(golden):
    """A daemon whose webhooks may go to this host."""
    one = support.Cofferdam(golden=golden, tcp=True)
    one.start("--webhooks-private")
    yield one
    one.close()


def test_scenarios_of_programs_for_the_published_client(private):
    run(private, "scenarios.test.mjs", timeout=900)


def test_every_call_of_the_control_plane(daemon):
    run(daemon, "control_plane.test.mjs")


def test_every_call_inside_a_workspace(daemon):
    run(daemon, "runtime.test.mjs")
