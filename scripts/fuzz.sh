#!/usr/bin/env bash
# Fuzzes the content scanner and the baseline parser with libFuzzer, SECONDS each (default 60), by the flags that cargo-fuzz
# uses with `--sanitizer none`; stable Rust is enough. What was found lies in target/fuzz; with an input as a second argument
# that one is run again.
#
#     scripts/fuzz.sh [SECONDS]
#     scripts/fuzz.sh content target/fuzz/content/crash-…
set -eu
cd "$(dirname "$0")/.."
target=$(rustc -vV | sed -n 's/^host: //p')
dir=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
if ! command -v "${CXX:-c++}" >/dev/null; then
	echo 'SKIPPED: fuzz targets: libFuzzer needs a C++ compiler' >&2
	exit 0
fi
coverage='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
	-Cllvm-args=-sanitizer-coverage-trace-compares'
RUSTFLAGS=$(echo $coverage) CARGO_TARGET_DIR=$dir "${CARGO:-cargo}" build --quiet --locked \
	--manifest-path fuzz/Cargo.toml --target "$target"
if [ $# = 2 ]; then
	exec "$dir/$target/debug/$1" "$2"
fi
for name in content baseline; do
	mkdir -p "$dir/$name"
	# seeds: what this project has of secrets, rules and odd bytes
	"$dir/$target/debug/$name" -max_total_time="${1:-60}" -timeout=10 -max_len=4096 -len_control=0 \
		-artifact_prefix="$dir/$name/" "$dir/$name" src/secret/scan attacks >"$dir/$name.log" 2>&1 || {
		tail -n 40 "$dir/$name.log" >&2
		exit 1
	}
	sed -n "s/^#\([0-9]*\)	DONE *\(cov: [0-9]*\).*/fuzz: $name: \1 inputs, \2/p" "$dir/$name.log"
done
