"""F46: how soon a workspace that was told to stop stands still, is cut off, and is held.

Each of them has a loop that takes its CPU, an allowed destination and a token: there is something to do for every step.
The times are the daemon's own, of its answer; that of the snapshot, which grows with the workspace's memory, is taken out
of what comes behind it."""

import statistics


def steps(table, one, runs, accelerator):
    stood, cut, rest, kept = [], [], [], []
    for _ in range(runs):
        workspace = one.api.create(image="minimal", memory_mb=128)["id"]
        one.ok("network", "allow", workspace, "example.org")
        one.ok("token", "create", "--workspace", workspace, "--verbs", "read")
        one.exec(workspace, "setsid sh -c 'while :; do :; done' </dev/null >/dev/null 2>&1 &")
        incident = one.api.call("POST", f"/workspace/{workspace}/contain", {"why": "a figure"})["incident"]
        failed = [step for step in incident["steps"] if "error" in step]
        if failed:
            raise RuntimeError(f"a containment failed: {failed}")
        after = {step["step"]: step["after_ms"] for step in incident["steps"]}
        stood.append(after["vcpus"])
        cut.append(after["flows"])
        kept.append(after["snapshot"] - after["tokens"])
        rest.append(after["report"] - kept[-1])
        one.api.call("POST", f"/workspace/{workspace}/release", {"why": "a figure"})
        one.api.destroy(workspace)
    for what, values, must, aim in (("contain: vCPUs stand still", stood, 20, "5"), ("contain: its flows are cut", cut, 50, ""),
                                    ("contain: every step but the snapshot", rest, 300, "")):
        half, worst = statistics.median(values), max(values)
        note = f"worst {worst:.1f} ms of {len(values)}"
        if values is rest:
            note += f"; the snapshot of 128 MiB {statistics.median(kept):.0f} ms"
        table.add("F46", f"{what}, p50", f"{half:.1f}", "ms", str(must), aim, accelerator, note, half <= must)
    return {"vcpus_ms": stood, "flows_ms": cut, "all_but_snapshot_ms": rest, "snapshot_ms": kept}
