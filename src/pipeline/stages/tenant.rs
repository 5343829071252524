//! Chooses the tenant of an entry.

use super::super::compile::Compile;
use super::super::item::Item;
use super::super::run::Stage;
use crate::config::pipeline::Node;
use crate::model::Text;

#[derive(Debug)]
enum Tenant {
    Source(String),
    Label(String),
    Value(Text),
}

pub(super) fn compile(cx: &mut Compile<'_>, at: &Node, body: &Node) -> Option<Box<dyn Stage>> {
    let keys = cx.keys("tenant", body, &["source", "label", "value"])?;
    let given = [keys.source(cx), keys.text(cx, "label"), keys.text(cx, "value")];
    let tenant = match given {
        [Some(source), None, None] => Tenant::Source(source),
        [None, Some(label), None] => Tenant::Label(label),
        [None, None, Some(value)] => Tenant::Value(Text::from(value)),
        _ => {
            cx.fault(at, "stage tenant needs exactly one of source, label and value");
            return None;
        }
    };
    Some(Box::new(tenant))
}

impl Stage for Tenant {
    fn run(&self, item: &mut Item) {
        let tenant = match self {
            Tenant::Source(name) => item.extracted.text(name),
            Tenant::Label(name) => item.label(name).map(Text::from),
            Tenant::Value(value) => Some(value.clone()),
        };
        if let Some(tenant) = tenant.filter(|tenant| !tenant.is_empty()) {
            item.tenant = Some(tenant);
        }
    }
}
