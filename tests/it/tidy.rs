//! Style as a test: the arrows between the rooms, the sizes of files, and words that do not belong here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The rooms in reading order: each uses only those before it.
const ROOMS: [&str; 35] = [
    "types",
    "clock",
    "hashing",
    "planted",
    "background",
    "config",
    "disk",
    "limits",
    "metrics",
    "wire",
    "mesh",
    "meta",
    "cluster",
    "leadership",
    "mailboxes",
    "remote",
    "store",
    "cache",
    "journal",
    "settings",
    "topic",
    "segment",
    "log",
    "archive",
    "views",
    "group",
    "txn",
    "peers",
    "handler",
    "net",
    "ops",
    "client",
    "broker",
    "cli",
    "fuzzing",
];

/// Neighbours that stay strangers although the order would let them meet: from, to.
const STRANGERS: [(&str, &str); 4] =
    [("store", "meta"), ("client", "handler"), ("client", "log"), ("client", "journal")];

/// Lines of a file at most; most have 80 to 300.
const LINES_MAX: usize = 800;

/// Where waiting for a time is the work itself; elsewhere a condition is awaited.
const MAY_SLEEP: [&str; 7] =
    ["src/clock.rs", "src/mesh/keep.rs", "src/store/", "src/net/", "src/client/", "src/cli/", "src/journal/"];

/// One file below the root of the repository.
struct SourceFile {
    path: String,
    text: String,
}

impl SourceFile {
    /// Code that is not a test: without sibling test files and without what follows an inline test module.
    fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.starts_with("benches/")
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
            || self.path.ends_with("_tests.rs")
    }

    /// The room a file of `src` belongs to; `lib.rs` and `main.rs` belong to none.
    fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let first = inside.split('/').next()?;
        let room = first.strip_suffix(".rs").unwrap_or(first);
        (room != "lib" && room != "main").then_some(room)
    }

    /// Numbered lines of code, comments left out.
    fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn collect(directory: &Path, files: &mut Vec<SourceFile>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("a directory entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let inside = path.strip_prefix(root()).expect("below the root");
            files.push(SourceFile { path: inside.to_string_lossy().into_owned(), text });
        }
    }
}

fn files_below(directories: &[&str]) -> Vec<SourceFile> {
    let mut files = Vec::new();
    for directory in directories {
        collect(&root().join(directory), &mut files);
    }
    files
}

fn rust_files(directories: &[&str]) -> Vec<SourceFile> {
    files_below(directories).into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

fn check_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

fn place_of(room: &str) -> Option<usize> {
    ROOMS.iter().position(|known| *known == room)
}

/// Whether code in room `from` may use room `to`.
fn may_use(from: &str, to: &str) -> bool {
    let above = place_of(to).zip(place_of(from)).is_some_and(|(to, from)| to <= from);
    above && !STRANGERS.contains(&(from, to))
}

/// The rooms named after `crate::` in a line of code, also in a group `crate::{a, b::c}`.
fn used_rooms(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let before = code[..start].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == '$') {
            continue;
        }
        let rest = &code[start + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(group_heads(group)),
            None => rooms.extend(first_word(rest)),
        }
    }
    rooms
}

/// The first words of the members of a `{…}` group whose opening brace is gone.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut member = String::new();
    for letter in group.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.extend(first_word(std::mem::take(&mut member).trim())),
            _ if depth == 0 => member.push(letter),
            _ => {}
        }
    }
    heads.extend(first_word(member.trim()));
    heads
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    (!word.is_empty()).then_some(word)
}

#[test]
fn rooms_use_only_rooms_above_them() {
    let mut wrong = Vec::new();
    for file in rust_files(&["src"]).iter().filter(|file| !file.is_test()) {
        let Some(room) = file.room() else { continue };
        let code: String = file.code_lines().map(|(_, line)| format!("{line}\n")).collect();
        for used in used_rooms(&code) {
            if place_of(&used).is_some() && !may_use(room, &used) {
                wrong.push(format!("{}: {room} uses {used}", file.path));
            }
        }
    }
    check_none("arrows that point down", &wrong);
}

#[test]
fn every_room_has_its_place() {
    let known = BTreeSet::from(ROOMS);
    let files = rust_files(&["src"]);
    let found: BTreeSet<&str> = files.iter().filter_map(SourceFile::room).collect();
    let lost: Vec<String> = found.difference(&known).map(ToString::to_string).collect();
    check_none("rooms without a place in the order", &lost);
}

#[test]
fn the_arrows_are_read_right() {
    let heads = |code: &str| used_rooms(code).into_iter().collect::<Vec<_>>();
    assert_eq!(heads("use crate::wire::batch;"), ["wire"]);
    assert_eq!(heads("use crate::{\n    log::{Partition, marks},\n    types,\n};"), ["log", "types"]);
    assert_eq!(heads("fn f(x: crate::meta::Revision) {}"), ["meta"]);
    assert!(heads("use mycrate::wire;").is_empty());
    assert!(may_use("log", "journal") && !may_use("journal", "log") && !may_use("store", "meta"));
}

#[test]
fn files_are_short() {
    let files = rust_files(&["src", "tests", "benches"]);
    let long: Vec<String> = files
        .iter()
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(file, lines)| format!("{}: {lines} lines", file.path))
        .collect();
    check_none("files that want to be two", &long);
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let files = rust_files(&["src", "tests", "benches", "fuzz/src", "fuzz/fuzz_targets"]);
    // A sibling `tests.rs` belongs to the file it tests.
    let silent: Vec<String> = files
        .iter()
        .filter(|file| !file.path.ends_with("/tests.rs") && !file.text.starts_with("//! "))
        .map(|file| file.path.clone())
        .collect();
    check_none("files that do not start with `//!`", &silent);
}

#[test]
fn nothing_is_left_for_later() {
    let later = ["todo!(", "unimplemented!(", "FIXME", "XXX", "TODO"];
    let found =
        find_lines(&rust_files(&["src", "benches"]), |line| later.iter().any(|word| line.contains(word)));
    check_none("left for later", &found);
    let ignored = format!("#[{}", "ignore");
    let found = find_lines(&rust_files(&["src", "tests"]), |line| line.trim_start().starts_with(&ignored));
    check_none("tests that do not run", &found);
}

#[test]
fn nothing_unwraps() {
    let files: Vec<SourceFile> = rust_files(&["src"]).into_iter().filter(|file| !file.is_test()).collect();
    let found = find_lines(&files, |line| line.contains(".unwrap()"));
    check_none("`expect(\"why it cannot fail\")` instead", &found);
}

#[test]
fn conditions_are_awaited() {
    let files: Vec<SourceFile> = rust_files(&["src"])
        .into_iter()
        .filter(|file| !MAY_SLEEP.iter().any(|place| file.path.starts_with(place)))
        .collect();
    let found = find_lines(&files, |line| line.contains("sleep("));
    check_none("sleeps", &found);
    let found = find_lines(&rust_files(&["tests"]), |line| line.contains("thread::sleep("));
    check_none("sleeps in tests", &found);
}

/// What a simulation has to have in its hands, and the places that may do it.
const ONE_PLACE: [(&str, &[&str]); 6] = [
    ("spawn_blocking(", &["src/background.rs"]),
    ("thread::Builder", &["src/background.rs", "src/meta/embedded/syncer.rs"]),
    ("thread::spawn(", &[]),
    ("Uuid::new_v4", &["src/clock.rs"]),
    ("SystemTime::now", &["src/clock.rs"]),
    // What tokio's clock shows can be moved.
    ("std::time::Instant", &["src/mesh/drivers.rs"]),
];

/// Maps that nobody walks, or that others want so, may be the standard library's.
const STANDARD_MAPS: [&str; 7] = [
    "src/hashing.rs",
    "src/cli/",
    "src/client/",
    "src/journal/encode.rs",
    "src/meta/embedded/",
    "src/segment/schema.rs",
    "src/store/local.rs",
];

#[test]
fn what_a_simulation_must_have_in_its_hands_is_done_in_one_place() {
    let files: Vec<SourceFile> = rust_files(&["src"]).into_iter().filter(|file| !file.is_test()).collect();
    for (word, places) in ONE_PLACE {
        let others = files.iter().filter(|file| !places.contains(&file.path.as_str()));
        let found: Vec<String> = others
            .filter(|file| file.text.split("#[cfg(test)]").next().is_some_and(|code| code.contains(word)))
            .map(|file| file.path.clone())
            .collect();
        check_none(&format!("`{word}` outside of its place"), &found);
    }
    let others = files.iter().filter(|file| !STANDARD_MAPS.iter().any(|place| file.path.starts_with(place)));
    let walks = |file: &&SourceFile| {
        let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        code.lines().any(|line| line.contains("std::collections::") && line.contains("Hash"))
    };
    let found: Vec<String> = others.filter(walks).map(|file| file.path.clone()).collect();
    check_none("maps whose order no seed has: take those of `hashing`", &found);
}

#[test]
fn the_workplace_is_not_mentioned() {
    let places = [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat(), ["PEERS", "_HOME"].concat()];
    let mut files = files_below(&[
        "src",
        "tests",
        "benches",
        "fuzz/src",
        "fuzz/fuzz_targets",
        "infra",
        "terraform",
        ".ci",
    ]);
    for name in ["README.md", "ARCHITECTURE.md", "Cargo.toml", "fuzz/Cargo.toml"] {
        if let Ok(text) = std::fs::read_to_string(root().join(name)) {
            files.push(SourceFile { path: name.into(), text });
        }
    }
    let mut found = Vec::new();
    for file in &files {
        let lines = file.text.lines().enumerate();
        let bad = lines.filter(|(_, line)| places.iter().any(|place| line.contains(place)));
        found.extend(bad.map(|(index, line)| format!("{}:{}: {}", file.path, index + 1, line.trim())));
    }
    check_none("names of a workplace", &found);
}

fn find_lines(files: &[SourceFile], wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path != "tests/it/tidy.rs") {
        let bad = file.code_lines().filter(|(_, line)| wrong(line));
        found.extend(bad.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())));
    }
    found
}
