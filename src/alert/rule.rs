//! Rules as the engine runs them: checked, parsed, with their place and identity.

use std::collections::HashMap;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::expr::Look;
use super::text::RuleText;
use crate::model::TENANT_DEFAULT;
use crate::query::syntax::ast::MetricExpr;

/// Where a group comes from. Only groups made through the API can be changed through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Compiled into the binary.
    Shipped,
    /// Read from a file of the user.
    File,
    Api,
}

/// Rules that are evaluated together, one after the other.
#[derive(Debug, Clone)]
pub struct Group {
    pub origin: Origin,
    /// Whose lines are looked at, and who may see and change the group.
    pub tenant: Arc<str>,
    /// The file's name, or the namespace given through the API.
    pub namespace: String,
    pub name: String,
    pub interval_ns: i64,
    /// How far the evaluated moment lies behind the clock, so that lines have time to arrive.
    pub query_offset_ns: i64,
    /// Alerts (or recorded series) a rule may have.
    pub limit: usize,
    /// The limit as the user wrote it; 0 when not set.
    pub limit_written: usize,
    /// Whether the user wrote them; what is a default is not told back, or clients that compare
    /// would see a difference.
    pub interval_is_written: bool,
    pub query_offset_is_written: bool,
    pub labels: Vec<(String, String)>,
    pub rules: Vec<Rule>,
}

impl Group {
    /// Names the group for schedules and listings.
    pub fn key(&self) -> GroupKey {
        GroupKey {
            tenant: Arc::clone(&self.tenant),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// The same group for another tenant. Its alerts and recorded series say whose they are, so
    /// that those of two tenants are never taken for one, whatever labels their rules give.
    pub fn owned_by(mut self, tenant: &str) -> Group {
        self.tenant = Arc::from(tenant);
        if tenant != TENANT_DEFAULT {
            for rule in &mut self.rules {
                rule.labels.retain(|(name, _)| name != TENANT_LABEL);
                rule.labels.push((TENANT_LABEL.to_owned(), RuleText::plain(tenant)));
            }
        }
        self
    }
}

/// Names the tenant on alerts and recorded series.
pub const TENANT_LABEL: &str = "tenant";

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKey {
    pub tenant: Arc<str>,
    pub namespace: String,
    pub name: String,
}

/// Names a rule over restarts and reloads: made of its kind, name and labels, and of its rank
/// among rules that have all three in common. So a rule keeps its alerts when its expression,
/// `for`, group or file changes, and loses them when its name or labels do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RuleId(pub(super) String);

impl RuleId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, Clone)]
pub struct Rule {
    pub id: RuleId,
    pub name: String,
    /// The expression as written.
    pub query: String,
    /// The expression as evaluated: our own logs are left out.
    pub expr: MetricExpr,
    pub look: Look,
    /// The group's labels and the rule's own, which win.
    pub labels: Vec<(String, RuleText)>,
    /// The rule's own labels as written.
    pub labels_written: Vec<(String, String)>,
    pub kind: RuleKind,
}

#[derive(Debug, Clone)]
pub enum RuleKind {
    Alert { hold_ns: i64, keep_firing_ns: i64, annotations: Vec<(String, RuleText)> },
    Record,
}

impl Rule {
    pub fn is_alert(&self) -> bool {
        matches!(self.kind, RuleKind::Alert { .. })
    }
}

/// All rules in force.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    pub groups: Vec<Arc<Group>>,
}

impl RuleSet {
    /// Orders the groups and names their rules.
    pub fn new(mut groups: Vec<Group>) -> Self {
        groups.sort_by(|a, b| {
            (a.origin, &a.tenant, &a.namespace, &a.name).cmp(&(
                b.origin,
                &b.tenant,
                &b.namespace,
                &b.name,
            ))
        });
        let mut ranks: HashMap<u64, usize> = HashMap::new();
        let rules = groups.iter_mut().flat_map(|Group { tenant, rules, .. }| {
            let tenant: &str = tenant;
            rules.iter_mut().map(move |rule| (tenant, rule))
        });
        for (tenant, rule) in rules {
            let mut bytes = Vec::with_capacity(64);
            if tenant != TENANT_DEFAULT {
                bytes.extend_from_slice(tenant.as_bytes());
                bytes.push(0xfd);
            }
            bytes.push(u8::from(rule.is_alert()));
            bytes.extend_from_slice(rule.name.as_bytes());
            for (name, value) in &rule.labels {
                bytes.push(0xff);
                bytes.extend_from_slice(name.as_bytes());
                bytes.push(0xfe);
                bytes.extend_from_slice(value.source().as_bytes());
            }
            let hash = xxh3_64(&bytes);
            let rank = ranks.entry(hash).or_default();
            rule.id = RuleId(format!("{hash:016x}-{rank}"));
            *rank += 1;
        }
        RuleSet { groups: groups.into_iter().map(Arc::new).collect() }
    }

    pub fn rules(&self) -> impl Iterator<Item = (&Arc<Group>, &Rule)> {
        self.groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
    }
}
