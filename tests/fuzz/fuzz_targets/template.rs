//! Templates of every dialect end, parsed and rendered, whatever their text.

#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use stockade::text::template::{Functions, Template, Value};

fuzz_target!(|source: &str| {
    let fields = BTreeMap::from([
        ("level".to_owned(), Value::Str("error".into())),
        ("status".to_owned(), Value::Int(500)),
        ("nothing".to_owned(), Value::Nil),
    ]);
    let data = Value::Map(Arc::new(fields));
    for functions in
        [Functions::LogQl, Functions::Promtail, Functions::Rule, Functions::Notification]
    {
        if let Ok(template) = Template::parse(source, functions) {
            let _ = template.render(&data);
        }
    }
});
