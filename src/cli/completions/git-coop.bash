# bash completion for git coop. git's own completion finds _git_coop; as
# share/bash-completion/completions/git-coop this file is loaded when it is first needed.

__git_coop_ask() {
	local line
	COMPREPLY=()
	while IFS= read -r line; do
		COMPREPLY+=("${line%%$'\t'*}")
	done < <(git-coop completions -- "$@" 2>/dev/null)
}

# called by git's completion with its variables words and cword
_git_coop() {
	local at
	for ((at = 1; at < cword; at++)); do
		[[ ${words[at]} == coop ]] && break
	done
	__git_coop_ask "${words[@]:at+1:cword-at}"
}

__git_coop_program() {
	__git_coop_ask "${COMP_WORDS[@]:1:COMP_CWORD}"
}

complete -o bashdefault -o default -F __git_coop_program git-coop
