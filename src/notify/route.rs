//! The route tree: which alerts go where, how they are grouped and how often they are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::intervals::Interval;
use crate::model::{Labels, Matcher};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GroupBy {
    /// `...`: each alert is a group of its own.
    All,
    Labels(Vec<String>),
}

#[derive(Debug, Clone)]
pub(super) struct Route {
    /// The matchers from the root down: keeps its meaning over restarts and reloads.
    pub id: String,
    pub matchers: Vec<Matcher>,
    pub goes_on: bool,
    pub receiver: String,
    pub group_by: GroupBy,
    pub group_wait_ns: i64,
    pub group_interval_ns: i64,
    pub repeat_interval_ns: i64,
    pub mute: Vec<Arc<Vec<Interval>>>,
    pub active: Vec<Arc<Vec<Interval>>>,
    pub labels: BTreeMap<String, String>,
    pub routes: Vec<Route>,
}

impl Route {
    /// The routes that take an alert: the deepest that match, in order.
    pub fn find<'a>(&'a self, labels: &Labels, found: &mut Vec<&'a Route>) -> bool {
        let fits =
            |matcher: &Matcher| matcher.matches(labels.get(&matcher.name).unwrap_or_default());
        if !self.matchers.iter().all(fits) {
            return false;
        }
        let before = found.len();
        for child in &self.routes {
            if child.find(labels, found) && !child.goes_on {
                break;
            }
        }
        if found.len() == before {
            found.push(self);
        }
        true
    }

    pub fn by_id(&self, id: &str) -> Option<&Route> {
        if self.id == id {
            return Some(self);
        }
        self.routes.iter().find_map(|child| child.by_id(id))
    }

    pub fn group_labels(&self, labels: &Labels) -> Labels {
        match &self.group_by {
            GroupBy::All => labels.clone(),
            GroupBy::Labels(names) => Labels::from_pairs(
                names
                    .iter()
                    .filter_map(|name| labels.get(name).map(|value| (name.as_str(), value))),
            ),
        }
    }

    pub fn group_key(&self, group_labels: &Labels) -> String {
        format!("{}:{group_labels}", self.id)
    }

    pub fn is_mute(&self, now_ns: i64) -> bool {
        let holds = |named: &Arc<Vec<Interval>>| named.iter().any(|one| one.holds(now_ns));
        self.mute.iter().any(holds) || (!self.active.is_empty() && !self.active.iter().any(holds))
    }
}
