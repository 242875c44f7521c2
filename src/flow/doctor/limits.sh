# Runs inside a box with a small memory limit. Arguments: how many processes it may have, bytes of memory that are more
# than it may have (0: not tried).
pids=$1 memory=$2
report=$PWD/doctor-report
: >"$report"
say() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$report"; }
[ -s hidden.conf ] && say memory-of-secrets bad 'emptying .coopignore in a box showed a secret to the next one' ||
	say memory-of-secrets ok 'emptying .coopignore in a box changes nothing'
if [ "$memory" != 0 ]; then
	cp "$report" /tmp/before
	say memory ok 'the box was ended by the limit' # stands if that happens
	got=$( (head -c "$memory" /dev/zero | tail -c "$((memory - 1))" | wc -c) 2>/dev/null)
	cat /tmp/before >"$report"
	if [ "${got:-0}" = "$((memory - 1))" ]; then
		say memory bad "a process could use $memory bytes"
	else
		say memory ok "a process that wanted $((memory >> 20)) MiB did not get them"
	fi
fi
# processes that wait at a pipe which nobody opens are cheaper than programs that sleep
hold='sleep 20'
mkfifo /tmp/hold 2>/dev/null && hold='read x </tmp/hold'
# a shell that cannot fork ends, so another one counts
sh -c 'n=0; while [ $n -lt $1 ]; do '"$hold"' & n=$((n + 1)); echo $n >/tmp/count; done' sh "$((pids + 64))" >/dev/null 2>&1
count=$(cat /tmp/count 2>/dev/null)
if [ "${count:-0}" -ge "$((pids + 64))" ]; then
	say processes-limit bad "$count processes were started, $pids are allowed"
else
	say processes-limit ok "no more than $pids (stopped at $count)"
fi
