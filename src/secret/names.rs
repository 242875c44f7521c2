//! Secrets by name: the one decider that mounts, content scan and landing share.
//!
//! Guarantees: matching ignores case (a secret is the same secret on a case-insensitive disk), works on any
//! bytes, looks at every component of a path, and never fails open on an odd name. Templates
//! (`.env.example`) stay visible so that an agent can learn the shape of a configuration, but a template
//! suffix never rescues a key or keystore. Backup copies that editors and people leave behind
//! (`.env~`, `server.key.bak`, `#.netrc#`) are judged by the name they are a copy of.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Names of configuration and credential files and directories. One `*` at either end or in the middle;
/// a pattern with a slash wants that parent directory.
const PLAIN: &str = "
    # environment files
    .env .env.* .env-* .env_* *.env *.env.local .envrc .dev.vars .dev.vars.*
    local.settings.json arduino_secrets.h
    # directories, and files of the same names
    secret.d secrets secrets.d .secret .secrets .secrets.d credentials .credentials credentials.d
    .aws .azure .docker .gnupg .kube .ssh .password-store .config/gcloud .config/gh
    # by suffix
    *.secret *.secrets *.secret.json *.credentials *.tfvars *.tfvars.json *.tfstate *.tfstate.*
    *.ovpn *.kubeconfig
    # dot files of tools
    .netrc _netrc .npmrc .yarnrc .yarnrc.yml .pypirc .git-credentials .gitcookies .htpasswd
    .dockercfg .dockerconfigjson .pgpass pgpass.conf .pg_service.conf .my.cnf .mylogin.cnf .s3cfg
    .boto .terraformrc terraform.rc credentials.tfrc.json .vault-token vault-token .vault-pass*
    .vault_pass* vault_pass.txt vault-password* vault_password* rclone.conf .rclone.conf
    sftp-config.json .ftpconfig .msmtprc .fetchmailrc .cargo/credentials.toml
    # service accounts and API clients
    *serviceaccount.json *service-account.json *service_account.json *serviceaccountkey*.json
    *service-account-key*.json *service_account_key*.json serviceaccount-*.json service-account-*.json
    service_account_*.json *-sa.json gcp*key*.json gcloud*key*.json google*key*.json *sa-key.json
    *sa_key.json keyfile.json *-keyfile.json client_secret*.json client-secret*.json
    *firebase-adminsdk*.json gha-creds-*.json application_default_credentials.json oauth_creds.json
    gemini-credentials.json .credentials.json auth.json
    # credentials and secrets in any data format
    credentials.json credentials.y*ml credentials.toml credentials.ini credentials.xml credentials.csv
    credentials.properties *_accesskeys.csv rootkey.csv secret.json secret.y*ml secret.toml
    secrets.json secrets.y*ml secrets.toml secrets.ini secrets.xml secrets.properties
    kubeconfig kubeconfig.y*ml database.y*ml
";

/// Names of private keys and keystores: no template suffix makes them harmless.
const KEYS: &str = "
    *.pem *.key *.p8 *.p12 *.pfx *.pkcs8 *.pkcs12 *.jks *.jceks *.bks *.keystore
    *.keytab *.kdb *.kdbx *.ppk *.agekey id_rsa* id_ed25519* id_ecdsa* id_dsa* id_xmss*
";

/// Public certificate bundles: hiding them breaks TLS in the box and protects nothing.
const PUBLIC: &[&str] =
    &["cacerts.pem", "cacert.pem", "ca-bundle.pem", "ca-bundle.crt", "ca-certificates.crt", "ca-cert.pem"];

/// Suffixes that mark a file as a template.
const TEMPLATES: &[&str] = &[".example", ".sample", ".template"];

/// Suffixes of copies: the name in front of them decides.
const COPIES: &[&str] = &["~", ".bak", ".backup", ".old", ".orig", ".save", ".swp", ".swo", ".tmp", ".copy"];

/// The most dots in a pattern that starts with a star.
const LONGEST_SUFFIX: usize = 2;

/// Suffixes taken off one name. Nobody nests copies deeper, and a name from a hostile tree can be megabytes long.
const ROUNDS: usize = 12;

/// The pattern that makes the path a secret, or `None`. Every component counts: a file below a secret
/// directory is secret whatever it is called. `path` uses `/` and may be absolute or relative.
pub fn is_secret_path(path: &[u8]) -> Option<&'static str> {
    let mut parent: &[u8] = b"";
    for name in path.split(|b| *b == b'/').filter(|c| !c.is_empty()) {
        if let Some(rule) = is_secret_name(parent, name) {
            return Some(rule);
        }
        parent = name;
    }
    None
}

/// As [`is_secret_path`] for one entry: its own name and that of the directory that holds it.
pub fn is_secret_name(parent: &[u8], name: &[u8]) -> Option<&'static str> {
    let table = table();
    let folded = fold(name);
    let mut rest = folded.trim_ascii_end();
    // emacs: `#name#` is an auto-save, `.#name` a lock
    if let Some(inner) = rest.strip_prefix(b"#").and_then(|r| r.strip_suffix(b"#")) {
        rest = inner;
    }
    rest = rest.strip_prefix(b".#").unwrap_or(rest);
    let (mut template, mut swap) = (false, false);
    for _ in 0..ROUNDS {
        let stem = strip_any(rest, TEMPLATES);
        let keys_only = template || stem.is_some();
        let mut hit = table.find(rest, keys_only);
        if hit.is_none() && swap {
            // vim calls the swap file of `secrets.yml` `.secrets.yml.swp`
            hit = rest.strip_prefix(b".").and_then(|dotless| table.find(dotless, keys_only));
        }
        if hit.is_none() && !keys_only {
            hit = table.find_below(parent, rest);
        }
        if hit.is_some() {
            return hit.filter(|_| !PUBLIC.iter().any(|p| p.as_bytes() == rest));
        }
        if let Some(stem) = stem {
            template = true;
            rest = stem;
        } else {
            let stem = strip_any(rest, COPIES)?;
            swap |= rest.ends_with(b".swp") || rest.ends_with(b".swo");
            rest = stem;
        }
    }
    Some("a copy of a copy")
}

fn strip_any<'a>(name: &'a [u8], suffixes: &[&str]) -> Option<&'a [u8]> {
    suffixes.iter().find_map(|s| name.strip_suffix(s.as_bytes())).filter(|stem| !stem.is_empty())
}

/// Lower case for matching: ASCII directly; other letters by Unicode, so that the Kelvin sign and the long
/// s, which some file systems fold to `k` and `s`, do so here. Bytes that are not UTF-8 stay.
pub(super) fn fold(name: &[u8]) -> Cow<'_, [u8]> {
    if crate::without::without("case-folding") {
        return Cow::Borrowed(name);
    }
    if name.is_ascii() {
        if name.iter().any(u8::is_ascii_uppercase) {
            return Cow::Owned(name.to_ascii_lowercase());
        }
        return Cow::Borrowed(name);
    }
    let mut out = Vec::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        out.extend_from_slice(chunk.valid().replace('\u{17f}', "s").to_lowercase().as_bytes());
        out.extend_from_slice(chunk.invalid());
    }
    Cow::Owned(out)
}

/// Both lists in a form that answers in a fraction of a microsecond.
#[derive(Default)]
struct Table {
    exact: HashMap<&'static [u8], Hit>,
    /// `*.pem` by `.pem`.
    suffix: HashMap<&'static [u8], Hit>,
    /// `.config/gcloud`: parent, name.
    below: Vec<(&'static [u8], &'static [u8], &'static str)>,
    /// Everything else by its first byte (0 where that is the star), as the literal parts between the stars.
    globs: HashMap<u8, Vec<Glob>>,
}

/// The literal parts of a pattern between its stars.
type Glob = (Vec<&'static [u8]>, Hit);

/// A pattern, and whether it names a key.
type Hit = (&'static str, bool);

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table::default();
        table.add(PLAIN, false);
        table.add(KEYS, true);
        table
    })
}

impl Table {
    fn add(&mut self, text: &'static str, key: bool) {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        for pattern in lines.flat_map(str::split_whitespace) {
            let parts: Vec<&[u8]> = pattern.split('*').map(str::as_bytes).collect();
            match (pattern.split_once('/'), &parts[..]) {
                (Some((parent, name)), _) => self.below.push((parent.as_bytes(), name.as_bytes(), pattern)),
                (None, [whole]) => drop(self.exact.insert(whole, (pattern, key))),
                (None, [b"", end]) if end.starts_with(b".") => drop(self.suffix.insert(end, (pattern, key))),
                (None, _) => {
                    let first = parts[0].first().copied().unwrap_or_default();
                    self.globs.entry(first).or_default().push((parts, (pattern, key)));
                }
            }
        }
    }
    fn find(&self, name: &[u8], keys_only: bool) -> Option<&'static str> {
        let wanted = |hit: &Hit| (hit.1 || !keys_only).then_some(hit.0);
        if let Some(pattern) = self.exact.get(name).and_then(wanted) {
            return Some(pattern);
        }
        let dots = memchr::memrchr_iter(b'.', name).take(LONGEST_SUFFIX);
        if let Some(pattern) = dots.filter_map(|dot| self.suffix.get(&name[dot..])).find_map(wanted) {
            return Some(pattern);
        }
        let first = name.first().copied().unwrap_or_default();
        let globs = [first, 0].into_iter().filter_map(|byte| self.globs.get(&byte)).flatten();
        globs.filter(|(parts, _)| matches(parts, name)).find_map(|(_, hit)| wanted(hit))
    }
    fn find_below(&self, parent: &[u8], name: &[u8]) -> Option<&'static str> {
        let hit = self.below.iter().find(|(p, n, _)| *n == name && *p == &*fold(parent));
        hit.map(|(_, _, pattern)| *pattern)
    }
}

/// Whether `name` is the first part, then the others in order, and ends with the last.
fn matches(parts: &[&[u8]], name: &[u8]) -> bool {
    let [first, middle @ .., last] = parts else { return false };
    let Some(rest) = name.strip_prefix(*first) else { return false };
    let Some(mut rest) = rest.strip_suffix(*last) else { return false };
    for part in middle {
        let Some(at) = memchr::memmem::find(rest, part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_hidden() {
        for path in [
            ".env",
            "a/b/.env.production",
            ".ENV",
            "ID_RSA",
            "Secrets/x",
            "server.PEM",
            ".envrc",
            ".docker/config.json",
            ".yarnrc.yml",
            ".vault-token",
            "terraform.tfvars.json",
            "credentials.yml",
            "secrets.yaml",
            "client_secret_1.json",
            "auth.json",
            "id_rsa.example",
            "prod.env",
            ".env-prod",
            ".dev.vars",
            ".terraformrc",
            ".cargo/credentials.toml",
            "serviceAccount.json",
            "my-serviceAccountKey.json",
            "gcp-key.json",
            "local.settings.json",
            "SECRETS.d/db",
            "x.key.template",
            "key.pem.sample",
            "store.jks.example",
            ".env~",
            "#.env#",
            ".#.env",
            "server.key.bak",
            ".secrets.yml.swp",
            ".id_rsa.swp",
            ".config/gcloud/x",
            ".env ",
            "firebase-adminsdk-abc.json",
            "project-firebase-adminsdk-1.json",
            "secret\u{17f}/x",
            "acme-sa.json",
            "dir.with\nnewline/.env",
            "a:b/.netrc",
            "terraform.tfstate.backup",
            "credentials.yaml",
            "database.yml.old",
        ] {
            assert!(is_secret_path(path.as_bytes()).is_some(), "{path:?} is visible");
        }
        assert_eq!(is_secret_path(b"\xff\xfe/.env"), Some(".env"));
        assert_eq!(is_secret_path(b"\xff.pem"), Some("*.pem"));
    }

    #[test]
    fn what_stays_visible() {
        for path in [
            "",
            "/",
            "README.md",
            ".env.example",
            ".env.local.example",
            ".ENV.SAMPLE",
            "secrets.yaml.template",
            "etc/cacert.pem",
            "CA-Bundle.PEM",
            "certs/ca-certificates.crt",
            "src/secret/mod.rs",
            "src/env.rs",
            "environment.ts",
            "keyboard.rs",
            "monkey.json",
            "package.json",
            "tokens.json",
            "src/credentials.rs",
            "primary-key.json",
            ".example",
            "a.swp",
            "env",
            "gcp.json",
            "id_card.png",
            "gcloud/x",
            "dotenv.go",
        ] {
            assert_eq!(is_secret_path(path.as_bytes()), None, "{path:?} is hidden");
        }
    }

    #[test]
    fn hostile_names_take_no_time() {
        let start = std::time::Instant::now();
        assert!(is_secret_path((".".repeat(50_000) + &".swp".repeat(50_000)).as_bytes()).is_some());
        assert!(is_secret_path(".example".repeat(100_000).as_bytes()).is_some());
        assert!(is_secret_path(&b"a/".repeat(100_000)).is_none());
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic_and_case_never_matters(path in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(is_secret_path(&path), is_secret_path(&path.to_ascii_uppercase()));
        }
        #[test]
        fn anything_below_a_secret_is_secret(front in "[a-z]{0,8}", back in "[^/]{1,12}") {
            let path = format!("{front}/.ssh/{back}");
            prop_assert!(is_secret_path(path.as_bytes()).is_some());
        }
        #[test]
        fn a_copy_suffix_rescues_nothing(copies in proptest::collection::vec(0..COPIES.len(), 0..4)) {
            let name = copies.iter().fold(String::from("credentials.json"), |n, i| n + COPIES[*i]);
            prop_assert!(is_secret_path(name.as_bytes()).is_some(), "{}", name);
        }
    }
}
