//! Silences: durable the moment they are made, with an author and a reason.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::NotifyError;
use super::matchers::matcher;
use crate::durable::{DurableError, DurableFile};
use crate::limits::{NOTIFY_SILENCE_TEXT_BYTES_MAX, NOTIFY_SILENCES_MAX};
use crate::model::{Labels, MatchOp, Matcher};

/// Expired silences stay listed this long.
const KEPT_NS: i64 = 5 * 24 * 3600 * 1_000_000_000;

/// A test on one label, as the API and the file hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SilenceMatcher {
    pub name: String,
    pub value: String,
    pub is_regex: bool,
    pub is_equal: bool,
}

/// What a user asks for. With an `id`, that silence is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSilence {
    pub id: Option<String>,
    pub matchers: Vec<SilenceMatcher>,
    pub starts_at_ns: i64,
    pub ends_at_ns: i64,
    pub created_by: String,
    pub comment: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    pub id: String,
    pub matchers: Vec<SilenceMatcher>,
    pub starts_at_ns: i64,
    pub ends_at_ns: i64,
    pub updated_at_ns: i64,
    pub created_by: String,
    pub comment: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SilenceState {
    Pending,
    Active,
    Expired,
}

impl Silence {
    pub fn state(&self, now_ns: i64) -> SilenceState {
        if now_ns >= self.ends_at_ns {
            SilenceState::Expired
        } else if now_ns >= self.starts_at_ns {
            SilenceState::Active
        } else {
            SilenceState::Pending
        }
    }
}

impl SilenceMatcher {
    fn compile(&self) -> Result<Matcher, String> {
        let op = match (self.is_regex, self.is_equal) {
            (false, true) => MatchOp::Eq,
            (false, false) => MatchOp::Neq,
            (true, true) => MatchOp::Re,
            (true, false) => MatchOp::Nre,
        };
        matcher(&self.name, op, &self.value)
    }
}

/// All silences, with their file.
#[derive(Debug)]
pub(super) struct Silences {
    file: DurableFile,
    held: Vec<Held>,
}

#[derive(Debug, Clone)]
struct Held {
    silence: Silence,
    matchers: Vec<Matcher>,
}

impl Silences {
    pub fn open(folder: &Path) -> Result<(Silences, Option<DurableError>), NotifyError> {
        let file = DurableFile::new(folder.join("silences.json"));
        let (silences, damage) = match file.load::<Vec<Silence>>() {
            Ok(found) => (found.unwrap_or_default(), None),
            Err(error @ DurableError::Damaged { .. }) => (Vec::new(), Some(error)),
            Err(error) => return Err(NotifyError::Durable(error)),
        };
        let held = silences.into_iter().filter_map(|silence| Held::new(silence).ok()).collect();
        Ok((Silences { file, held }, damage))
    }

    pub fn list(&self) -> Vec<Silence> {
        self.held.iter().map(|held| held.silence.clone()).collect()
    }

    pub fn get(&self, id: &str) -> Option<Silence> {
        self.held.iter().find(|held| held.silence.id == id).map(|held| held.silence.clone())
    }

    /// Ids of the active silences that cover an alert.
    pub fn covering(&self, labels: &Labels, now_ns: i64) -> Vec<String> {
        self.held
            .iter()
            .filter(|held| held.silence.state(now_ns) == SilenceState::Active)
            .filter(|held| {
                let value = |matcher: &Matcher| labels.get(&matcher.name).unwrap_or_default();
                held.matchers.iter().all(|matcher| matcher.matches(value(matcher)))
            })
            .map(|held| held.silence.id.clone())
            .collect()
    }

    /// Makes or changes a silence and gives its id. Changing what it covers ends the old one
    /// and makes a new one, so that the record of what was silent stays true.
    pub fn put(&mut self, wanted: NewSilence, now_ns: i64) -> Result<String, NotifyError> {
        let refuse = |what: &str| NotifyError::Silence(what.to_owned());
        if wanted.created_by.trim().is_empty() {
            return Err(refuse("a silence needs an author; set createdBy"));
        }
        if wanted.comment.trim().is_empty() {
            return Err(refuse("a silence needs a comment that says why"));
        }
        if wanted.ends_at_ns <= wanted.starts_at_ns {
            return Err(refuse("a silence must end after it starts"));
        }
        if wanted.ends_at_ns <= now_ns {
            return Err(refuse("a silence must end in the future"));
        }
        let bytes: usize = wanted.matchers.iter().map(|m| m.name.len() + m.value.len()).sum();
        if bytes + wanted.comment.len() + wanted.created_by.len() > NOTIFY_SILENCE_TEXT_BYTES_MAX {
            return Err(refuse("the texts of a silence are too long"));
        }
        let mut next = self.held.clone();
        next.retain(|held| held.silence.ends_at_ns.saturating_add(KEPT_NS) > now_ns);
        let mut id = None;
        if let Some(given) = &wanted.id {
            let old = next
                .iter_mut()
                .find(|held| held.silence.id == *given)
                .ok_or_else(|| NotifyError::NoSilence(given.clone()))?;
            let is_over = old.silence.state(now_ns) == SilenceState::Expired;
            let starts_anew = old.silence.starts_at_ns != wanted.starts_at_ns
                && old.silence.state(now_ns) == SilenceState::Active;
            if !is_over && !starts_anew && old.silence.matchers == wanted.matchers {
                id = Some(given.clone());
            } else {
                old.silence.ends_at_ns = old.silence.ends_at_ns.min(now_ns);
                old.silence.updated_at_ns = now_ns;
            }
        }
        let is_change = id.is_some();
        let silence = Silence {
            id: id.unwrap_or_else(new_id),
            matchers: wanted.matchers,
            starts_at_ns: if is_change {
                wanted.starts_at_ns
            } else {
                wanted.starts_at_ns.max(now_ns)
            },
            ends_at_ns: wanted.ends_at_ns,
            updated_at_ns: now_ns,
            created_by: wanted.created_by,
            comment: wanted.comment,
        };
        let id = silence.id.clone();
        let held = Held::new(silence).map_err(NotifyError::Silence)?;
        next.retain(|held| held.silence.id != id);
        next.push(held);
        if next.len() > NOTIFY_SILENCES_MAX {
            return Err(refuse("there are too many silences; expire some first"));
        }
        self.save(next)?;
        Ok(id)
    }

    pub fn expire(&mut self, id: &str, now_ns: i64) -> Result<(), NotifyError> {
        let mut next = self.held.clone();
        let held = next
            .iter_mut()
            .find(|held| held.silence.id == id)
            .ok_or_else(|| NotifyError::NoSilence(id.to_owned()))?;
        if held.silence.state(now_ns) == SilenceState::Expired {
            return Err(NotifyError::Silence(format!("silence {id} is already expired")));
        }
        held.silence.starts_at_ns = held.silence.starts_at_ns.min(now_ns);
        held.silence.ends_at_ns = now_ns;
        held.silence.updated_at_ns = now_ns;
        self.save(next)
    }

    /// On disk first, in force then.
    fn save(&mut self, next: Vec<Held>) -> Result<(), NotifyError> {
        let plain: Vec<&Silence> = next.iter().map(|held| &held.silence).collect();
        self.file.save(&plain).map_err(NotifyError::Durable)?;
        self.held = next;
        Ok(())
    }
}

impl Held {
    fn new(silence: Silence) -> Result<Held, String> {
        let matchers =
            silence.matchers.iter().map(SilenceMatcher::compile).collect::<Result<Vec<_>, _>>()?;
        // A silence that fits alerts without any of its labels would cover everything.
        if matchers.iter().all(Matcher::matches_empty) {
            return Err("at least one matcher must not match the empty value".to_owned());
        }
        Ok(Held { silence, matchers })
    }
}

/// A random id in the form of a UUID, as tools expect.
fn new_id() -> String {
    let mut bytes = [0u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Without randomness the time is unique enough for one process.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        bytes = now.unwrap_or_default().as_nanos().to_be_bytes();
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [hex.get(..8), hex.get(8..12), hex.get(12..16), hex.get(16..20), hex.get(20..)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(matchers: &[(&str, &str, bool, bool)]) -> NewSilence {
        NewSilence {
            id: None,
            matchers: matchers
                .iter()
                .map(|(name, value, is_regex, is_equal)| SilenceMatcher {
                    name: (*name).to_owned(),
                    value: (*value).to_owned(),
                    is_regex: *is_regex,
                    is_equal: *is_equal,
                })
                .collect(),
            starts_at_ns: 100,
            ends_at_ns: 200,
            created_by: "ann".to_owned(),
            comment: "deploy".to_owned(),
        }
    }

    #[test]
    fn lives_through_restarts_and_ends() {
        let folder = tempfile::tempdir().unwrap();
        let labels = Labels::from_pairs([("app", "api")]);
        let (mut silences, _) = Silences::open(folder.path()).unwrap();
        let id = silences.put(wanted(&[("app", "a.*", true, true)]), 50).unwrap();
        assert!(silences.covering(&labels, 99).is_empty());
        let (mut silences, _) = Silences::open(folder.path()).unwrap();
        assert_eq!(silences.covering(&labels, 100), std::slice::from_ref(&id));
        assert!(silences.covering(&Labels::from_pairs([("app", "web")]), 100).is_empty());
        assert!(silences.covering(&labels, 200).is_empty());
        silences.expire(&id, 150).unwrap();
        assert!(silences.covering(&labels, 151).is_empty());
        assert!(silences.expire(&id, 151).is_err());
        assert!(silences.expire("none", 151).is_err());
    }

    #[test]
    fn changing_what_is_covered_makes_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (mut silences, _) = Silences::open(folder.path()).unwrap();
        let id = silences.put(wanted(&[("app", "api", false, true)]), 100).unwrap();
        let longer = NewSilence {
            id: Some(id.clone()),
            ends_at_ns: 300,
            ..wanted(&[("app", "api", false, true)])
        };
        assert_eq!(silences.put(longer, 110).unwrap(), id);
        let other = NewSilence { id: Some(id.clone()), ..wanted(&[("app", "web", false, true)]) };
        let new = silences.put(other, 120).unwrap();
        assert_ne!(new, id);
        assert_eq!(silences.get(&id).unwrap().state(120), SilenceState::Expired);
        assert_eq!(silences.list().len(), 2);
    }

    #[test]
    fn refuses_what_would_surprise() {
        let folder = tempfile::tempdir().unwrap();
        let (mut silences, _) = Silences::open(folder.path()).unwrap();
        let good = || wanted(&[("app", "api", false, true)]);
        for bad in [
            NewSilence { comment: " ".to_owned(), ..good() },
            NewSilence { created_by: String::new(), ..good() },
            NewSilence { ends_at_ns: 100, ..good() },
            NewSilence { starts_at_ns: 1, ends_at_ns: 40, ..good() },
            NewSilence { id: Some("none".to_owned()), ..good() },
            wanted(&[]),
            wanted(&[("app", "", false, true)]),
            wanted(&[("app", ".*", true, true)]),
            wanted(&[("app", "(", true, true)]),
        ] {
            assert!(silences.put(bad.clone(), 50).is_err(), "{bad:?}");
        }
    }
}
