//! Rule groups made through the ruler API: kept as the YAML that was given, by tenant and
//! namespace.

use std::collections::BTreeMap;
use std::path::Path;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::error::AlertError;
use super::load::{GroupDefaults, load_group};
use super::rule::Group;
use crate::durable::{DurableError, DurableFile};
use crate::limits::RULE_API_GROUPS_MAX;
use crate::model::TENANT_DEFAULT;

type Namespaces = BTreeMap<String, BTreeMap<String, String>>;
type Tenants = BTreeMap<String, Namespaces>;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Kept {
    Tenants {
        tenants: Tenants,
    },
    /// Of older versions, where all groups were the default tenant's.
    Namespaces(Namespaces),
}

#[derive(Serialize)]
struct Saved<'a> {
    tenants: &'a Tenants,
}

/// The groups made through the API. Every change is on disk before it counts.
#[derive(Debug)]
pub struct ApiRules {
    file: DurableFile,
    tenants: Mutex<Tenants>,
}

impl ApiRules {
    /// A damaged file was moved aside; the second value says so, and there are no groups.
    pub fn open(folder: &Path) -> Result<(ApiRules, Option<DurableError>), AlertError> {
        let file = DurableFile::new(folder.join("api.json"));
        let (tenants, damage) = match file.load::<Kept>() {
            Ok(None) => (Tenants::new(), None),
            Ok(Some(Kept::Tenants { tenants })) => (tenants, None),
            Ok(Some(Kept::Namespaces(namespaces))) => {
                (Tenants::from([(TENANT_DEFAULT.to_owned(), namespaces)]), None)
            }
            Err(error @ DurableError::Io { .. }) => return Err(error.into()),
            Err(damage) => (Tenants::new(), Some(damage)),
        };
        Ok((ApiRules { file, tenants: Mutex::new(tenants) }, damage))
    }

    /// All groups that can still be read, and the faults of those that cannot (a newer version
    /// may be stricter than the one that took them).
    pub fn groups(&self, defaults: GroupDefaults) -> (Vec<Group>, Vec<AlertError>) {
        let mut groups = Vec::new();
        let mut faults = Vec::new();
        let tenants = self.tenants.lock();
        let namespaces = tenants
            .iter()
            .flat_map(|(tenant, all)| all.iter().map(move |(name, texts)| (tenant, name, texts)));
        for (tenant, namespace, texts) in namespaces {
            for text in texts.values() {
                match load_group(namespace, text, defaults) {
                    Ok(group) => groups.push(group.owned_by(tenant)),
                    Err(fault) => faults.push(fault),
                }
            }
        }
        (groups, faults)
    }

    /// Adds or replaces one group.
    pub fn put(
        &self,
        tenant: &str,
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
        self.change(|tenants| {
            let count: usize =
                tenants.values().flat_map(|all| all.values()).map(BTreeMap::len).sum();
            let namespaces = tenants.entry(tenant.to_owned()).or_default();
            let groups = namespaces.entry(namespace.to_owned()).or_default();
            if !groups.contains_key(&group.name) && count >= RULE_API_GROUPS_MAX {
                return Err(AlertError::TooMany { groups: RULE_API_GROUPS_MAX });
            }
            groups.insert(group.name.clone(), text.to_owned());
            Ok(())
        })
    }

    /// Deletes a group of a namespace, or all of them.
    pub fn delete(
        &self,
        tenant: &str,
        namespace: &str,
        group: Option<&str>,
    ) -> Result<(), AlertError> {
        self.change(|tenants| {
            let namespaces = tenants.get_mut(tenant).ok_or(AlertError::NotFound)?;
            let groups = namespaces.get_mut(namespace).ok_or(AlertError::NotFound)?;
            match group {
                Some(name) => {
                    groups.remove(name).ok_or(AlertError::NotFound)?;
                }
                None => groups.clear(),
            }
            if groups.is_empty() {
                namespaces.remove(namespace);
            }
            Ok(())
        })
    }

    fn change(
        &self,
        edit: impl FnOnce(&mut Tenants) -> Result<(), AlertError>,
    ) -> Result<(), AlertError> {
        let mut tenants = self.tenants.lock();
        let mut edited = tenants.clone();
        edit(&mut edited)?;
        edited.retain(|_, namespaces| !namespaces.is_empty());
        self.file.save(&Saved { tenants: &edited })?;
        *tenants = edited;
        Ok(())
    }
}
