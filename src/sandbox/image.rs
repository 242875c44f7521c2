//! What the images are made of: pure texts and names. [`super::build`] makes them.
//!
//! The built-in image works with a builder that knows neither BuildKit nor here-documents. Each agent is a layer of its
//! own: one that cannot be installed is noted in the image and does not sink the others.

use std::path::Path;

/// One agent in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The agent's name.
    pub agent: String,
    /// Packages of the distribution that it needs.
    pub system: Vec<String>,
    /// Shell line that installs it, as root.
    pub run: String,
    /// Shell line that fails unless it works.
    pub check: String,
}

/// What goes into the built-in image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Base image, of the Debian family.
    pub base: String,
    /// Whether a certificate bundle called [`CA_FILE`] is in the build context.
    pub ca: bool,
    /// The agents.
    pub layers: Vec<Layer>,
}

/// Name of the certificate bundle in the build context.
pub const CA_FILE: &str = "coop-ca.crt";
/// The tag of the built-in image; a `Dockerfile.agent` may start from it.
pub const BUILT_IN: &str = "coop-box:latest";
/// The file in the image that says, a line each, which agents are in it: `claude ok`, `codex failed`.
pub const REPORT: &str = "/usr/local/share/coop/agents";
/// Label that holds the hash of everything an image was made from.
pub const INPUTS_LABEL: &str = "coop.inputs";
/// What begins a line of the build's output that reports an agent.
pub const MARK: &str = "coop-agent: ";

const CA_IN_IMAGE: &str = "/usr/local/share/ca-certificates/coop-ca.crt";
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The Dockerfile of the built-in image.
pub fn dockerfile(recipe: &Recipe) -> String {
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    let ca = |line: &mut dyn FnMut(&str)| {
        if recipe.ca {
            line(&format!("COPY {CA_FILE} {CA_IN_IMAGE}"));
            line(&format!("ENV NODE_EXTRA_CA_CERTS={CA_IN_IMAGE}"));
        }
    };
    // first stage: node 22 or later with npm, from the base or from npm itself, without what Debian's npm drags in
    line(&format!("FROM {} AS node", recipe.base));
    line("USER root");
    ca(&mut line);
    line(
        "RUN command -v apt-get >/dev/null || { echo 'the base image has no apt-get: it must be of the Debian family'; exit 1; }",
    );
    line(NODE);
    line(&format!("FROM {}", recipe.base));
    line("USER root");
    ca(&mut line);
    line(SYSTEM);
    if recipe.ca {
        for name in ["SSL_CERT_FILE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT"] {
            line(&format!("ENV {name}={BUNDLE}"));
        }
    }
    line("COPY --from=node /coop-node/ /usr/local/");
    line(
        "RUN ln -sf ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && ln -sf ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx && node --version && npm --version && mkdir -p /usr/local/share/coop && : > /usr/local/share/coop/agents",
    );
    for layer in &recipe.layers {
        line(&agent(layer));
    }
    line("RUN id -u agent >/dev/null 2>&1 || useradd --create-home --shell /bin/bash agent");
    line("USER agent");
    line("WORKDIR /home/agent");
    line("CMD [\"/bin/bash\"]");
    out
}

const NODE: &str = "RUN set -e; mkdir -p /coop-node/bin /coop-node/lib/node_modules; \
if command -v npm >/dev/null && node -e 'process.exit(+process.versions.node.split(\".\")[0] >= 22 ? 0 : 1)' 2>/dev/null; then \
cp \"$(readlink -f \"$(command -v node)\")\" /coop-node/bin/node; cp -r \"$(npm root -g)/npm\" /coop-node/lib/node_modules/npm; \
else case \"$(uname -m)\" in x86_64) arch=x64;; aarch64) arch=arm64;; *) echo \"no node for $(uname -m)\"; exit 1;; esac; \
apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm ca-certificates >/dev/null; \
mkdir /coop-npm; cd /coop-npm; npm install --silent --no-audit --no-fund \"node-linux-$arch@22\" npm@10; \
cp \"node_modules/node-linux-$arch/bin/node\" /coop-node/bin/node; cp -r node_modules/npm /coop-node/lib/node_modules/npm; fi";

const SYSTEM: &str = "RUN set -e; apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
bash build-essential ca-certificates curl fd-find file git jq less make openssh-client patch procps python3 python3-pip python3-venv \
ripgrep tree unzip >/dev/null; update-ca-certificates >/dev/null; rm -rf /var/lib/apt/lists/*";

/// The layer of an agent: it always succeeds, and says in the image and in the output whether the agent works.
fn agent(layer: &Layer) -> String {
    let Layer { agent, system, run, check } = layer;
    let mut install = String::new();
    if !system.is_empty() {
        install = format!(
            "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends {} >/dev/null && \
             rm -rf /var/lib/apt/lists/* && ",
            system.join(" ")
        );
    }
    format!(
        "RUN export npm_config_cache=/tmp/coop-npm HOME=/root; if {{ {install}{run}; }} && {{ {check}; }}; then state=ok; else state=failed; fi; \
         rm -rf /tmp/coop-npm; echo \"{agent} $state\" >> {REPORT}; echo \"{MARK}{agent} $state\""
    )
}

/// The tag of a repository's own image: two repositories of the same name do not share it.
pub fn repository_tag(work_tree: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let name = work_tree.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let clean: String = name.chars().filter(|c| c.is_ascii_alphanumeric()).take(40).collect();
    let clean = if clean.is_empty() { "repo".to_owned() } else { clean };
    format!("coop-repo-{clean}:{}", &hash(&[work_tree.as_os_str().as_bytes()])[..16])
}

/// A hash over several byte strings, 32 hexadecimal digits: FNV-1a with 128 bits, each string with its length. It tells
/// inputs apart and is the same in every release; it is no protection against somebody who looks for collisions.
pub fn hash(parts: &[&[u8]]) -> String {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let mut add = |byte: u8| hash = (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    for part in parts {
        (part.len() as u64).to_le_bytes().into_iter().for_each(&mut add);
        part.iter().copied().for_each(&mut add);
    }
    format!("{hash:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(ca: bool) -> Recipe {
        let layer = |name: &str| Layer {
            agent: name.into(),
            system: Vec::new(),
            run: format!("install {name}"),
            check: format!("{name} --version"),
        };
        Recipe { base: "debian:bookworm-slim".into(), ca, layers: vec![layer("one"), layer("two")] }
    }

    #[test]
    fn the_dockerfile_suits_an_old_builder() {
        let text = dockerfile(&recipe(true));
        let verbs = ["FROM", "RUN", "COPY", "ENV", "USER", "WORKDIR", "CMD"];
        assert!(text.lines().all(|l| verbs.iter().any(|v| l.starts_with(&format!("{v} ")))), "{text}");
        assert!(!text.contains("<<") && !text.contains("--mount") && !text.contains("--chmod"));
        assert_eq!(text.matches("COPY coop-ca.crt").count(), 2);
        assert_eq!(text.lines().filter(|l| l.contains(MARK)).count(), 2);
        assert!(!dockerfile(&recipe(false)).contains("coop-ca"));
    }

    #[test]
    fn same_name_other_place_other_tag() {
        let (a, b) = (repository_tag("/a/My App".as_ref()), repository_tag("/b/My App".as_ref()));
        assert!(a.starts_with("coop-repo-myapp:") && a != b, "{a} {b}");
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }
}
