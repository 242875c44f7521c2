# Runs inside the box of `git coop doctor`, in the sample repository, and tries to get out or to see what it must
# not. Writes one line a check: name, tab, ok|bad|note, tab, detail. POSIX sh and the usual small tools.
# arguments: two halves of the decoy value, a file in the user's home, another repository, uid, pid of the host, egress,
# port on the host's loopback, port on all its addresses
decoy=$1$2 home=$3 other=$4 uid=$5 pid=$6 egress=$7 loopback=$8 everywhere=$9
report=$PWD/doctor-report
: >"$report"
say() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$report"; }
check() { if [ -z "$2" ]; then say "$1" ok "$3"; else say "$1" bad "$2"; fi; }
limit() { if command -v timeout >/dev/null; then timeout "$@"; else shift; "$@"; fi; }

secrets='.env .ENV.local prod.env keys/server.pem deep/a:b,c/.netrc hidden.conf real.txt copy.txt nested/.env'

seen=
for f in $secrets; do [ -s "$f" ] && seen="$seen $f"; done
[ -n "$(ls -A secrets)" ] && seen="$seen secrets/"
check secrets-unreadable "${seen:+readable:$seen}" "$(echo $secrets | wc -w) files and a directory, by name, .coopignore, link and hard link"

did=
umount .env 2>/dev/null; umount -l .env 2>/dev/null
[ -s .env ] && did=umount
limit 5 unshare -rm sh -c 'umount .env; umount -l .env; cat .env' 2>/dev/null | grep -q . && did="$did unshare"
limit 5 unshare -rm sh -c 'mkdir -p /tmp/p && mount --bind . /tmp/p && cat /tmp/p/.env' 2>/dev/null | grep -q . && did="$did bind"
for root in /proc/1/root /proc/self/root /proc/*/cwd; do
	grep -qs "$decoy" "$root$PWD/.env" && did="$did $root"
done
check shadows-hold "${did:+uncovered by: $did}" "umount, a namespace of its own and /proc/*/root show nothing"

found=$(limit 60 grep -rsl -- "$decoy" "$PWD" /home /root /tmp /var /run /etc /mnt /media /srv /opt /coop 2>/dev/null | head -n 3)
check secrets-nowhere "${found:+found in $found}" "no file in the box holds the value"
did=
for f in $secrets; do
	{ echo x >>"$f"; } 2>/dev/null && did="$did $f:written"
	{ true >"$f"; } 2>/dev/null && did="$did $f:emptied"
	rm -f "$f" 2>/dev/null && did="$did $f:removed"
	mv -f src.txt "$f" 2>/dev/null && did="$did $f:replaced"
	chmod 666 "$f" 2>/dev/null && [ -s "$f" ] && did="$did $f:chmod"
done
{ echo x >secrets/new; } 2>/dev/null && did="$did secrets/:written"
rmdir secrets 2>/dev/null && did="$did secrets/:removed"
mv secrets secrets2 2>/dev/null && did="$did secrets/:moved"
check secrets-unwritable "${did# }" "writing, emptying, removing, replacing, moving and chmod all failed"

env | grep -q -- "$decoy" && leak="found in the environment" || leak=
check environment "$leak" "the user's variables stay outside"

[ "$(cat .env.example 2>/dev/null)" = 'TOKEN=changeme' ] && bad= || bad='.env.example cannot be read'
check templates "$bad" ".env.example can be read"
bad=
[ "$(cat src.txt 2>/dev/null)" = 'source' ] || bad='src.txt cannot be read'
{ echo more >>src.txt; } 2>/dev/null || bad='src.txt cannot be written'
check sources "$bad" "ordinary files can be read and written"

seen=
for p in "$home" "$(dirname "$home")" "$HOME/.ssh/id_rsa" "$HOME/.ssh/id_ed25519" "$HOME/.aws" "$HOME/.gnupg" "$HOME/.bash_history"; do
	[ -e "$p" ] && seen="$seen $p"
done
touch "$HOME/.doctor" 2>/dev/null || seen="$seen (the home of the box cannot be written)"
check home "${seen# }" "the user's home is not there; the box has its own"
[ -e "$other" ] && bad="$other is there" || bad=
check other-repositories "$bad" "nothing beside this repository"

seen=
for p in /var/run/docker.sock /run/docker.sock /run/podman/podman.sock /run/containerd/containerd.sock \
	/run/user/*/podman/podman.sock /run/user/*/bus /run/dbus/system_bus_socket /run/systemd/private /tmp/.X11-unix /tmp/ssh-*; do
	[ -e "$p" ] && seen="$seen $p"
done
[ -n "${SSH_AUTH_SOCK:-}${DOCKER_HOST:-}${DBUS_SESSION_BUS_ADDRESS:-}" ] && seen="$seen variables that name a socket"
check sockets "${seen# }" "no socket of docker, podman, ssh-agent or dbus"

bad=
[ "$(id -u)" = "$uid" ] || bad="uid $(id -u), not $uid"
check user "$bad" "uid $(id -u), the owner of the repository"
held=$(sed -n 's/^Cap\(Eff\|Prm\|Bnd\|Inh\|Amb\):[[:space:]]*\(.*\)/\2/p' /proc/self/status | tr -d '0\n')
check capabilities "${held:+some are left: $(grep ^Cap /proc/self/status | tr '\n\t' '  ')}" "none, not even in the bounding set"
grep -q '^NoNewPrivs:[[:space:]]*1' /proc/self/status && bad= || bad='programs can gain privileges (setuid)'
check no-new-privileges "$bad" "setuid programs gain nothing"
grep -q '^Seccomp:[[:space:]]*2' /proc/self/status &&
	say seccomp ok "system calls are filtered" || say seccomp note "system calls are not filtered"

did=
for f in /usr/coop-doctor /etc/coop-doctor /coop-doctor; do { true >"$f"; } 2>/dev/null && did="$did $f"; done
for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/vm/drop_caches; do [ -w "$f" ] && { true >"$f"; } 2>/dev/null && did="$did $f"; done
for f in /dev/sda /dev/vda /dev/nvme0n1 /dev/mem /dev/kmsg /dev/kvm /dev/fuse; do [ -r "$f" ] && did="$did $f"; done
check system "${did# }" "the system is read-only, no device of the machine is there"
{ tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q coop; } 2>/dev/null && bad="process $pid of the host is visible" || bad=
check processes "$bad" "no process of the host is visible"

printf '#!/bin/sh\n: >%s/hook-ran\n' "$PWD" >.git/hooks/post-checkout 2>/dev/null && chmod +x .git/hooks/post-checkout 2>/dev/null
git config core.fsmonitor "touch $PWD/fsmonitor-ran" 2>/dev/null
git config core.hooksPath "$PWD/planted" 2>/dev/null
git config --unset core.fsmonitor 2>/dev/null
git config --unset core.hooksPath 2>/dev/null
did=
alternates=$(cat .git/objects/info/alternates 2>/dev/null)
for dir in $alternates; do
	{ true >"$dir/coop-doctor"; } 2>/dev/null && did="$did $dir"
	for pack in "$dir"/pack/*.pack "$dir"/??/*; do
		[ -f "$pack" ] && chmod u+w "$pack" 2>/dev/null && did="$did $pack"
		break
	done
done
check objects "${did:+written: $did}" "the repository's objects are read-only"
echo >.coopignore # must change nothing for the next box
git add src.txt 2>/dev/null && git commit -qm 'Work of the doctor' 2>/dev/null && bad= || bad='git commit does not work in the box'
check git-works "$bad" "the agent can commit"

links=$(ls /sys/class/net 2>/dev/null | grep -v '^lo$' | tr '\n' ' ')
reach() { # address, port
	if command -v bash >/dev/null; then
		limit 3 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null
	elif command -v curl >/dev/null; then
		limit 3 curl -s "http://$1:$2/" >/dev/null 2>&1
	fi
}
reach 127.0.0.1 "$loopback"
routes=$(awk 'NR > 1 && $3 != "00000000" { print $3 }' /proc/net/route 2>/dev/null)
for hex in $routes; do
	gateway=$(printf '%d.%d.%d.%d' "0x$(echo "$hex" | cut -c 7-8)" "0x$(echo "$hex" | cut -c 5-6)" "0x$(echo "$hex" | cut -c 3-4)" "0x$(echo "$hex" | cut -c 1-2)")
	reach "$gateway" "$loopback"
	reach "$gateway" "$everywhere"
done
if [ "$egress" = open ]; then
	say network ok "open, as COOP_EGRESS=open says"
else
	check network "${links:+interfaces: $links}${routes:+ routes: $routes}" "none of its own, as COOP_EGRESS=$egress says"
fi
say end ok ''
