"""The published client against a daemon; needs node and `npm ci` in tests/sdk."""

import os
import shutil
import subprocess

import pytest

import cofferdam as support

SDK = support.ROOT / "tests" / "sdk"


@pytest.mark.skipif(not shutil.which("node") or not (SDK / "node_modules").exists(), reason="no node, or no npm ci yet")
def test_every_call_of_the_control_plane(daemon):
    client_id, secret = daemon.administrator()
    env = {**os.environ, "COFFER_URL": daemon.url, "COFFER_CLIENT_ID": client_id, "COFFER_CLIENT_SECRET": secret}
    done = subprocess.run(["node", "--test", "control_plane.test.mjs"], cwd=SDK, env=env, capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}\n{daemon.log()}"
