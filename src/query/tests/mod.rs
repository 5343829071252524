//! Tests of the engine as a whole: scripts, and a naive evaluator to hold it against.

mod api;
mod columns;
mod naive;
mod script;
mod shapes;

use std::path::Path;

#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logql");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut failures = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        failures.extend(script::run(&name, &text));
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
