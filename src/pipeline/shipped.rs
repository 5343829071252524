//! Named pipelines: those that are shipped, and those of the user, who may replace a shipped one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::pipeline::{Node, RawPipelineFile};
use crate::config::{Diagnostic, parse_yaml_plain};

/// The shipped pipelines as they stand in `pipelines/`.
pub const SHIPPED: [(&str, &str); 8] = [
    ("pipelines/nginx.yaml", include_str!("../../pipelines/nginx.yaml")),
    ("pipelines/docker-json.yaml", include_str!("../../pipelines/docker-json.yaml")),
    ("pipelines/sshd.yaml", include_str!("../../pipelines/sshd.yaml")),
    ("pipelines/postgresql.yaml", include_str!("../../pipelines/postgresql.yaml")),
    ("pipelines/traefik.yaml", include_str!("../../pipelines/traefik.yaml")),
    ("pipelines/caddy.yaml", include_str!("../../pipelines/caddy.yaml")),
    ("pipelines/redis.yaml", include_str!("../../pipelines/redis.yaml")),
    ("pipelines/mysql.yaml", include_str!("../../pipelines/mysql.yaml")),
];

/// Pipelines by name. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Library(Arc<BTreeMap<String, Named>>);

#[derive(Debug, Clone)]
struct Named {
    file: String,
    stages: Node,
}

impl Library {
    /// No pipelines.
    pub fn empty() -> Library {
        Library::default()
    }

    /// The shipped ones.
    pub fn with_shipped() -> Result<Library, Vec<Diagnostic>> {
        let mut library = Library::empty();
        let mut faults = Vec::new();
        for (file, text) in SHIPPED {
            if let Err(fault) = library.add_file(file, text) {
                faults.push(fault);
            }
        }
        if faults.is_empty() { Ok(library) } else { Err(faults) }
    }

    /// Adds the pipeline of a file such as those in `pipelines/`; one of the same name is replaced.
    pub fn add_file(&mut self, file: &str, text: &str) -> Result<(), Diagnostic> {
        let raw: RawPipelineFile = parse_yaml_plain(file, text)?;
        self.add(file, &raw.name, raw.stages);
        Ok(())
    }

    /// Adds a pipeline of the user's configuration (`pipelines:`).
    pub fn add(&mut self, file: &str, name: &str, stages: Node) {
        let named = Named { file: file.to_owned(), stages };
        Arc::make_mut(&mut self.0).insert(name.to_owned(), named);
    }

    pub fn get(&self, name: &str) -> Option<(&str, &Node)> {
        self.0.get(name).map(|named| (named.file.as_str(), &named.stages))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
