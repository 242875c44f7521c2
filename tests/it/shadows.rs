//! `git coop config --shadows`: what a box will not see, and that only the user can make it forget.

use crate::support::World;

#[test]
fn what_is_hidden_and_why() {
    let world = World::new();
    let repo = world.repo("repo");
    for (file, text) in
        [(".env", "x"), (".env.example", "x"), ("vault/key", "x"), ("config/creds", "x"), ("odd\nname.pem", "x")]
    {
        std::fs::create_dir_all(repo.join(file).parent().expect("parent")).expect("directory");
        std::fs::write(repo.join(file), text).expect("file");
    }
    std::fs::write(repo.join(".coopignore"), "vault/\nconfig/creds # mine\n!README\n").expect("file");
    let run = world.coop(&repo, ["config", "--shadows"]);
    assert!(run.stderr.contains("'!' is not supported"), "{}", run.stderr);
    let expected =
        ".env\tname .env\nconfig/creds\t.coopignore:2\nodd\\u{a}name.pem\tname *.pem\nvault/\t.coopignore:1\n";
    assert_eq!(run.ok(), expected);
    let rows: serde_json::Value =
        serde_json::from_str(&world.coop(&repo, ["config", "--shadows", "--json"]).ok()).expect("JSON");
    assert_eq!(rows[0]["path"], ".env");

    // an agent that empties the file, or renames the directory, changes nothing
    std::fs::write(repo.join(".coopignore"), "").expect("file");
    std::fs::rename(repo.join("config"), repo.join("settings")).expect("renamed");
    let after = world.coop(&repo, ["config", "--shadows"]).ok();
    assert!(after.contains("settings/creds\thidden before") && after.contains("vault/"), "{after}");

    world.coop(&repo, ["config", "--forget-shadows"]).ok();
    let forgotten = world.coop(&repo, ["config", "--shadows"]).ok();
    assert_eq!(forgotten, ".env\tname .env\nodd\\u{a}name.pem\tname *.pem\n");
}

#[test]
fn a_damaged_memory_is_no_empty_memory() {
    let world = World::new();
    let repo = world.repo("repo");
    std::fs::write(repo.join("hide-me"), "x").expect("file");
    std::fs::write(repo.join(".coopignore"), "hide-me\n").expect("file");
    world.coop(&repo, ["config", "--shadows"]).ok();
    std::fs::write(repo.join(".git/coop/shadows.json"), "{\"version\":1,").expect("file");
    assert!(world.coop(&repo, ["config", "--shadows"]).fails(2, "damaged").contains("--forget-shadows"));
}
