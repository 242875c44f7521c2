//! Landed commits are signed as the user's configuration says: openpgp, x509 and ssh, on the host.

use std::path::Path;

use crate::land_support::{Land, f};

#[test]
fn signing_without_a_key_is_refused_and_with_one_signs() {
    let land = Land::new();
    land.fork("x");
    land.work("x", &[f("a", "1\n")], "one");
    land.git(["config", "commit.gpgSign", "true"]);
    land.git(["config", "gpg.format", "ssh"]);
    land.git(["config", "user.signingKey", "/nonexistent/key"]);
    let before = land.snapshot();
    let _ = land.merge(["x", "--yes"]).fails(2, "cannot sign");
    assert_eq!(land.snapshot(), before);
    let key = land.world.root().join("key");
    let made =
        land.world.run(&land.repo, "ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().expect("path")]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    land.git(["config", "user.signingKey", key.to_str().expect("path")]);
    land.merge(["x", "--yes"]).ok();
    assert!(land.git(["cat-file", "-p", "main"]).contains("-----BEGIN SSH SIGNATURE-----"));
    assert_eq!(land.git(["log", "-1", "--format=%an %ad", "--date=raw"]), "Agent 1600000000 +0200");
}

/// gpg with a home of its own; its agent ends with this value.
struct Gnupg<'a>(&'a Land);

impl Gnupg<'_> {
    /// `None` where the programs are not installed.
    fn start(land: &Land) -> Option<Gnupg<'_>> {
        let home = land.world.home().join(".gnupg");
        std::fs::create_dir(&home).expect("dir");
        std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("mode");
        let there = ["gpg", "gpgsm", "gpgconf"].iter().all(|program| {
            let mut command = land.world.command(&land.repo, program);
            command.arg("--version").output().is_ok_and(|output| output.status.success())
        });
        there.then_some(Gnupg(land))
    }
    fn run<const N: usize>(&self, program: &str, args: [&str; N]) -> String {
        let run = self.0.world.run(&self.0.repo, program, args);
        assert_eq!(run.code, 0, "{program} {args:?}: {}", run.stderr);
        run.stdout
    }
    /// A certificate that signs itself; gives its fingerprint.
    fn certificate(&self) -> String {
        let home = self.0.world.home();
        let write = |path: &Path, text: &str| std::fs::write(path, text).expect("file");
        let parameters = home.join("parameters");
        write(
            &parameters,
            "Key-Type: RSA\nKey-Length: 2048\nKey-Usage: sign\nSerial: random\nName-DN: CN=Una User\n\
             Name-Email: una@example.com\nNot-After: 2099-01-01\n%no-protection\n",
        );
        let (parameters, made) = (parameters.to_str().expect("UTF-8"), home.join("certificate"));
        let made = made.to_str().expect("UTF-8");
        let loopback = ["--batch", "--pinentry-mode", "loopback", "--passphrase-fd", "0"];
        let [a, b, c, d, e] = loopback;
        self.run("gpgsm", [a, b, c, d, e, "--output", made, "--generate-key", parameters]);
        self.run("gpgsm", ["--batch", "--import", made]);
        let listed = self.run("gpgsm", ["--list-keys", "--with-colons"]);
        let line = listed.lines().find(|line| line.starts_with("fpr:")).expect("a fingerprint");
        let fingerprint = line.split(':').nth(9).expect("a fingerprint").to_owned();
        write(&home.join(".gnupg/trustlist.txt"), &format!("{fingerprint} S relax\n"));
        write(&home.join(".gnupg/gpgsm.conf"), "disable-crl-checks\n");
        self.run("gpgconf", ["--kill", "gpg-agent"]);
        fingerprint
    }
}

impl Drop for Gnupg<'_> {
    fn drop(&mut self) {
        let _ = self.0.world.run(&self.0.repo, "gpgconf", ["--kill", "all"]);
    }
}

#[test]
fn openpgp_and_x509_sign_what_git_verifies() {
    let land = Land::new();
    let Some(gnupg) = Gnupg::start(&land) else {
        eprintln!("SKIPPED: gpg or gpgsm is not installed");
        return;
    };
    let user = "Una User <una@example.com>";
    gnupg.run(
        "gpg",
        ["--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback", "--quick-gen-key", user, "ed25519"],
    );
    let fingerprint = gnupg.certificate();
    land.git(["config", "commit.gpgSign", "true"]);
    for (format, key, armour) in [
        ("openpgp", "una@example.com", "-----BEGIN PGP SIGNATURE-----"),
        ("x509", fingerprint.as_str(), "-----BEGIN SIGNED MESSAGE-----"),
    ] {
        land.fork(format);
        land.work(format, &[f(format, "1\n")], "one\n\nbody\n\nTrailer: x");
        land.work(format, &[f(format, "2\n")], "two");
        land.git(["config", "gpg.format", format]);
        land.git(["config", "user.signingKey", "0000000000000000000000000000000000000000"]);
        let before = land.snapshot();
        let _ = land.merge([format, "--yes"]).fails(2, "cannot sign");
        assert_eq!(land.snapshot(), before, "{format}");
        land.git(["config", "user.signingKey", key]);
        land.merge([format, "--yes"]).ok();
        for commit in ["main", "main~1"] {
            assert!(land.git(["cat-file", "-p", commit]).contains(armour), "{format} {commit}");
            assert!(
                ["G", "U"].contains(&land.git(["log", "-1", "--format=%G?", commit]).as_str()),
                "{format} {commit}"
            );
        }
        assert_eq!(land.git(["log", "-1", "--format=%B", "main~1"]).trim_end(), "one\n\nbody\n\nTrailer: x");
        assert_eq!(land.git(["log", "-1", "--format=%an %ad|%cn", "--date=raw"]), "Agent 1600000000 +0200|Una User");
    }
}
