//! Man pages are generated from the commands' own definitions and checked in; a stale page is a failure.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use coop::{cli::dispatch, exit, settings};

use crate::support::{files, golden, updating};

#[test]
fn pages_are_current() {
    let tree = dispatch::tree().disable_help_subcommand(true);
    let mut pages = Vec::new();
    render(&tree, "git-coop", "git coop", &mut pages);
    for (name, page) in &pages {
        golden(&format!("man/{name}.1"), page);
    }
    for path in files("man") {
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_owned();
        let known = pages.iter().any(|(name, _)| *name == stem) || path.extension().is_none_or(|e| e != "1");
        if !known && updating() {
            std::fs::remove_file(crate::support::package().join(&path)).expect("removed");
        } else {
            assert!(known, "{} has no command", path.display());
        }
    }
}

fn render(command: &Command, name: &str, shown: &str, pages: &mut Vec<(String, Vec<u8>)>) {
    let top = name == "git-coop";
    let page = command.clone().name(name.to_owned()).bin_name(shown.to_owned()).display_name(name.to_owned());
    let man = Man::new(page)
        .title(name.to_uppercase())
        .date("")
        .source(format!("git-coop {}", env!("CARGO_PKG_VERSION")))
        .manual("git coop manual");
    let mut out = Vec::new();
    let mut write = |part: &dyn Fn(&mut dyn std::io::Write) -> std::io::Result<()>| part(&mut out).expect("memory");
    write(&|w| man.render_title(w));
    write(&|w| man.render_name_section(w));
    write(&|w| man.render_synopsis_section(w));
    write(&|w| man.render_description_section(w));
    write(&|w| man.render_options_section(w));
    if name == "git-coop-fork" {
        let mut run = Roff::new();
        run.control("SS", ["git coop fork NAME [AGENT] [OPTIONS] [-- COMMAND]"]);
        run.to_writer(&mut out).expect("memory");
        let mut options = Vec::new();
        Man::new(coop::cli::fork::of_a_run()).render_options_section(&mut options).expect("memory");
        out.extend(String::from_utf8(options).expect("roff is text").replace(".SH OPTIONS\n", "").into_bytes());
    }
    let mut write = |part: &dyn Fn(&mut dyn std::io::Write) -> std::io::Result<()>| part(&mut out).expect("memory");
    if command.has_subcommands() {
        write(&|w| man.render_subcommands_section(w));
    }
    let extra = if top { reference() } else { see_also(name) };
    extra.to_writer(&mut out).expect("memory");
    pages.push((name.to_owned(), once(out)));
    for sub in command.get_subcommands().filter(|s| !s.is_hide_set()) {
        render(sub, &format!("{name}-{}", sub.get_name()), &format!("{shown} {}", sub.get_name()), pages);
    }
}

/// Every section brings the definition of the apostrophe along; one is enough.
fn once(page: Vec<u8>) -> Vec<u8> {
    const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";
    let text = String::from_utf8(page).expect("roff is text");
    format!("{PREAMBLE}{}", text.replace(PREAMBLE, "")).into_bytes()
}

/// What only git-coop(1) has: exit codes and settings, from the tables that the code uses.
fn reference() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    roff.text([roman("Commands that run a program in a box (run, shell, agents) pass its status through. Otherwise:")]);
    for (code, sentence) in exit::TABLE {
        roff.control("TP", [] as [&str; 0]);
        roff.text([bold(code.to_string())]);
        roff.text([roman(*sentence)]);
    }
    roff.control("SH", ["CONFIGURATION"]);
    roff.text([roman(
        "Strongest first: the command line, the environment, git config, ~/.config/coop/coop.conf (KEY=VALUE with the \
         names of the environment), the default. An unknown value is an error. Nothing in a work tree configures anything.",
    )]);
    for s in settings::SETTINGS {
        roff.control("TP", [] as [&str; 0]);
        roff.text([bold(s.git), roman(", "), bold(s.env)]);
        let mut about: Vec<Inline> = vec![roman(s.doc)];
        if !s.default.is_empty() {
            about.extend([roman(" (default "), italic(s.default), roman(")")]);
        }
        roff.text(about);
    }
    roff.control("SH", ["FILES"]);
    for (file, about) in FILES {
        roff.control("TP", [] as [&str; 0]);
        roff.text([italic(*file)]);
        roff.text([roman(*about)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("gitcoop-refs"), roman("(7), "), bold("git"), roman("(1)")]);
    roff
}

const FILES: &[(&str, &str)] = &[
    ("~/.config/coop/coop.conf", "settings for all repositories"),
    (
        ".coopignore",
        "in any directory of a work tree: paths to hide from boxes beside the built-in names, one pattern a line. No \
         slash: a name at any depth below. A slash: a path relative to the file. A final slash: a directory. *, ? and ** \
         as in gitignore; # starts a comment. There is no negation, the file can only hide more; what was hidden once \
         stays hidden until git coop config --forget-shadows.",
    ),
    (".git/coop/", "what git coop keeps beside refs and can make again: private git directories, seed stores, logs"),
];

fn see_also(name: &str) -> Roff {
    let up = name.rsplit_once('-').map_or("git-coop", |(up, _)| up);
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold(up), roman("(1), "), bold("gitcoop-refs"), roman("(7)")]);
    roff
}
