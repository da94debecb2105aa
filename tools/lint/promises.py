#!/usr/bin/python3
"""Every promise of docs/promises.md names a test that exists, or says which later piece of work it waits for.

A promise is a table row whose first cell is an id: I1…I10 (invariants), C1…C10 (the checklist's test lines), F1…F9
(figures), H1… (hostile and bad input), K1… (keys). Its last cell names tests as `path::name`, or reads "waits for: …".
"""

import re
import sys

import rooms

PAGE = rooms.ROOT / "docs" / "promises.md"
REQUIRED = [f"I{n}" for n in range(1, 11)] + [f"C{n}" for n in range(1, 11)] + [f"F{n}" for n in range(1, 10)]
ROW = re.compile(r"^\|\s*([ICFHK]\d+)\s*\|(.*)\|\s*$")
REFERENCE = re.compile(r"`([^`\s]+)::([^`]+)`")


def _exists(path, name):
    file = rooms.ROOT / path
    if not file.is_file():
        return f"there is no file {path}"
    text = file.read_text()
    if path.endswith(".py"):
        # A row of the benchmark is a string, a test is a function.
        known = f"def {name}(" in text or f'"{name}"' in text
    else:
        suite, _, case = name.partition(".")
        known = re.search(rf"\bTEST(_F|_P)?\(\s*{re.escape(suite)}\s*,\s*{re.escape(case)}\s*\)", text) is not None
        known = known or re.search(rf"\bRC_GTEST_PROP\(\s*{re.escape(suite)}\s*,\s*{re.escape(case)}\b", text) is not None
    return "" if known else f"{path} has no {name}"


def check():
    problems, seen = [], set()
    for number, line in enumerate(PAGE.read_text().splitlines(), 1):
        row = ROW.match(line)
        if not row:
            continue
        promise, where = row.group(1), f"docs/promises.md:{number}"
        if promise in seen:
            problems.append(f"{where}: {promise} is there twice")
        seen.add(promise)
        proof = row.group(2).split("|")[-1]
        references = REFERENCE.findall(proof)
        if not references and "waits for:" not in proof:
            problems.append(f"{where}: {promise} names no test and nothing it waits for")
        problems += [f"{where}: {promise}: {text}" for path, name in references if (text := _exists(path, name))]
    problems += [f"docs/promises.md: {promise} is missing" for promise in REQUIRED if promise not in seen]
    return problems


if __name__ == "__main__":
    found = check()
    print("\n".join(found))
    sys.exit(1 if found else 0)
