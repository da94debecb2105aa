"""A daemon that is killed while a snapshot is taken: its workspace runs on, and the next snapshot is a good one."""

import time

from cofferdam import Cofferdam


def test_a_kill_while_a_snapshot_is_taken_spoils_neither_the_workspace_nor_the_next_one(golden):
    one = Cofferdam(golden=golden)
    one.up()
    try:
        for delay in (0.1, 0.25, 0.4, 0.6):
            name = one.create("--ttl", "20m")
            asked = one.spawn("snapshot", "create", name)
            time.sleep(delay)
            one.kill()
            asked.communicate(timeout=30)
            one.up()
            assert one.exec(name, "echo before >/dev/shm/x").status == 0
            taken = one.json("snapshot", "create", name)["id"]
            assert one.exec(name, "echo after >/dev/shm/x").status == 0
            one.ok("snapshot", "restore", name, taken)
            assert one.exec(name, "cat /dev/shm/x").out == "before\n"
            one.ok("rm", name)
    finally:
        one.close()
