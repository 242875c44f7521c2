#!/usr/bin/env bash
# Runs every check and every test, sets up what they need, and ends with one line that sums it all up.
#
# The box tests use docker, podman and bubblewrap where they are; COOP_TEST_REQUIRE=bwrap,docker,podman makes a
# missing one a failure instead of a skip. COOP_TEST_ONLY=lint|test runs one half, and COOP_TEST_FUZZ=SECONDS
# fuzzes as well.
set -u
cd "$(dirname "$0")/.." || exit 2
cargo=${CARGO:-cargo}
log=$(mktemp -d "${TMPDIR:-/tmp}/coop-test.XXXXXX") || exit 2
bad=0

finish() {
	tests/fixtures/runtimes.sh stop
	rm -rf "$log"
}
trap finish EXIT
trap 'exit 130' INT TERM

step() { # name, command...
	printf '== %s\n' "$1"
	shift
	"$@"
}

if [ "${COOP_TEST_ONLY:-}" != test ]; then
	step 'rustfmt' "$cargo" fmt --check || bad=1
	step 'clippy' "$cargo" clippy --quiet --locked --all-targets -- -D warnings || bad=1
fi
[ "${COOP_TEST_ONLY:-}" = lint ] && exit $bad

# the one program that `make build` builds in another way: it must need nothing of the image that it runs in
static_helper() {
	"$cargo" rustc --quiet --locked --bin git-coop-box -- -C target-feature=+crt-static || return 1
	ldd "${CARGO_TARGET_DIR:-target}/debug/git-coop-box" 2>&1 | grep -qE 'statically linked|not a dynamic executable'
}
step 'static helper' static_helper || bad=1

# libFuzzer for so many seconds a target; the properties themselves are in the tests, under inputs that need no coverage
if [ -n "${COOP_TEST_FUZZ:-}" ]; then
	step 'fuzz' scripts/fuzz.sh "$COOP_TEST_FUZZ" || bad=1
fi

step 'runtimes' tests/fixtures/runtimes.sh start

# one build for all targets; a failing target does not hide the next. A test that cannot run here says so in a
# line "SKIPPED: reason", which cargo shows with the output of tests that passed; the rest of that is left out.
step 'tests' "$cargo" test --locked --no-fail-fast -- --show-output 2>&1 | tee "$log/out" |
	awk '/^successes:$/ { hide = 1 } /^failures:$|^test result: / { hide = 0 } !hide { print substr($0, 1, 400); fflush() }'
[ "${PIPESTATUS[0]}" = 0 ] || bad=1
grep '^SKIPPED: ' "$log/out" | sort | uniq -c >"$log/skips"
if [ -s "$log/skips" ]; then
	printf '== skipped (how often, why)\n'
	cat "$log/skips"
fi

sum() { # word after the number in cargo's result lines
	sed -n "s/^test result: .* \([0-9][0-9]*\) $1.*/\1/p" "$log/out" | awk '{ n += $1 } END { print n + 0 }'
}
passed=$(sum passed) failed=$(sum failed) skipped=$(($(sum ignored) + $(grep -c '^SKIPPED: ' "$log/out")))
# a target that did not compile or was killed has no result line
if [ $bad != 0 ] && [ "$failed" = 0 ]; then
	failed=1
fi
printf 'tests: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
exit $bad
