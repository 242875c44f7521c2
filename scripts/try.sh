#!/usr/bin/env bash
# Shows git coop at work on a fresh Debian or Ubuntu that has git and cargo: a sample repository with a planted
# secret, a box on the live checkout, a fork with a scripted agent, its commits back, and the landing. Everything
# happens in a temporary directory with its own home; nothing of yours is read or changed.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
secret=tr0ub4dor-and-$$-planted

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then heading='\n\033[1m%s\033[0m\n'; else heading='\n== %s\n'; fi
# shellcheck disable=SC2059 # the format is one of the two above
say() { printf "$heading" "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }
fail() { printf 'try: %s\n' "$*" >&2; exit 1; }

for tool in git cargo; do
	command -v "$tool" >/dev/null || fail "$tool is missing: install it first"
done
if ! command -v bwrap >/dev/null; then
	say 'Installing bubblewrap'
	if [ "$(id -u)" = 0 ]; then sudo=; else sudo=sudo; fi
	command -v apt-get >/dev/null || fail 'bubblewrap is missing: install it with your package manager'
	$sudo apt-get update -qq
	$sudo apt-get install -y -qq --no-install-recommends bubblewrap
fi

say 'Building'
(cd "$here" && ${CARGO:-cargo} build --quiet --locked --bins)
programs=${CARGO_TARGET_DIR:-$here/target}/debug

work=$(mktemp -d "${TMPDIR:-/tmp}/coop-try.XXXXXX")
trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT
export PATH=$programs:$PATH HOME=$work/home
unset XDG_CONFIG_HOME XDG_STATE_HOME XDG_CACHE_HOME GIT_DIR GIT_WORK_TREE GIT_CONFIG_GLOBAL
export COOP_RUNTIME=bwrap COOP_EGRESS=none   # no image to build, and the scripted agent needs no network
mkdir -p "$HOME/.ssh"
echo "PRIVATE $secret" >"$HOME/.ssh/id_ed25519"
git config --global user.name 'Una User'
git config --global user.email una@example.com
git config --global init.defaultBranch main

say 'A repository with a secret that git ignores'
git init -q "$work/project"
cd "$work/project"
printf 'API_TOKEN=%s\n' "$secret" >.env
printf 'API_TOKEN=changeme\n' >.env.example
printf '.env\n' >.gitignore
printf '# Sample\n' >README.md
cat >agent.sh <<'AGENT'
# stands in for an agent: looks for secrets, then does its task and commits
{
	echo "what I could read:"
	echo "  .env: $(cat .env 2>/dev/null | wc -c) bytes"
	echo "  .env.example: $(cat .env.example | wc -c) bytes"
	echo "  ssh keys: $(ls ~/.ssh 2>/dev/null | wc -l)"
	echo "  other projects: $(ls /home /root 2>/dev/null | grep -c project)"
	echo "  remotes to push to: $(git remote | wc -l)"
	grep -rs tr0ub4dor / --include=.env --include='id_*' --exclude-dir=proc --exclude-dir=sys
} | tee report.txt
sed -i 's/# Sample/# Sample, improved by an agent/' README.md
git add README.md report.txt
git commit -qm 'Improve the README'
AGENT
git add . && git commit -qm 'Start'
show cat .env

say 'The same file in a box on the live checkout: empty, and not writable'
show git coop run -- sh -c 'echo ".env has $(cat .env | wc -c) bytes"; echo x 2>/dev/null >>.env || echo "and cannot be written"'
[ "$(git coop run -- cat .env 2>/dev/null)" = '' ] || fail 'the secret was readable'
grep -q "$secret" .env || fail 'the secret on the host was changed'

say 'Hand work to a scripted agent in a fork'
show git coop fork demo -- sh agent.sh
show git coop fork ls

say 'Review what came back'
show git coop review demo
if git log -p refs/coop/forks/demo/head | grep -q "$secret"; then fail 'the secret came back in a commit'; fi

say 'Land it'
show git coop merge demo --yes
show git --no-pager log --format='%h %an: %s'
[ "$(head -n 1 README.md)" = '# Sample, improved by an agent' ] || fail 'the work did not land'

say 'Everything that happened is in git'
show git --no-pager log --oneline --glob=refs/coop
show git coop fork rm demo
say 'It works: the agent did its task, and the secret was never readable.'
