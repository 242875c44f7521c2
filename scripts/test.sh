#!/usr/bin/env bash
# Runs every check and every test, sets up what they need, and ends with one line that sums it all up.
#
# The box tests use docker, podman and bubblewrap where they are; COOP_TEST_REQUIRE=bwrap,docker,podman makes a
# missing one a failure instead of a skip. COOP_TEST_ONLY=lint|test runs one half.
set -u
cd "$(dirname "$0")/.." || exit 2
cargo=${CARGO:-cargo}
log=$(mktemp -d "${TMPDIR:-/tmp}/coop-test.XXXXXX") || exit 2
skips=$log/skips
: >"$skips"
export COOP_TEST_SKIPS=$skips   # a test that cannot run here writes its name and the reason, one line
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

step 'runtimes' tests/fixtures/runtimes.sh start

# one build for all targets; a failing target does not hide the next
step 'tests' "$cargo" test --locked --no-fail-fast 2>&1 | tee "$log/out"
[ "${PIPESTATUS[0]}" = 0 ] || bad=1

if [ -s "$skips" ]; then
	printf '== skipped\n'
	sort -u "$skips"
fi

sum() { # word after the number in cargo's result lines
	sed -n "s/^test result: .* \([0-9][0-9]*\) $1.*/\1/p" "$log/out" | awk '{ n += $1 } END { print n + 0 }'
}
passed=$(sum passed) failed=$(sum failed) skipped=$(($(sum ignored) + $(sort -u "$skips" | wc -l)))
# a target that did not compile or was killed has no result line
if [ $bad != 0 ] && [ "$failed" = 0 ]; then
	failed=1
fi
printf 'tests: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
exit $bad
