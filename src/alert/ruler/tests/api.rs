//! Rules made through the ruler API.

use super::script::{SECOND, Script, group, open, rule, shown, tick};
use crate::alert::error::AlertError;
use crate::clock::SimClock;
use crate::durable::DurableFile;
use crate::model::TENANT_DEFAULT;

const GROUP: &str = "name: mine\ninterval: 30s\nlimit: 7\nlabels:\n    team: a\nrules:\n    - alert: Mine\n      expr: count_over_time({rule=\"Mine\"}[5m]) > 0\n      for: 1m\n      labels:\n          severity: high\n      annotations:\n          summary: \"it is \\\"{{ $value }}\\\"\"\n    - record: mine:lines\n      expr: |\n        sum(rate({rule=\"x\"}[5m]))\n";

#[test]
fn groups_are_made_listed_and_deleted_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = Script::new(|_, _| Ok(vec![("api", 1.0)]));
    let groups = || vec![group("g", vec![rule("Shipped", 60 * SECOND, 0)])];
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    ruler.put_group(TENANT_DEFAULT, "team a/x", GROUP).unwrap();
    drop(ruler);
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    let listed = ruler.groups_yaml(TENANT_DEFAULT, Some("team a/x")).unwrap();
    assert!(
        listed.starts_with("\"team a/x\":\n    - name: \"mine\"\n      interval: 30s\n"),
        "{listed}"
    );
    // What comes out goes in again and comes out the same.
    let one = ruler.group_yaml(TENANT_DEFAULT, "team a/x", "mine").unwrap();
    ruler.put_group(TENANT_DEFAULT, "copy", &one).unwrap();
    assert_eq!(ruler.group_yaml(TENANT_DEFAULT, "copy", "mine").unwrap(), one);
    assert!(one.contains("limit: 7\n") && one.contains("for: 1m\n"), "{one}");
    assert!(one.contains(r#""summary": "it is \"{{ $value }}\"""#), "{one}");
    assert!(ruler.groups_yaml(TENANT_DEFAULT, None).unwrap().contains("\"rules.yaml\":"));
    // Clients compare what they have with what is told: only what was written is.
    let bare = "name: \"bare\"\nrules:\n    - record: \"a\"\n      expr: \"vector(1)\"\n";
    ruler.put_group(TENANT_DEFAULT, "bare", bare).unwrap();
    assert_eq!(ruler.group_yaml(TENANT_DEFAULT, "bare", "bare").unwrap(), bare);
    ruler.delete(TENANT_DEFAULT, "bare", None).unwrap();

    ruler.delete(TENANT_DEFAULT, "copy", Some("mine")).unwrap();
    assert!(matches!(
        ruler.delete(TENANT_DEFAULT, "copy", Some("mine")),
        Err(AlertError::NotFound)
    ));
    ruler.delete(TENANT_DEFAULT, "team a/x", None).unwrap();
    assert!(matches!(
        ruler.groups_yaml(TENANT_DEFAULT, Some("team a/x")),
        Err(AlertError::NotFound)
    ));
    assert_eq!(ruler.rules().groups.len(), 1);
}

#[test]
fn files_and_mistakes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = Script::new(|_, _| Ok(vec![]));
    let groups = vec![group("g", vec![rule("Shipped", 60 * SECOND, 0)])];
    let (ruler, _) = open(folder.path(), groups, &script, &clock);
    assert!(matches!(
        ruler.put_group(TENANT_DEFAULT, "rules.yaml", GROUP),
        Err(AlertError::ReadOnly { .. })
    ));
    assert!(matches!(
        ruler.delete(TENANT_DEFAULT, "rules.yaml", Some("g")),
        Err(AlertError::ReadOnly { .. })
    ));
    assert!(matches!(ruler.put_group(TENANT_DEFAULT, "", GROUP), Err(AlertError::Namespace(_))));
    assert!(matches!(
        ruler.put_group(TENANT_DEFAULT, "a\nb", GROUP),
        Err(AlertError::Namespace(_))
    ));
    let error = ruler
        .put_group(TENANT_DEFAULT, "ns", "name: g\nrules:\n- alert: X\n")
        .unwrap_err()
        .to_string();
    assert_eq!(error, "rule group:3:10: rule \"X\" has no \"expr\"");
    assert!(matches!(ruler.groups_yaml(TENANT_DEFAULT, Some("ns")), Err(AlertError::NotFound)));
}

#[test]
fn deleting_a_rule_ends_its_alerts() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = Script::new(|_, _| Ok(vec![("api", 1.0)]));
    let (ruler, _) = open(folder.path(), Vec::new(), &script, &clock);
    ruler.put_group(TENANT_DEFAULT, "ns", &GROUP.replace("for: 1m", "for: 0s")).unwrap();
    assert_eq!(shown(&tick(&ruler, &clock, 10)), ["Mine api 10-"]);
    ruler.delete(TENANT_DEFAULT, "ns", None).unwrap();
    assert_eq!(shown(&tick(&ruler, &clock, 20)), ["Mine api 10-20"]);
}

#[test]
fn groups_of_older_versions_are_the_default_tenants() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = Script::new(|_, _| Ok(Vec::new()));
    // Also where a namespace has the name that stands for the tenants now.
    let kept = serde_json::json!({"ns": {"mine": GROUP}, "tenants": {"mine": GROUP}});
    DurableFile::new(folder.path().join("rules/api.json")).save(&kept).unwrap();
    for _ in ["old", "new"] {
        let (ruler, _) = open(folder.path(), Vec::new(), &script, &clock);
        for namespace in ["ns", "tenants"] {
            assert!(ruler.group_yaml(TENANT_DEFAULT, namespace, "mine").is_ok(), "{namespace}");
            assert!(ruler.group_yaml("other", namespace, "mine").is_err(), "{namespace}");
        }
        ruler.put_group("other", "theirs", GROUP).unwrap();
    }
}
