//! Figures of a fleet: members that work at once in boxes of bubblewrap, the memory of coop's own processes, and how long
//! the board takes to read and draw.
//!
//! `cargo bench --bench fleet [-- --quick] [--programs DIR]`. The agents are scripts that wait until all of them run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use coop::cli::Context;
use coop::env::Env;
use coop::flow::Coop;
use coop::flow::fleet::rows;
use coop::ui::board::Row;

const AGENT: &str = include_str!("../fixtures/agent.toml");
const SCRIPT: &str = r#"
while test "$(date +%s)" -lt UNTIL; do sleep 1; done
echo '{"type":"result","input":100,"output":20,"cost":0.01}'
echo done >>done; git add done; git commit -qm done
"#;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let members = if words.iter().any(|word| word == "--quick") { 10 } else { 50 };
    let programs = words.iter().position(|word| word == "--programs").and_then(|at| words.get(at + 1));
    let built = Path::new(env!("CARGO_BIN_EXE_git-coop-fleet")).parent().expect("a directory").to_owned();
    let programs = programs.map_or(built, PathBuf::from);
    if !Path::new("/usr/bin/bwrap").exists() {
        println!("SKIPPED: fleet: no bwrap");
        return;
    }
    let place = Place::new(programs, members);
    println!("# {members} members at once on bwrap, 2 tasks each, {} processors", processors());
    let start = Instant::now();
    place.fleet(&["up"]);
    let coop = place.coop();
    let usable = coop.runtime().expect("bwrap");
    let at_work =
        || rows::rows(&coop, Some(&usable)).expect("rows").iter().filter(|row| row.purpose == "agent").count();
    let mut most = 0;
    let deadline = Instant::now() + Duration::from_secs(300);
    while most < members && Instant::now() < deadline {
        most = most.max(at_work());
        std::thread::sleep(Duration::from_millis(200));
    }
    println!(
        "boxes at work at once          {most} of {members}, {:.1} s after `fleet up`",
        start.elapsed().as_secs_f64()
    );
    let (resident, proportional) = memory(&place.dir);
    let mean = proportional.iter().sum::<u64>() / proportional.len().max(1) as u64;
    let (worst, typical) =
        (resident.iter().max().copied().unwrap_or(0), resident.get(resident.len() / 2).copied().unwrap_or(0));
    println!(
        "coop's memory, each of {:3}     {} KiB resident in the middle, {worst} at most, {mean} proportional (target 15360)",
        resident.len(),
        typical
    );
    let mut times: Vec<u128> = (0..21).map(|_| refresh(&coop, &usable)).collect();
    times.sort_unstable();
    println!(
        "board, read and drawn          {} ms in the middle, {} at most, {members} members at work (target 100)",
        times[10], times[20]
    );
    let deadline = Instant::now() + Duration::from_secs(900);
    let finished = || {
        rows::rows(&coop, None).expect("rows").into_iter().filter(|row| row.state == "finished").collect::<Vec<Row>>()
    };
    while finished().len() < members && Instant::now() < deadline {
        std::thread::sleep(Duration::from_secs(1));
    }
    let done: u64 = finished().iter().map(|row| row.done).sum();
    println!(
        "finished                       {} of {members}, {done} tasks done, {:.0} s",
        finished().len(),
        start.elapsed().as_secs_f64()
    );
    place.fleet(&["down"]);
    assert_eq!(done, 2 * members as u64, "every task is done once");
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Reads everything and draws it on a terminal of 80 by 24 that is none; milliseconds.
fn refresh(coop: &Coop, usable: &coop::sandbox::runtime::Usable) -> u128 {
    let start = Instant::now();
    let rows = rows::rows(coop, Some(usable)).expect("rows");
    coop::ui::board::draw_once(&rows, 80, 24).expect("drawn");
    start.elapsed().as_millis()
}

/// Resident and proportional memory (KiB) of every loop of this place, sorted.
fn memory(dir: &Path) -> (Vec<u64>, Vec<u64>) {
    let (mut resident, mut proportional) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
        let path = entry.path();
        let here = std::fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
        let comm = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        if !here || !comm.starts_with("git-coop-loop") {
            continue;
        }
        let text = std::fs::read_to_string(path.join("smaps_rollup")).unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        if let (Some(rss), Some(pss)) = (field("Rss:"), field("Pss:")) {
            resident.push(rss);
            proportional.push(pss);
        }
    }
    resident.sort_unstable();
    proportional.sort_unstable();
    (resident, proportional)
}

/// A home, a repository and a fleet of their own.
struct Place {
    dir: PathBuf,
    programs: PathBuf,
    _temp: tempfile::TempDir,
}

impl Place {
    fn new(programs: PathBuf, members: usize) -> Place {
        let temp = tempfile::Builder::new().prefix("coop-bench-").tempdir_in("/var/tmp").expect("temp dir");
        let dir = temp.path().canonicalize().expect("canonical");
        let place = Place { dir, programs, _temp: temp };
        let (repo, agents) = (place.dir.join("repo"), place.dir.join("home/.config/coop/agents"));
        std::fs::create_dir_all(repo.join(".agent")).expect("dir");
        std::fs::create_dir_all(&agents).expect("dir");
        // all of them run at once for a while, whenever they started
        let until = coop::time::now(&Env::default()) + 20 + 2 * i64::try_from(members).expect("few");
        let agent = AGENT.replace("NAME", "script").replace("SCRIPT", SCRIPT).replace("UNTIL", &until.to_string());
        std::fs::write(agents.join("script.toml"), agent).expect("agent");
        std::fs::write(agents.join("env"), "script_KEY=x\n").expect("keys");
        std::fs::write(place.dir.join("home/.gitconfig"), "[user]\nname = Bench\nemail = bench@example.com\n")
            .expect("config");
        place.run("git", &["init", "-q", "-b", "main"]);
        for (key, value) in [("coop.gate", "true"), ("coop.fleetMax", "200"), ("coop.memory", "64m"), ("gc.auto", "0")]
        {
            place.run("git", &["config", key, value]);
        }
        std::fs::write(repo.join(".gitignore"), ".agent/\n").expect("file");
        place.run("git", &["add", "-A"]);
        place.run("git", &["commit", "-qm", "first"]);
        let mut fleet = String::new();
        for n in 0..members {
            std::fs::write(repo.join(format!(".agent/m{n}.md")), format!("- [ ] first of {n}\n- [ ] second of {n}\n"))
                .expect("list");
            fleet += &format!("[m{n}]\nagent = \"script\"\ntasks = \".agent/m{n}.md\"\nrounds = 0\n");
        }
        std::fs::write(repo.join(".agent/fleet"), fleet).expect("fleet");
        place
    }
    fn env(&self) -> Vec<(String, String)> {
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.programs.display());
        [("PATH", path), ("HOME", self.dir.join("home").display().to_string())]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .chain([
                ("COOP_RUNTIME".into(), "bwrap".into()),
                ("COOP_EGRESS".into(), "none".into()),
                ("LC_ALL".into(), "C.UTF-8".into()),
            ])
            .collect()
    }
    fn run(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new(program);
        let output =
            command.args(args).env_clear().envs(self.env()).current_dir(self.dir.join("repo")).output().expect(program);
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
    fn fleet(&self, args: &[&str]) {
        self.run(&self.programs.join("git-coop-fleet").display().to_string(), args);
    }
    fn coop(&self) -> Coop {
        Context { env: Env::from_pairs(self.env()), cwd: self.dir.join("repo") }.coop().expect("opens")
    }
}
