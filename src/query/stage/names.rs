//! Label names as small numbers, so that the working state of a line compares integers.

use hashbrown::HashTable;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// A label name known to one worker.
pub type NameId = u32;

/// No name: an empty or blank key, which Loki leaves out.
pub const NO_NAME: NameId = u32::MAX;

/// The prefix of keys at the top level of a line.
pub const ROOT: NameId = u32::MAX - 1;

/// Distinct names and keys kept before the tables start anew: lines with random keys must not
/// fill the memory.
const NAMES_MAX: usize = 64 * 1024;
const KEYS_MAX: usize = 64 * 1024;

/// Behind the name of a parsed label that collides with one the entry came with.
pub const EXTRACTED_SUFFIX: &str = "_extracted";

/// Which labels parsers need to extract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    All,
    Nothing,
    /// Only these; each stands for itself, and a parser may stop once it has them all.
    Only(Vec<String>),
}

#[derive(Debug)]
struct Name {
    text: Box<str>,
    seed: u64,
    /// Parsers must extract it.
    wanted: bool,
    /// Some wanted name begins with it, so an object of this name is worth entering.
    wanted_prefix: bool,
    /// The name with the suffix, once it was needed.
    extracted: NameId,
}

#[derive(Debug)]
struct Key {
    prefix: NameId,
    raw: Box<str>,
    name: NameId,
}

/// The names of one worker. The first ones are pinned: the compiled stages refer to them.
#[derive(Debug)]
pub struct Names {
    wanted: Wanted,
    names: Vec<Name>,
    by_text: HashTable<NameId>,
    keys: HashTable<Key>,
    pinned: usize,
    scratch: String,
}

impl Names {
    pub fn new(pinned: &[String], wanted: Wanted) -> Self {
        let mut names = Names {
            wanted,
            names: Vec::new(),
            by_text: HashTable::new(),
            keys: HashTable::new(),
            pinned: 0,
            scratch: String::new(),
        };
        for name in pinned {
            names.intern(name);
        }
        names.pinned = names.names.len();
        names
    }

    /// Forgets all but the pinned names when there are too many; says whether it did.
    pub fn shrink(&mut self) -> bool {
        if self.names.len() <= NAMES_MAX {
            return false;
        }
        self.names.truncate(self.pinned);
        for name in &mut self.names {
            name.extracted = NO_NAME;
        }
        self.keys.clear();
        self.by_text.clear();
        for (id, name) in self.names.iter().enumerate() {
            let names = &self.names;
            self.by_text.insert_unique(name.seed, id as NameId, |&id| seed_of(names, id));
        }
        true
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn text(&self, id: NameId) -> &str {
        self.names.get(id as usize).map_or("", |name| &name.text)
    }

    /// A hash of the name, the seed under which its values are hashed.
    pub fn seed(&self, id: NameId) -> u64 {
        seed_of(&self.names, id)
    }

    pub fn is_wanted(&self, id: NameId) -> bool {
        self.names.get(id as usize).is_some_and(|name| name.wanted)
    }

    pub fn is_wanted_prefix(&self, id: NameId) -> bool {
        id == ROOT
            || id == NO_NAME
            || self.names.get(id as usize).is_some_and(|name| name.wanted_prefix)
    }

    pub fn intern(&mut self, text: &str) -> NameId {
        let seed = xxh3_64(text.as_bytes());
        let names = &self.names;
        let found = self
            .by_text
            .find(seed, |&id| names.get(id as usize).is_some_and(|name| &*name.text == text));
        if let Some(&id) = found {
            return id;
        }
        let id = self.names.len() as NameId;
        let (wanted, wanted_prefix) = match &self.wanted {
            Wanted::All => (true, true),
            Wanted::Nothing => (false, false),
            Wanted::Only(only) => (
                only.iter().any(|wanted| wanted == text),
                only.iter().any(|wanted| wanted.starts_with(text)),
            ),
        };
        self.names.push(Name {
            text: text.into(),
            seed,
            wanted,
            wanted_prefix,
            extracted: NO_NAME,
        });
        let names = &self.names;
        self.by_text.insert_unique(seed, id, |&id| seed_of(names, id));
        id
    }

    /// The name with `_extracted` behind it.
    pub fn extracted(&mut self, id: NameId) -> NameId {
        let Some(name) = self.names.get(id as usize) else { return id };
        if name.extracted != NO_NAME {
            return name.extracted;
        }
        let text = format!("{}{EXTRACTED_SUFFIX}", name.text);
        let extracted = self.intern(&text);
        if let Some(name) = self.names.get_mut(id as usize) {
            name.extracted = extracted;
        }
        extracted
    }

    /// The name of a key as it stands in a line, below a prefix (`ROOT` at the top level).
    pub fn of_key(&mut self, prefix: NameId, raw: &str) -> NameId {
        let hash = xxh3_64_with_seed(raw.as_bytes(), u64::from(prefix));
        if let Some(key) = self.keys.find(hash, |key| key.prefix == prefix && &*key.raw == raw) {
            return key.name;
        }
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        if prefix != ROOT && prefix != NO_NAME {
            text.push_str(self.text(prefix));
        }
        append_sanitized(&mut text, raw);
        let name = if text.is_empty() { NO_NAME } else { self.intern(&text) };
        self.scratch = text;
        if self.keys.len() < KEYS_MAX {
            let key = Key { prefix, raw: raw.into(), name };
            self.keys.insert_unique(hash, key, |key| {
                xxh3_64_with_seed(key.raw.as_bytes(), u64::from(key.prefix))
            });
        }
        name
    }
}

fn seed_of(names: &[Name], id: NameId) -> u64 {
    names.get(id as usize).map_or(0, |name| name.seed)
}

/// Appends one part of a key path: characters that no label name may hold become `_`, parts are
/// joined by `_`, a leading digit gets one in front, blank parts vanish.
fn append_sanitized(to: &mut String, part: &str) {
    let part = part.trim();
    let Some(first) = part.chars().next() else { return };
    if !to.is_empty() || first.is_ascii_digit() {
        to.push('_');
    }
    to.extend(part.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &[&str], expect: &str) {
        let mut names = Names::new(&[], Wanted::All);
        let mut id = ROOT;
        for part in path {
            id = names.of_key(id, part);
        }
        let again = path.iter().fold(ROOT, |prefix, part| names.of_key(prefix, part));
        assert_eq!(id, again);
        assert_eq!(names.text(id), expect);
    }

    #[test]
    fn keys_become_label_names() {
        check(&["status"], "status");
        check(&["user.name"], "user_name");
        check(&["1st"], "_1st");
        check(&["a", "1st"], "a_1st");
        check(&[" spaced "], "spaced");
        check(&["", "x"], "x");
        check(&["grün"], "gr_n");
        check(&["http", "headers", "x-req-id"], "http_headers_x_req_id");
        check(&[" "], "");
    }

    #[test]
    fn wanted_names_and_their_prefixes() {
        let mut names = Names::new(&[], Wanted::Only(vec!["http_status".to_owned()]));
        let http = names.of_key(ROOT, "http");
        let other = names.of_key(ROOT, "other");
        let status = names.of_key(http, "status");
        assert!(names.is_wanted_prefix(http) && !names.is_wanted(http));
        assert!(!names.is_wanted_prefix(other));
        assert!(names.is_wanted(status));
    }

    #[test]
    fn forgets_all_but_pinned_names() {
        let mut names = Names::new(&["a".to_owned()], Wanted::All);
        for at in 0..=NAMES_MAX {
            names.of_key(ROOT, &format!("k{at}"));
        }
        assert!(names.shrink());
        assert_eq!((names.len(), names.intern("a")), (1, 0));
        assert_eq!(names.of_key(ROOT, "k7"), 1);
    }
}
