//! Rule groups made through the ruler API: kept as the YAML that was given, by namespace.

use std::collections::BTreeMap;
use std::path::Path;

use parking_lot::Mutex;

use super::error::AlertError;
use super::load::{GroupDefaults, load_group};
use super::rule::Group;
use crate::durable::{DurableError, DurableFile};
use crate::limits::RULE_API_GROUPS_MAX;

type Namespaces = BTreeMap<String, BTreeMap<String, String>>;

/// The groups made through the API. Every change is on disk before it counts.
#[derive(Debug)]
pub struct ApiRules {
    file: DurableFile,
    namespaces: Mutex<Namespaces>,
}

impl ApiRules {
    /// A damaged file was moved aside; the second value says so, and there are no groups.
    pub fn open(folder: &Path) -> Result<(ApiRules, Option<DurableError>), AlertError> {
        let file = DurableFile::new(folder.join("api.json"));
        let (namespaces, damage) = match file.load::<Namespaces>() {
            Ok(namespaces) => (namespaces.unwrap_or_default(), None),
            Err(error @ DurableError::Io { .. }) => return Err(error.into()),
            Err(damage) => (Namespaces::new(), Some(damage)),
        };
        Ok((ApiRules { file, namespaces: Mutex::new(namespaces) }, damage))
    }

    /// All groups that can still be read, and the faults of those that cannot (a newer version
    /// may be stricter than the one that took them).
    pub fn groups(&self, defaults: GroupDefaults) -> (Vec<Group>, Vec<AlertError>) {
        let mut groups = Vec::new();
        let mut faults = Vec::new();
        for (namespace, texts) in self.namespaces.lock().iter() {
            for text in texts.values() {
                match load_group(namespace, text, defaults) {
                    Ok(group) => groups.push(group),
                    Err(fault) => faults.push(fault),
                }
            }
        }
        (groups, faults)
    }

    /// Adds or replaces one group.
    pub fn put(
        &self,
        namespace: &str,
        text: &str,
        defaults: GroupDefaults,
    ) -> Result<(), AlertError> {
        let legal =
            (1..=255).contains(&namespace.len()) && !namespace.chars().any(char::is_control);
        if !legal {
            return Err(AlertError::Namespace(namespace.to_owned()));
        }
        let group = load_group(namespace, text, defaults)?;
        self.change(|namespaces| {
            let count: usize = namespaces.values().map(BTreeMap::len).sum();
            let groups = namespaces.entry(namespace.to_owned()).or_default();
            if !groups.contains_key(&group.name) && count >= RULE_API_GROUPS_MAX {
                return Err(AlertError::TooMany { groups: RULE_API_GROUPS_MAX });
            }
            groups.insert(group.name.clone(), text.to_owned());
            Ok(())
        })
    }

    pub fn delete_group(&self, namespace: &str, name: &str) -> Result<(), AlertError> {
        self.change(|namespaces| {
            let groups = namespaces.get_mut(namespace).ok_or(AlertError::NotFound)?;
            groups.remove(name).ok_or(AlertError::NotFound)?;
            if groups.is_empty() {
                namespaces.remove(namespace);
            }
            Ok(())
        })
    }

    pub fn delete_namespace(&self, namespace: &str) -> Result<(), AlertError> {
        self.change(|namespaces| {
            namespaces.remove(namespace).map(|_| ()).ok_or(AlertError::NotFound)
        })
    }

    fn change(
        &self,
        edit: impl FnOnce(&mut Namespaces) -> Result<(), AlertError>,
    ) -> Result<(), AlertError> {
        let mut namespaces = self.namespaces.lock();
        let mut edited = namespaces.clone();
        edit(&mut edited)?;
        self.file.save(&edited)?;
        *namespaces = edited;
        Ok(())
    }
}
