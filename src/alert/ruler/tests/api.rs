//! Rules made through the ruler API.

use super::script::{SECOND, Script, group, open, rule, shown, tick};
use crate::alert::error::AlertError;
use crate::clock::SimClock;

const GROUP: &str = "name: mine\ninterval: 30s\nlimit: 7\nlabels:\n    team: a\nrules:\n    - alert: Mine\n      expr: count_over_time({rule=\"Mine\"}[5m]) > 0\n      for: 1m\n      labels:\n          severity: high\n      annotations:\n          summary: \"it is \\\"{{ $value }}\\\"\"\n    - record: mine:lines\n      expr: |\n        sum(rate({rule=\"x\"}[5m]))\n";

#[test]
fn groups_are_made_listed_and_deleted_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = Script::new(|_, _| Ok(vec![("api", 1.0)]));
    let groups = || vec![group("g", vec![rule("Shipped", 60 * SECOND, 0)])];
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    ruler.put_group("team a/x", GROUP).unwrap();
    drop(ruler);
    let (ruler, _) = open(folder.path(), groups(), &script, &clock);
    let listed = ruler.groups_yaml(Some("team a/x")).unwrap();
    assert!(
        listed.starts_with("\"team a/x\":\n    - name: \"mine\"\n      interval: 30s\n"),
        "{listed}"
    );
    // What comes out goes in again and comes out the same.
    let one = ruler.group_yaml("team a/x", "mine").unwrap();
    ruler.put_group("copy", &one).unwrap();
    assert_eq!(ruler.group_yaml("copy", "mine").unwrap(), one);
    assert!(one.contains("limit: 7\n") && one.contains("for: 1m\n"), "{one}");
    assert!(one.contains(r#""summary": "it is \"{{ $value }}\"""#), "{one}");
    assert!(ruler.groups_yaml(None).unwrap().contains("\"rules.yaml\":"));
    // Clients compare what they have with what is told: only what was written is.
    let bare = "name: \"bare\"\nrules:\n    - record: \"a\"\n      expr: \"vector(1)\"\n";
    ruler.put_group("bare", bare).unwrap();
    assert_eq!(ruler.group_yaml("bare", "bare").unwrap(), bare);
    ruler.delete_namespace("bare").unwrap();

    ruler.delete_group("copy", "mine").unwrap();
    assert!(matches!(ruler.delete_group("copy", "mine"), Err(AlertError::NotFound)));
    ruler.delete_namespace("team a/x").unwrap();
    assert!(matches!(ruler.groups_yaml(Some("team a/x")), Err(AlertError::NotFound)));
    assert_eq!(ruler.rules().groups.len(), 1);
}

#[test]
fn files_and_mistakes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = Script::new(|_, _| Ok(vec![]));
    let groups = vec![group("g", vec![rule("Shipped", 60 * SECOND, 0)])];
    let (ruler, _) = open(folder.path(), groups, &script, &clock);
    assert!(matches!(ruler.put_group("rules.yaml", GROUP), Err(AlertError::ReadOnly { .. })));
    assert!(matches!(ruler.delete_group("rules.yaml", "g"), Err(AlertError::ReadOnly { .. })));
    assert!(matches!(ruler.put_group("", GROUP), Err(AlertError::Namespace(_))));
    assert!(matches!(ruler.put_group("a\nb", GROUP), Err(AlertError::Namespace(_))));
    let error = ruler.put_group("ns", "name: g\nrules:\n- alert: X\n").unwrap_err().to_string();
    assert_eq!(error, "rule group:3:10: rule \"X\" has no \"expr\"");
    assert!(matches!(ruler.groups_yaml(Some("ns")), Err(AlertError::NotFound)));
}

#[test]
fn deleting_a_rule_ends_its_alerts() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new(0);
    let script = Script::new(|_, _| Ok(vec![("api", 1.0)]));
    let (ruler, _) = open(folder.path(), Vec::new(), &script, &clock);
    ruler.put_group("ns", &GROUP.replace("for: 1m", "for: 0s")).unwrap();
    assert_eq!(shown(&tick(&ruler, &clock, 10)), ["Mine api 10-"]);
    ruler.delete_namespace("ns").unwrap();
    assert_eq!(shown(&tick(&ruler, &clock, 20)), ["Mine api 10-20"]);
}
