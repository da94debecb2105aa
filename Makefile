# Each target is one line that calls what does the work. `./run` and `./test` install the packages first, then come here.
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 30
PROGRAMS = bin/coffer bin/cofferd bin/coffer-jail bin/coffer-gate bin/coffer-guest bin/coffer-verify

.PHONY: run test build programs lint bench fuzz install clean test-unit test-e2e test-attack test-crash test-sdk test-sanitized test-slow test-quiet test-setup

run: programs
	@tools/demo/demo.py

test:
	@tests/support/run.py all

build:
	@tools/build.sh release

programs:
	@tools/build.sh release $(PROGRAMS)

test-unit:
	@tests/support/run.py unit

test-e2e:
	@tests/support/run.py e2e

test-attack:
	@tests/support/run.py attack

test-crash:
	@tests/support/run.py crash

# The published client, from npm, against a daemon with real machines.
test-sdk:
	@tests/support/run.py sdk

test-sanitized:
	@tests/support/run.py sanitized

# Limits and bad input: minutes under TCG.
test-slow:
	@tests/support/run.py slow

# Ten minutes of ordinary work that must raise no alert; `make test-slow` has a round or two of it.
test-quiet:
	@tests/support/run.py quiet

# The set-up itself, in a bare Debian root.
test-setup:
	@tests/support/run.py setup

lint: build
	@tools/lint/lint.py --full

bench: programs
	@tools/build.sh release bin/bench-hello bin/bench-load bin/bench-disk bin/bench-keys bin/bench-ledger
	@bench/bench.py
	@bench/gate.py

fuzz:
	@tools/fuzz.sh $(FUZZ_SECONDS)

install: programs
	@tools/install.sh $(PREFIX)

clean:
	rm -rf build build-asan build-debug build-fuzz
