//! The rules of the house as tests: who may import whom, file length, no unwraps, no orphans.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 600;

/// Rooms and what each may import from `crate::`. Leaves may be imported by all. A path with
/// `::` allows that part of a room alone. ARCHITECTURE.md has the same table.
const IMPORTS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("text", &["model"]),
    ("config", &["model", "text"]),
    ("collect", &["model", "text", "config"]),
    ("pipeline", &["model", "text", "config", "query::syntax"]),
    ("redact", &["model", "text", "config"]),
    ("store", &["model", "config", "redact::Redacted"]),
    ("query", &["model", "text", "config", "store::read"]),
    ("alert", &["model", "text", "config", "query", "store::read"]),
    ("notify", &["model", "text", "config"]),
    (
        "api",
        &[
            "model",
            "text",
            "config",
            "collect::push",
            "query",
            "alert",
            "notify",
            "store::status",
            "store::read",
            "store::TailBatch",
            "ui",
        ],
    ),
    ("ui", &[]),
];

const LEAVES: &[&str] = &["limits", "clock", "metrics", "durable"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().unwrap() != "fuzz" {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The text before the first `#[cfg(test)]` that opens a test module in the same file.
fn outside_tests(text: &str) -> &str {
    let mut from = 0;
    while let Some(at) = text[from..].find("#[cfg(test)]") {
        let after = text[from + at..].lines().nth(1).unwrap_or_default();
        if after.contains("mod ") && after.trim_end().ends_with('{') {
            return &text[..from + at];
        }
        from += at + 1;
    }
    text
}

fn is_test_file(path: &Path) -> bool {
    path.file_stem().is_some_and(|s| s.to_string_lossy().ends_with("tests"))
        || path.components().any(|c| c.as_os_str() == "tests")
}

/// Every `crate::...` path in a text, cut at the first two segments.
fn crate_paths(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in text.lines().filter(|l| !l.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            let before = line[..at].chars().last();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            let rest = &line[at + "crate::".len()..];
            let path: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':')
                .collect();
            found.insert(path.trim_end_matches(':').to_owned());
        }
    }
    found
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let mut faults = Vec::new();
    for (room, allowed) in IMPORTS {
        for file in rust_files(&root().join("src").join(room)) {
            if is_test_file(&file) {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            for path in crate_paths(outside_tests(&text)) {
                let top = path.split("::").next().unwrap();
                let fine = top == *room
                    || LEAVES.contains(&top)
                    || allowed.iter().any(|a| path == *a || path.starts_with(&format!("{a}::")));
                if !fine {
                    faults.push(format!("{} imports crate::{path}", name(&file)));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn leaves_import_nothing_of_ours() {
    for leaf in LEAVES {
        let text = fs::read_to_string(root().join(format!("src/{leaf}.rs"))).unwrap();
        assert_eq!(crate_paths(outside_tests(&text)), BTreeSet::new(), "src/{leaf}.rs");
    }
}

#[test]
fn every_room_is_in_the_table() {
    let rooms: BTreeSet<String> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
        .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let mut listed: BTreeSet<String> = IMPORTS.iter().map(|(room, _)| room.to_string()).collect();
    listed.insert("app".to_owned());
    assert_eq!(rooms, listed);
}

#[test]
fn files_stay_short() {
    let mut faults = Vec::new();
    for folder in ["src", "tests"] {
        for file in rust_files(&root().join(folder)) {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            if lines > FILE_LINES_MAX {
                faults.push(format!("{}: {lines} lines, at most {FILE_LINES_MAX}", name(&file)));
            }
        }
    }
    let main = fs::read_to_string(root().join("src/main.rs")).unwrap().lines().count();
    if main > 60 {
        faults.push(format!("src/main.rs: {main} lines, at most 60"));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_unwraps_or_leftovers_outside_tests() {
    let banned = [".unwrap()", ".expect(", "todo!(", "unimplemented!(", "dbg!(", "#[ignore"];
    let words = ["TODO", "FIXME", "XXX"];
    let mut faults = Vec::new();
    for file in rust_files(&root().join("src")) {
        if is_test_file(&file) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for (at, line) in outside_tests(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let is_fault = banned.iter().any(|b| code.contains(b))
                || words.iter().any(|word| line.contains("//") && has_word(line, word));
            if is_fault {
                faults.push(format!("{}:{}: {}", name(&file), at + 1, line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whether a word stands alone, not inside a longer one.
fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric()).any(|piece| piece == word)
}

#[test]
fn no_orphan_modules() {
    let mut faults = Vec::new();
    for (folder, top) in [("src", vec!["lib.rs", "main.rs"]), ("tests/it", vec!["main.rs"])] {
        let mut declared: BTreeMap<PathBuf, bool> =
            rust_files(&root().join(folder)).into_iter().map(|f| (f, false)).collect();
        for file in declared.keys().cloned().collect::<Vec<_>>() {
            let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
            let home = match stem.as_str() {
                "mod" | "lib" | "main" => file.parent().unwrap().to_owned(),
                _ => file.with_extension(""),
            };
            for line in fs::read_to_string(&file).unwrap().lines() {
                let line = line.trim();
                let Some(rest) = line.split("mod ").nth(1) else { continue };
                let Some(child) = rest.strip_suffix(';') else { continue };
                for path in [home.join(format!("{child}.rs")), home.join(child).join("mod.rs")] {
                    if let Some(seen) = declared.get_mut(&path) {
                        *seen = true;
                    }
                }
            }
        }
        for (file, seen) in declared {
            let is_top = top.iter().any(|t| file.ends_with(t))
                && file.parent().unwrap() == root().join(folder);
            if !seen && !is_top {
                faults.push(format!("{} is declared by no `mod`", name(&file)));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut faults = Vec::new();
    for file in rust_files(&root().join("src")) {
        let text = fs::read_to_string(&file).unwrap();
        if !is_test_file(&file) && !text.starts_with("//!") {
            faults.push(name(&file));
        }
    }
    assert!(faults.is_empty(), "no module header: {}", faults.join(", "));
}
