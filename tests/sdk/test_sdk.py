"""The published client against a daemon with real machines; run.py has installed it."""

import os
import subprocess

import cofferdam as support

SDK = support.ROOT / "tests" / "sdk"


def test_every_call_of_the_control_plane(daemon):
    client_id, secret = daemon.administrator()
    env = {**os.environ, "COFFER_URL": daemon.url, "COFFER_CLIENT_ID": client_id, "COFFER_CLIENT_SECRET": secret}
    done = subprocess.run(["node", "--test", "control_plane.test.mjs"], cwd=SDK, env=env, capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}\n{daemon.log()}"
