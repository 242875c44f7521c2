# fish completion for git coop and git-coop

function __git_coop_ask
    set -l words (commandline -opc)
    if test "$words[1]" = git
        set -e words[1]
    end
    set -e words[1]
    git-coop completions -- $words (commandline -ct) 2>/dev/null
end

complete -c git-coop -a '(__git_coop_ask)'
complete -c git -n 'test (count (commandline -opc)) -gt 1; and test (commandline -opc)[2] = coop' -a '(__git_coop_ask)'
complete -c git -n __fish_git_needs_command -a coop -d 'Run coding agents in disposable boxes'
