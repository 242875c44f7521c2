//! `git coop doctor` on every runtime: it finds every promise kept, and it notices when one is not.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use coop::sandbox::Usable;
use coop::sandbox::spec::Runtime;

use crate::common::{IMAGE, each, runtimes};

fn doctor(usable: &Usable, home: &Path, path: &str) -> (Output, serde_json::Value) {
    let egress = if usable.runtime == Runtime::Bwrap { "none" } else { "open" };
    let output = Command::new(env!("CARGO_BIN_EXE_git-coop"))
        .args(["doctor", "--json"])
        .current_dir(home)
        .env_clear()
        .env("PATH", path)
        .env("HOME", home)
        .env("TMPDIR", "/var/tmp")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("COOP_RUNTIME", usable.runtime.name())
        .env("COOP_IMAGE", IMAGE)
        .env("COOP_EGRESS", egress)
        .env("COOP_PIDS", "128")
        .output()
        .expect("git-coop starts");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, report)
}

fn names(report: &serde_json::Value, verdict: &str) -> Vec<String> {
    let checks = report["checks"].as_array().cloned().unwrap_or_default();
    let hits = checks.iter().filter(|check| check["verdict"] == verdict);
    hits.filter_map(|check| check["name"].as_str().map(str::to_owned)).collect()
}

fn system_path() -> String {
    coop::env::Env::of_process().str("PATH").unwrap_or("/usr/bin:/bin").to_owned()
}

#[test]
fn every_promise_holds() {
    each(|usable| {
        let home = tempfile::tempdir().expect("home");
        let (output, report) = doctor(usable, home.path(), &system_path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(names(&report, "bad").is_empty() && output.status.success(), "{report:#}\n{said}");
        assert!(names(&report, "ok").len() > 25, "{report:#}");
        let left = std::fs::read_dir(home.path().join(".local/state/coop")).expect("state").flatten();
        assert!(!left.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("doctor")), "litter");
    });
}

/// The same box through a client that quietly leaves out what protects it.
#[test]
fn a_broken_promise_is_noticed() {
    let Some(usable) = runtimes().iter().find(|u| u.runtime == Runtime::Docker) else {
        eprintln!("SKIPPED: no docker to be taken apart");
        return;
    };
    let home = tempfile::tempdir().expect("home");
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).expect("directory");
    let script = format!(
        "#!/bin/bash\nargs=()\nwhile (($#)); do\n  case $1 in\n    --cap-drop=*|--security-opt=no-new-privileges*) ;;\n    \
         --cap-drop) shift ;;\n    --security-opt) [[ $2 == no-new* ]] || args+=(\"$1\" \"$2\"); shift ;;\n    \
         --mount) [[ $2 == *blank-file* ]] || args+=(\"$1\" \"$2\"); shift ;;\n    *) args+=(\"$1\") ;;\n  esac\n  shift\ndone\n\
         exec {} \"${{args[@]}}\"\n",
        usable.program.display()
    );
    std::fs::write(bin.join("docker"), script).expect("script");
    std::fs::set_permissions(bin.join("docker"), std::fs::Permissions::from_mode(0o755)).expect("mode");
    let (output, report) = doctor(usable, home.path(), &format!("{}:{}", bin.display(), system_path()));
    let bad = names(&report, "bad");
    assert_eq!(output.status.code(), Some(1), "{report:#}\n{}", String::from_utf8_lossy(&output.stderr));
    for name in ["secrets-unreadable", "secrets-unwritable", "secrets-nowhere", "capabilities", "no-new-privileges"] {
        assert!(bad.iter().any(|b| b == name), "{name} was not noticed: {bad:?}");
    }
}
