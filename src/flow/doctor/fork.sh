# Runs inside the box of a fork. Arguments: two halves of the decoy value, objects of the repository that the fork must
# not reach (another branch, the stash).
decoy=$1$2
shift 2
report=$PWD/doctor-report
: >"$report"
say() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$report"; }
check() { if [ -z "$2" ]; then say "$1" ok "$3"; else say "$1" bad "$2"; fi; }

seen=
for f in .env prod.env secrets/token keys/server.pem; do [ -s "$f" ] && seen="$seen $f"; done
found=$(grep -rsl -- "$decoy" "$PWD" /coop /home /root /tmp 2>/dev/null | head -n 3)
check fork-secrets "${seen# }${found:+ found in $found}" "what git ignores is not there, and the value is nowhere"
bad=
[ "$(git remote | wc -l)" = 0 ] || bad='it has remotes'
git push origin HEAD >/dev/null 2>&1 && bad="$bad; git push works"
check fork-push "$bad" "no remote, nowhere to push"
seen=
for oid in "$@"; do git cat-file -e "$oid" 2>/dev/null && seen="$seen $oid"; done
[ "$(git for-each-ref refs/heads | wc -l)" = 1 ] || seen="$seen more than one branch"
git log --all -p 2>/dev/null | grep -q -- "$decoy" && seen="$seen the value is in a commit"
check fork-objects "${seen# }" "no other branch, no stash: only what its branch reaches"
[ "$(head -n 1 src.txt 2>/dev/null)" = 'source' ] && bad= || bad='src.txt is missing'
check fork-sources "$bad" "what is committed is there"
say end ok ''
