//! What holds the attacks. Each can be taken away in a build with debug assertions (`crate::without`), and a test then
//! sees at least one of its attacks succeed.

/// One defence.
#[derive(Debug, Clone, Copy)]
pub struct Defence {
    /// The word that attacks and the test switch name it by.
    pub name: &'static str,
    /// What it does, as a sentence without a full stop.
    pub what: &'static str,
    /// Others that hold the same attacks: only without them as well does one succeed.
    pub behind: &'static [&'static str],
    /// The runtime on which coop itself brings it; empty where the test may take any.
    pub runtime: &'static str,
}

const fn of(name: &'static str, what: &'static str) -> Defence {
    Defence { name, what, behind: &[], runtime: "" }
}

const fn bwrap(name: &'static str, what: &'static str) -> Defence {
    Defence { name, what, behind: &[], runtime: "bwrap" }
}

/// All of them.
pub const TABLE: &[Defence] = &[
    of("shadow-mounts", "a read-only blank covers every file and directory whose name says secret"),
    of("case-folding", "names of secrets count in any letter case, as disks may see them"),
    of("hard-links", "other names of a hidden file are hidden too"),
    of("link-targets", "what a link with a secret's name leads to is hidden too"),
    of("nested-git", "git directories of nested repositories are hidden"),
    of("coopignore", "what .coopignore names is hidden"),
    bwrap("read-only-blanks", "a blank cannot be written"),
    of("remembered-shadows", "what was hidden once stays hidden, whatever a box does to names and .coopignore"),
    of("closed-root", "a box sees its work tree and the system, and nothing else of the host"),
    of("private-git-dir", "a box has a git directory of its own, which the host never opens"),
    of("read-only-objects", "the repository's objects cannot be written"),
    of("seed-store", "a fork's objects are those that its branch reaches"),
    of("skip-worktree", "the blank over a tracked secret is no change for git"),
    of("config-targets", "files of the tree that the user's git configuration names cannot be written"),
    of("gitlinks", "neither branch nor index follow to a submodule that nobody accepted"),
    of("identity-only", "of the user's git configuration a box gets name, email and ignore patterns"),
    of("sound-git-dir", "a git directory with pipes, links or devices in it is not read"),
    of("bundle-bounds", "a bundle brings at most 1,000 refs, each with a name that git accepts"),
    of("fsck", "objects of a box are checked before they are kept"),
    of("own-ref-names", "refs of a box are kept below the fork's own name"),
    of("full-ref-names", "a branch is named in full, so that no tag is taken for it"),
    of("policy-host", "files that act on the host by themselves have to be accepted by name"),
    of("policy-shadowed", "files that boxes do not see have to be accepted by name"),
    of("policy-secret", "every blob of every commit is searched for secrets"),
    of("policy-blob", "large files have to be accepted by name"),
    of("policy-symlink", "links that leave the tree have to be accepted by name"),
    of("policy-submodule", "submodules have to be accepted by name"),
    of("gate-bounds", "a gate that does not end is red"),
    of("terminal-escaping", "control bytes and characters that deceive are shown as text"),
    of("no-follow", "no link, pipe or device of a box is opened where a file is read"),
    of("agent-home-no-follow", "no link of an agent's home is followed"),
    of("one-profile", "an agent's home has the login of one profile, and no other is there"),
    of("own-keys-only", "an agent gets the keys that its definition names"),
    of("keys-outside", "API keys stay outside of the box; the proxy puts them on requests to the provider"),
    of("own-account", "a request to the provider carries the user's credential or none, and stays in its endpoint"),
    bwrap("clean-environment", "the user's environment stays outside"),
    bwrap("close-descriptors", "open files of the user stay outside"),
    bwrap("pid-namespace", "a box sees and signals its own processes, and none outlives it"),
    bwrap("ipc-namespace", "a box shares no memory with processes of the host"),
    bwrap("no-network", "without egress there is no network but the box's own loopback"),
    bwrap("own-devices", "the devices of the machine are not there"),
    bwrap("proc-blanks", "what /proc tells of the machine's keys is hidden"),
    bwrap("read-only-proc", "settings of the kernel cannot be written"),
    bwrap("read-only-root", "nothing outside of work tree, home and temporary directory can be written"),
    bwrap("no-capabilities", "every capability is dropped"),
    bwrap("seccomp", "system calls that reach the kernel's depths fail"),
    Defence { behind: &["seccomp"], ..bwrap("session-keyring", "a box joins a keyring of its own before it starts") },
    Defence { runtime: "docker", ..of("no-new-privileges", "setuid programs gain nothing") },
    of("proxy-list", "the proxy reaches what is on the list and nothing else"),
    of(
        "proxy-address",
        "the proxy refuses private, loopback, link-local and metadata addresses after it has resolved a name",
    ),
    of("proxy-tls", "TLS through the proxy has to name the host that was asked for"),
    of("pids-limit", "the number of processes is limited"),
    of("memory-limit", "memory is limited, where COOP_MEMORY says so"),
    Defence { behind: &["memory-limit"], ..of("tmpfs-size", "temporary directory and home are limited") },
];
