//! Names of OTLP attributes as labels, by the rules of Prometheus' otlptranslator, which is what
//! Loki uses: every run of other characters is one underscore.

use crate::limits;

/// Resource attributes that name a stream (Loki's `default_resource_attributes_as_index_labels`).
pub const INDEX_LABELS: [&str; 18] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
];

pub(super) fn is_index_label(attribute: &str) -> bool {
    INDEX_LABELS.contains(&attribute)
}

/// `None` when nothing but underscores would be left: no query can name that.
pub(super) fn label_name(attribute: &str) -> Option<String> {
    let reserved =
        (attribute.len() >= 4).then(|| attribute.strip_prefix("__")?.strip_suffix("__")).flatten();
    let mut name = String::with_capacity(attribute.len() + 4);
    let mut after_underscore = false;
    for c in reserved.unwrap_or(attribute).chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c);
            after_underscore = false;
        } else if !after_underscore {
            name.push('_');
            after_underscore = true;
        }
    }
    name.truncate(limits::PUSH_NAME_BYTES_MAX);
    if name.bytes().all(|byte| byte == b'_') {
        return None;
    }
    if reserved.is_some() {
        return Some(format!("__{name}__"));
    }
    if name.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        name.insert_str(0, "key_");
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_otlptranslator_has_it() {
        for (attribute, expect) in [
            ("service.name", Some("service_name")),
            ("a..b", Some("a_b")),
            ("a__b", Some("a_b")),
            ("_a", Some("_a")),
            ("1c", Some("key_1c")),
            ("http.größe", Some("http_gr_e")),
            ("__reserved__", Some("__reserved__")),
            ("", None),
            ("...", None),
            ("____", None),
            (&"a".repeat(5000), Some(&"a".repeat(limits::PUSH_NAME_BYTES_MAX))),
        ] {
            assert_eq!(label_name(attribute).as_deref(), expect, "{attribute:?}");
        }
    }
}
