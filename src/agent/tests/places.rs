use super::*;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::agent::locate::{Located, locate};
use crate::env::Env;

impl World {
    /// An executable file.
    fn program(&self, path: &str, text: &str) -> PathBuf {
        let file = self.put(path, text);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        file.canonicalize().expect("is there")
    }
    fn link(&self, path: &str, target: &str) {
        let file = self.path(path);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
        symlink(target, file).expect("links");
    }
    fn real(&self, path: &str) -> PathBuf {
        self.path(path).canonicalize().expect("is there")
    }
    fn locate(&self, agent: &str, path: &str) -> crate::Result<Located> {
        let path = if path.is_empty() { "/usr/bin:/bin".into() } else { self.path(path).display().to_string() };
        let env = Env::from_pairs([("HOME", self.path("home").display().to_string()), ("PATH", path)]);
        locate(self.registry.get(agent).expect("known"), &env)
    }
}

#[test]
fn a_global_npm_package_below_the_home_directory() {
    let world = World::new();
    let modules = "home/.npm-global/lib/node_modules";
    let program = world.program(&format!("{modules}/@anthropic-ai/claude-code/bin/claude.exe"), "\x7fELF");
    world.link("home/.npm-global/bin/claude", "../lib/node_modules/@anthropic-ai/claude-code/bin/claude.exe");
    let found = world.locate("claude", "").expect("finds");
    assert_eq!(found, Located { program, mounts: vec![world.real(modules)], path_prefix: vec![] });
}

#[test]
fn a_script_brings_the_node_beside_it() {
    let world = World::new();
    for version in ["v9.11.0", "v22.1.0"] {
        let prefix = format!("home/.nvm/versions/node/{version}");
        world.program(&format!("{prefix}/bin/node"), "\x7fELF");
        world.program(&format!("{prefix}/lib/node_modules/@openai/codex/bin/codex.js"), "#!/usr/bin/env node\n");
        world.link(&format!("{prefix}/bin/codex"), "../lib/node_modules/@openai/codex/bin/codex.js");
    }
    let prefix = "home/.nvm/versions/node/v22.1.0";
    let found = world.locate("codex", "").expect("finds");
    assert_eq!(found.program, world.real(&format!("{prefix}/lib/node_modules/@openai/codex/bin/codex.js")));
    assert_eq!(
        found.mounts,
        [world.real(&format!("{prefix}/bin/node")), world.real(&format!("{prefix}/lib/node_modules"))]
    );
    assert_eq!(found.path_prefix, [world.real(&format!("{prefix}/bin"))]);
}

#[test]
fn a_single_executable_is_mounted_alone() {
    let world = World::new();
    let program = world.program("home/.local/share/claude/versions/2.1.330", "\x7fELF");
    world.link("home/.local/bin/claude", "../share/claude/versions/2.1.330");
    world.put("home/.local/share/keyrings/login.keyring", "secret");
    let found = world.locate("claude", "").expect("finds");
    assert_eq!(found, Located { program: program.clone(), mounts: vec![program], path_prefix: vec![] });
}

#[test]
fn a_shim_is_passed_over_for_what_stands_behind_it() {
    let world = World::new();
    world.program("home/.volta/bin/volta-shim", "\x7fELF");
    world.link("home/.volta/bin/gemini", "volta-shim");
    let image = "home/.volta/tools/image";
    let package = format!("{image}/packages/@google/gemini-cli");
    world.program(&format!("{package}/lib/node_modules/@google/gemini-cli/bundle/gemini.js"), "#!/usr/bin/env node\n");
    world.link(&format!("{package}/bin/gemini"), "../lib/node_modules/@google/gemini-cli/bundle/gemini.js");
    world.program(&format!("{image}/node/22.5.1/bin/node"), "\x7fELF");
    let found = world.locate("gemini", "home/.volta/bin").expect("finds");
    assert!(found.program.ends_with("bundle/gemini.js"), "{found:?}");
    assert_eq!(found.path_prefix, [world.real(&format!("{image}/node/22.5.1/bin"))]);
}

#[test]
fn a_python_tool_brings_its_environment_and_its_python() {
    let world = World::new();
    let venv = "home/.local/share/uv/tools/aider-chat";
    let python = "home/.local/share/uv/python/cpython-3.12.7-linux-x86_64-gnu";
    world.program(&format!("{python}/bin/python3.12"), "\x7fELF");
    world.link(&format!("{python}/bin/python3"), "python3.12");
    let interpreter = world.path(&format!("{venv}/bin/python"));
    world.program(&format!("{venv}/bin/aider"), &format!("#!{}\n", interpreter.display()));
    symlink(world.path(&format!("{python}/bin/python3")), &interpreter).expect("links");
    world.put(&format!("{venv}/pyvenv.cfg"), &format!("home = {}\n", world.path(&format!("{python}/bin")).display()));
    world.link("home/.local/bin/aider", "../share/uv/tools/aider-chat/bin/aider");
    let found = world.locate("aider", "").expect("finds");
    assert_eq!(found.mounts, [world.real(python), world.real(venv)]);
}

#[test]
fn the_home_directory_itself_is_never_mounted() {
    let world = World::new();
    // a home directory inside of a node_modules directory
    let registry = &world.registry;
    let program = world.program("node_modules/home/bin/claude", "\x7fELF");
    let env = Env::from_pairs([
        ("HOME", world.path("node_modules/home").display().to_string()),
        ("PATH", program.parent().expect("a parent").display().to_string()),
    ]);
    let err = locate(registry.get("claude").expect("known"), &env).expect_err("refuses");
    assert!(err.kind().code() == 5 && err.render().contains("would show the box"), "{}", err.render());
}

#[test]
fn what_is_missing_is_said_with_how_to_install_it() {
    let world = World::new();
    std::fs::create_dir(world.path("home")).expect("a directory");
    let err = world.locate("qwen", "home").expect_err("is not there");
    assert_eq!(err.kind().code(), 5);
    assert!(err.render().contains("npm install -g @qwen-code/qwen-code@"), "{}", err.render());
    // a relative PATH entry would let the work tree name the program
    let env = Env::from_pairs([("HOME", "/nonexistent"), ("PATH", "bin:.")]);
    assert!(locate(world.registry.get("qwen").expect("known"), &env).is_err());
}
