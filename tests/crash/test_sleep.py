"""A daemon that is killed while a workspace falls asleep or wakes: it runs on, or sleeps, and its disk is whole."""

import time

from cofferdam import Cofferdam


def status_of(one, name):
    return next(w["status"] for w in one.json("ls")["workspaces"] if w["id"] == name)


def test_a_kill_while_it_falls_asleep_loses_nothing_of_its_memory(golden):
    one = Cofferdam(golden=golden)
    one.up()
    try:
        name = one.create("--permanent", "--disk", "100M")
        assert one.exec(name, "echo here >/dev/shm/x").status == 0
        for delay in (0.05, 0.15, 0.3, 0.5, 0.8, 1.2):
            asked = one.spawn("suspend", name)
            time.sleep(delay)
            one.kill()
            asked.communicate(timeout=30)
            one.up()
            assert status_of(one, name) in ("running", "suspended")
            one.ok("start", name)
            assert one.exec(name, "cat /dev/shm/x").out == "here\n", one.log()
        one.ok("rm", name)
        one.down()
        one.assert_nothing_left()
    finally:
        one.close()


def test_a_kill_while_it_wakes_costs_its_memory_at_most(golden):
    one = Cofferdam(golden=golden)
    one.up()
    try:
        name = one.create("--permanent", "--disk", "100M")
        for delay in (0.02, 0.1, 0.2, 0.4, 0.7):
            assert one.exec(name, "echo kept >/root/x; sync").status == 0
            one.ok("suspend", name)
            asked = one.spawn("start", name)
            time.sleep(delay)
            one.kill()
            asked.communicate(timeout=30)
            one.up()
            assert status_of(one, name) in ("running", "suspended", "stopped")
            one.ok("start", name)
            assert one.exec(name, "cat /root/x").out == "kept\n", one.log()
        assert not [path for path in (one.state / "workspaces").rglob("asleep-*")]
        one.ok("rm", name)
        one.down()
        one.assert_nothing_left()
    finally:
        one.close()
