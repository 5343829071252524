//! File name patterns: `*`, `?`, `[...]`, `{a,b}` and `**` for any depth of folders.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::identity::FileKey;

/// Alternatives one pattern may expand to; far above sane use.
const ALTERNATIVES_MAX: usize = 256;
/// Folders below each other that `**` descends into.
const DEPTH_MAX: usize = 32;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(in crate::collect) struct Glob {
    parts: Vec<Part>,
    whole: Regex,
}

#[derive(Debug, Clone)]
enum Part {
    Literal(String),
    Wild(Regex),
    AnyDepth,
}

/// A file that a pattern matches.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub path: PathBuf,
    pub key: FileKey,
    pub size: u64,
    pub modified_ns: i64,
    /// When the file came into being, where the file system keeps that.
    pub created_ns: Option<i64>,
}

impl Glob {
    /// One pattern for each alternative of its braces.
    pub fn parse(pattern: &str) -> Result<Vec<Glob>, String> {
        let mut expanded = Vec::new();
        expand_braces(pattern, &mut expanded)?;
        expanded.iter().map(|pattern| Glob::parse_one(pattern)).collect()
    }

    fn parse_one(pattern: &str) -> Result<Glob, String> {
        let absolute = if pattern.starts_with('/') {
            pattern.to_owned()
        } else {
            let here = std::env::current_dir().map_err(|error| error.to_string())?;
            format!("{}/{pattern}", here.display())
        };
        let mut parts = Vec::new();
        let mut whole = String::from("^");
        let names: Vec<&str> =
            absolute.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
        for (at, name) in names.iter().enumerate() {
            if *name == "**" {
                whole.push_str(if at + 1 == names.len() { "/.*" } else { "(?:/[^/]+)*" });
                parts.push(Part::AnyDepth);
                continue;
            }
            let source = component_regex(name)?;
            whole.push('/');
            whole.push_str(&source);
            if name.contains(['*', '?', '[', '\\']) {
                let regex = Regex::new(&format!("^(?s-u:{source})$"))
                    .or_else(|_| Regex::new(&format!("^(?s:{source})$")))
                    .map_err(|_| format!("pattern {pattern:?} cannot be read"))?;
                parts.push(Part::Wild(regex));
            } else {
                parts.push(Part::Literal((*name).to_owned()));
            }
        }
        whole.push('$');
        let whole =
            Regex::new(&whole).map_err(|_| format!("pattern {pattern:?} cannot be read"))?;
        Ok(Glob { parts, whole })
    }

    pub fn matches(&self, path: &Path) -> bool {
        self.whole.is_match(&path.to_string_lossy())
    }

    /// The folder above the first wildcard, and whether anything below it may match.
    pub fn root(&self) -> PathBuf {
        let mut root = PathBuf::from("/");
        let folders = self.parts.len().saturating_sub(1);
        for part in self.parts.iter().take(folders) {
            match part {
                Part::Literal(name) => root.push(name),
                Part::Wild(_) | Part::AnyDepth => break,
            }
        }
        root
    }

    /// Calls back with each file that matches. Folders that cannot be read are named in `errors`.
    pub fn walk(&self, found: &mut dyn FnMut(Found), errors: &mut Vec<String>) {
        let mut walk = Walk { found, errors, entered: HashSet::new() };
        walk.step(Path::new("/"), &self.parts, 0);
    }
}

struct Walk<'a> {
    found: &'a mut dyn FnMut(Found),
    errors: &'a mut Vec<String>,
    /// Folders that `**` has been in, so that a link to a folder above is no loop.
    entered: HashSet<(FileKey, usize)>,
}

impl Walk<'_> {
    fn step(&mut self, folder: &Path, parts: &[Part], depth: usize) {
        let Some((part, rest)) = parts.split_first() else { return };
        match part {
            Part::Literal(name) => self.visit(folder.join(name), rest, depth),
            Part::Wild(regex) => {
                for path in self.list(folder) {
                    let name = path.file_name().map(|name| name.to_string_lossy());
                    if name.is_some_and(|name| regex.is_match(&name)) {
                        self.visit(path, rest, depth);
                    }
                }
            }
            Part::AnyDepth => {
                let Ok(metadata) = fs::metadata(folder) else { return };
                let here = (FileKey::of(&metadata), parts.len());
                if depth >= DEPTH_MAX || !self.entered.insert(here) {
                    return;
                }
                self.step(folder, rest, depth);
                for path in self.list(folder) {
                    match fs::metadata(&path) {
                        Ok(metadata) if metadata.is_dir() => self.step(&path, parts, depth + 1),
                        Ok(_) if rest.is_empty() => self.visit(path, rest, depth),
                        _ => {}
                    }
                }
            }
        }
    }

    fn visit(&mut self, path: PathBuf, rest: &[Part], depth: usize) {
        if !rest.is_empty() {
            self.step(&path, rest, depth);
            return;
        }
        if let Ok(metadata) = fs::metadata(&path)
            && metadata.is_file()
        {
            (self.found)(Found::new(path, &metadata));
        }
    }

    /// The folder's entries in the order of their names.
    fn list(&mut self, folder: &Path) -> Vec<PathBuf> {
        match fs::read_dir(folder) {
            Ok(entries) => {
                let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
                paths.sort();
                paths
            }
            Err(error) => {
                use std::io::ErrorKind::{NotADirectory, NotFound};
                if !matches!(error.kind(), NotFound | NotADirectory) && self.errors.len() < 10 {
                    self.errors.push(format!("{}: {error}", folder.display()));
                }
                Vec::new()
            }
        }
    }
}

impl Found {
    pub fn new(path: PathBuf, metadata: &fs::Metadata) -> Self {
        let created = metadata.created().ok();
        let created = created.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        Found {
            path,
            key: FileKey::of(metadata),
            size: metadata.len(),
            modified_ns: metadata
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(metadata.mtime_nsec()),
            created_ns: created.and_then(|at| i64::try_from(at.as_nanos()).ok()),
        }
    }
}

fn expand_braces(pattern: &str, into: &mut Vec<String>) -> Result<(), String> {
    let Some(open) = pattern.find('{') else {
        into.push(pattern.to_owned());
        return if into.len() > ALTERNATIVES_MAX {
            Err(format!("pattern has more than {ALTERNATIVES_MAX} alternatives"))
        } else {
            Ok(())
        };
    };
    let body = &pattern[open + 1..];
    let mut depth = 0;
    let mut commas = Vec::new();
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b',' if depth == 0 => commas.push(at),
            b'}' if depth == 0 => {
                let mut from = 0;
                for end in commas.into_iter().chain([at]) {
                    let joined =
                        format!("{}{}{}", &pattern[..open], &body[from..end], &body[at + 1..]);
                    expand_braces(&joined, into)?;
                    from = end + 1;
                }
                return Ok(());
            }
            b'}' => depth -= 1,
            _ => {}
        }
    }
    Err(format!("pattern {pattern:?} has a \"{{\" that is not closed"))
}

/// The regex of one path component.
fn component_regex(name: &str) -> Result<String, String> {
    let mut regex = String::new();
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '\\' => {
                let escaped = chars.next().ok_or_else(|| format!("{name:?} ends with \"\\\""))?;
                regex.push_str(&regex::escape(&escaped.to_string()));
            }
            '[' => {
                regex.push('[');
                if chars.next_if(|c| matches!(c, '!' | '^')).is_some() {
                    regex.push('^');
                }
                let mut empty = true;
                loop {
                    match chars.next() {
                        None => return Err(format!("{name:?} has a \"[\" that is not closed")),
                        Some(']') if !empty => break,
                        Some('-') => regex.push('-'),
                        Some(c) => regex.push_str(&regex::escape(&c.to_string())),
                    }
                    empty = false;
                }
                regex.push(']');
            }
            c => regex.push_str(&regex::escape(&c.to_string())),
        }
    }
    Ok(regex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], other: &[&str]) {
        let globs = Glob::parse(pattern).unwrap();
        let fits = |path: &&str| globs.iter().any(|glob| glob.matches(Path::new(path)));
        assert_eq!(matching.iter().filter(|path| !fits(path)).collect::<Vec<_>>(), [&""; 0]);
        assert_eq!(other.iter().filter(|path| fits(path)).collect::<Vec<_>>(), [&""; 0]);
    }

    #[test]
    fn patterns() {
        check("/a/*.log", &["/a/x.log", "/a/.log"], &["/a/b/x.log", "/a/x.log.1", "/a/xlog"]);
        check("/a/**/*.log", &["/a/x.log", "/a/b/c/x.log"], &["/b/x.log", "/ax.log"]);
        check("/a/**", &["/a/x", "/a/b/c"], &["/a", "/b/x"]);
        check("/a/{x,y{1,2}}.log", &["/a/x.log", "/a/y1.log", "/a/y2.log"], &["/a/y.log"]);
        check("/a/[0-9]?[!x]", &["/a/1ab"], &["/a/1ax", "/a/ab1", "/a/1a"]);
        check(r"/a/\*", &["/a/*"], &["/a/b"]);
        check("/a//./b", &["/a/b"], &[]);
    }

    #[test]
    fn faults() {
        for (pattern, expect) in [
            ("/a/{b", "pattern \"/a/{b\" has a \"{\" that is not closed"),
            ("/a/[b", "\"[b\" has a \"[\" that is not closed"),
        ] {
            assert_eq!(Glob::parse(pattern).unwrap_err(), expect);
        }
        assert!(Glob::parse(&"{a,b}".repeat(9)).is_err());
    }

    #[test]
    fn walks_without_loops() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        for name in ["x.log", "a/y.log", "a/b/z.log", "a/b/z.txt"] {
            fs::write(at(name), "").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), at("a/b/loop")).unwrap();
        std::os::unix::fs::symlink(at("none"), at("dangling.log")).unwrap();
        let globs = Glob::parse(&format!("{}/**/*.log", folder.path().display())).unwrap();
        assert_eq!(globs[0].root(), folder.path());
        let mut names = Vec::new();
        let mut errors = Vec::new();
        globs[0].walk(
            &mut |found| {
                names.push(found.path.file_name().unwrap().to_string_lossy().into_owned());
            },
            &mut errors,
        );
        names.sort();
        assert_eq!(names, ["x.log", "y.log", "z.log"]);
        assert!(errors.is_empty());
    }
}
