//! How agents get into an image: one layer each, so that one package that cannot be had does not sink the others.

use super::definition::{Install, Manager};
use super::{Definition, Registry};

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The agent.
    pub agent: String,
    /// Packages of the distribution that it needs before.
    pub system: Vec<String>,
    /// Shell line that installs it, as root, with npm or python3 on `PATH`.
    pub run: String,
    /// Shell line that fails unless the installed program starts, and has the pinned version.
    pub check: String,
}

/// Which versions a build takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// Those in the definitions: the same image every time.
    Pinned,
    /// The newest ones.
    Newest,
}

/// A layer per agent, in alphabetical order. A change of any line changes the image, so they belong into its tag.
pub fn layers(registry: &Registry, versions: Versions) -> Vec<Layer> {
    registry.iter().map(|agent| layer(agent, versions)).collect()
}

/// The layer of one agent.
pub fn layer(agent: &Definition, versions: Versions) -> Layer {
    let Install { manager, package, version, check, system, .. } = &agent.install;
    let check: Vec<String> = check.iter().map(|word| quoted(word)).collect();
    let mut check = check.join(" ");
    if versions == Versions::Pinned {
        check = format!("{check} | grep -F {}", quoted(version));
    }
    let run = match (manager, versions) {
        (Manager::Npm, Versions::Pinned) => format!("npm install -g --no-audit --no-fund {package}@{version}"),
        (Manager::Npm, Versions::Newest) => format!("npm install -g --no-audit --no-fund {package}@latest"),
        (Manager::Pypi, _) => {
            let pin = if versions == Versions::Pinned { format!("=={version}") } else { String::new() };
            let (venv, program) = (format!("/opt/{}", agent.name), quoted(agent.program()));
            format!(
                "python3 -m venv {venv} && {venv}/bin/pip install --quiet --no-cache-dir --upgrade {package}{pin} && \
                 ln -sf {venv}/bin/{program} /usr/local/bin/{program}"
            )
        }
    };
    Layer { agent: agent.name.clone(), system: system.clone(), run, check }
}

/// What a person types to install the agent on the host.
pub fn by_hand(agent: &Definition) -> String {
    match agent.install.manager {
        Manager::Npm => format!("npm install -g {}@{}", agent.install.package, agent.install.version),
        Manager::Pypi => format!("pipx install {}=={}", agent.install.package, agent.install.version),
    }
}

/// `word` for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./@+=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_and_newest() {
        let registry = Registry::load(std::path::Path::new("/nonexistent")).expect("loads");
        let of = |name: &str, versions| layer(registry.get(name).expect("known"), versions);
        let claude = of("claude", Versions::Pinned);
        let version = &registry.get("claude").expect("known").install.version;
        assert_eq!(claude.run, format!("npm install -g --no-audit --no-fund @anthropic-ai/claude-code@{version}"));
        assert_eq!(claude.check, format!("claude --version | grep -F {version}"));
        let newest = of("claude", Versions::Newest);
        assert!(newest.run.ends_with("@latest") && newest.check == "claude --version");
        assert!(of("aider", Versions::Pinned).run.contains("aider-chat==0.86.2 && ln -sf /opt/aider/bin/aider"));
        assert_eq!(layers(&registry, Versions::Pinned).len(), registry.names().count());
    }
}
