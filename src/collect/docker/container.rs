//! What the engine tells about a container, and the labels made of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::filter::DockerFilter;
use super::frames::Stream;
use crate::collect::context::SourceContext;
use crate::collect::settings::multiline_preset;
use crate::model::{Labels, Metadata, Text};
use crate::text::multiline::MultilineRule;

/// `stockade.parse=json` on a container asks for the pipeline of this name and `json`.
pub const PARSE_PIPELINE_PREFIX: &str = "parse:";

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const SWARM_SERVICE: &str = "com.docker.swarm.service.name";

/// One item of the list of containers. Engines differ in what they leave out or set to null.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ListedContainer {
    pub id: Option<String>,
    pub names: Option<Vec<String>>,
    pub image: Option<String>,
    pub labels: Option<BTreeMap<String, String>>,
    pub state: Option<String>,
    pub host_config: Option<HostConfig>,
    pub network_settings: Option<NetworkSettings>,
    pub ports: Option<Vec<Port>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct HostConfig {
    pub network_mode: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NetworkSettings {
    pub networks: Option<BTreeMap<String, Option<Network>>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Network {
    #[serde(rename = "NetworkID")]
    pub id: Option<String>,
    #[serde(rename = "IPAddress")]
    pub address: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Port {
    pub private_port: Option<u32>,
    pub public_port: Option<u32>,
    #[serde(rename = "IP")]
    pub address: Option<String>,
}

/// What `inspect` adds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Inspected {
    pub config: Option<InspectedConfig>,
    pub state: Option<InspectedState>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InspectedConfig {
    pub tty: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InspectedState {
    pub running: Option<bool>,
    pub finished_at: Option<String>,
}

impl Inspected {
    pub fn is_running(&self) -> bool {
        self.state.as_ref().and_then(|state| state.running).unwrap_or(false)
    }

    pub fn has_terminal(&self) -> bool {
        self.config.as_ref().and_then(|config| config.tty).unwrap_or(false)
    }

    /// When the last process ended; `None` for one that never ran, whose year is 1.
    pub fn finished_ns(&self) -> Option<i64> {
        let text = self.state.as_ref()?.finished_at.as_deref()?;
        chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt().filter(|ns| *ns > 0)
    }
}

/// A container that is read.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub id: String,
    pub name: String,
    pub pipeline: Option<Arc<str>>,
    pub rule: Option<MultilineRule>,
    /// A hint that could not be followed.
    pub complaint: Option<String>,
    pub metadata: Metadata,
    labels: [Option<Labels>; 2],
}

impl Container {
    /// `None` when filters, its own labels, or relabelling leave it out.
    pub fn new(
        ctx: &SourceContext,
        filter: &DockerFilter,
        rule: Option<&MultilineRule>,
        host: &str,
        listed: &ListedContainer,
    ) -> Option<Self> {
        let id = listed.id.clone()?;
        let name = container_name(listed);
        let empty = BTreeMap::new();
        let own = listed.labels.as_ref().unwrap_or(&empty);
        let image = listed.image.as_deref().unwrap_or_default();
        if !filter.takes(&name, image, own) {
            return None;
        }
        let label = |key: &str| own.get(key).map(String::as_str).filter(|value| !value.is_empty());
        let labels = Stream::ALL.map(|stream| {
            let service = label(SERVICE).or(label(SWARM_SERVICE)).unwrap_or(&name);
            let native = [
                ("container", name.as_str()),
                ("compose_project", label(PROJECT).unwrap_or_default()),
                ("compose_service", label(SERVICE).unwrap_or_default()),
                ("stream", stream.as_str()),
                ("host", host),
                ("service_name", service),
            ];
            ctx.labeling.labels(&native, &meta(listed, &id, stream))
        });
        if labels.iter().all(Option::is_none) {
            return None;
        }
        let mut complaint = None;
        let rule = match label("stockade.multiline") {
            None => rule.cloned(),
            Some("none") => None,
            Some(preset) => match multiline_preset(preset) {
                Ok(rule) => Some(rule),
                Err(error) => {
                    complaint = Some(format!("label stockade.multiline: {error}"));
                    None
                }
            },
        };
        let parse = label("stockade.parse").map(|what| format!("{PARSE_PIPELINE_PREFIX}{what}"));
        let hinted = label("stockade.pipeline").map(str::to_owned).or(parse);
        Some(Container {
            pipeline: hinted.map(Arc::from).or_else(|| ctx.pipeline.clone()),
            rule,
            complaint,
            metadata: metadata(&id, image, own),
            labels,
            name,
            id,
        })
    }

    pub fn labels(&self, stream: Stream) -> Option<&Labels> {
        self.labels[stream.index()].as_ref()
    }

    /// The name of its position, and of the claim on it.
    pub fn key(&self) -> String {
        key(&self.id)
    }
}

pub(super) const KEY_PREFIX: &str = "docker:";

pub(super) fn key(id: &str) -> String {
    format!("{KEY_PREFIX}{id}")
}

fn container_name(listed: &ListedContainer) -> String {
    let names = listed.names.as_deref().unwrap_or_default();
    // Links give a container names with two slashes; its own has one.
    let own = names.iter().find(|name| name.matches('/').count() <= 1).or(names.first());
    let id = listed.id.as_deref().unwrap_or_default();
    own.map_or_else(|| id.chars().take(12).collect(), |name| name.trim_start_matches('/').to_owned())
}

fn metadata(id: &str, image: &str, labels: &BTreeMap<String, String>) -> Metadata {
    let mut metadata = Vec::new();
    let mut add = |name: &'static str, value: &str| {
        if !value.is_empty() {
            metadata.push((Text::from_static(name), Text::from(value)));
        }
    };
    add("container_id", id.get(..12).unwrap_or(id));
    add("image", image);
    let label = |name: &str| labels.get(name).map(String::as_str).unwrap_or_default();
    add("compose_container_number", label("com.docker.compose.container-number"));
    if label("com.docker.compose.oneoff").eq_ignore_ascii_case("true") {
        add("compose_oneoff", "true");
    }
    metadata
}

/// The hidden labels that promtail's Docker discovery gives, of the first network and port.
fn meta(listed: &ListedContainer, id: &str, stream: Stream) -> Vec<(String, String)> {
    let mut meta = vec![
        ("__meta_docker_container_id".to_owned(), id.to_owned()),
        ("__meta_docker_container_name".to_owned(), format!("/{}", container_name(listed))),
        ("__meta_docker_container_log_stream".to_owned(), stream.as_str().to_owned()),
    ];
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            meta.push((format!("__meta_docker_{name}"), value));
        }
    };
    add("container_network_mode", listed.host_config.clone().and_then(|host| host.network_mode));
    for (name, value) in listed.labels.iter().flatten() {
        let safe: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        add(&format!("container_label_{safe}"), Some(value.clone()));
    }
    let networks = listed.network_settings.iter().flat_map(|settings| &settings.networks);
    if let Some((name, Some(network))) = networks.flatten().next() {
        add("network_name", Some(name.clone()));
        add("network_id", network.id.clone());
        add("network_ip", network.address.clone());
    }
    if let Some(port) = listed.ports.iter().flatten().next() {
        add("port_private", port.private_port.map(|port| port.to_string()));
        add("port_public", port.public_port.map(|port| port.to_string()));
        add("port_public_ip", port.address.clone());
    }
    meta
}
