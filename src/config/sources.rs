//! Where lines come from, as YAML says it: the native `sources:` list and promtail's
//! `scrape_configs`. Stages are kept as `S`, which the pipeline room reads.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Spanned;

/// `sources:` of the main file. Absent means "find what is there"; an empty list means none.
pub type RawSources<S> = Option<Vec<Spanned<RawSource<S>>>>;

/// One item of `sources:`. Exactly one of `docker`, `files`, `journal` is given; the bare words
/// `docker` and `journal` stand for the source with its defaults.
#[derive(Debug, Clone)]
pub struct RawSource<S> {
    /// Names the source on the targets page and in its metrics; made from the kind otherwise.
    pub name: Option<Spanned<String>>,
    pub docker: Option<RawDocker>,
    pub files: Option<RawFiles>,
    pub journal: Option<RawJournal>,
    pub pipeline: Option<RawPipelineRef<S>>,
    /// Added to every entry; they win over what the source finds out itself.
    pub labels: BTreeMap<String, String>,
    pub relabel: Vec<Spanned<RawRelabel>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, bound = "S: Deserialize<'de>")]
struct RawSourceMap<S> {
    #[serde(default)]
    name: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "present")]
    docker: Option<RawDocker>,
    #[serde(default)]
    files: Option<RawFiles>,
    #[serde(default, deserialize_with = "present")]
    journal: Option<RawJournal>,
    #[serde(default = "none")]
    pipeline: Option<RawPipelineRef<S>>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    relabel: Vec<Spanned<RawRelabel>>,
}

fn none<T>() -> Option<T> {
    None
}

/// `docker:` with nothing after it is the source with its defaults, not an absent one.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Ok(Some(Option::<T>::deserialize(from)?.unwrap_or_default()))
}

impl<'de, S: Deserialize<'de>> Deserialize<'de> for RawSource<S> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SourceVisitor(PhantomData))
    }
}

struct SourceVisitor<S>(PhantomData<S>);

impl<'de, S: Deserialize<'de>> Visitor<'de> for SourceVisitor<S> {
    type Value = RawSource<S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a source, like `docker: {}` or `files: {include: [/var/log/*.log]}`")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<RawSource<S>, E> {
        let mut source = RawSource {
            name: None,
            docker: None,
            files: None,
            journal: None,
            pipeline: None,
            labels: BTreeMap::new(),
            relabel: Vec::new(),
        };
        match word {
            "docker" => source.docker = Some(RawDocker::default()),
            "journal" => source.journal = Some(RawJournal::default()),
            _ => return Err(E::unknown_variant(word, &["docker", "journal"])),
        }
        Ok(source)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawSource<S>, A::Error> {
        let raw = RawSourceMap::deserialize(MapAccessDeserializer::new(map))?;
        Ok(RawSource {
            name: raw.name,
            docker: raw.docker,
            files: raw.files,
            journal: raw.journal,
            pipeline: raw.pipeline,
            labels: raw.labels,
            relabel: raw.relabel,
        })
    }
}

/// `pipeline: web` or `pipeline: [{parse: nginx}]`.
#[derive(Debug, Clone)]
pub enum RawPipelineRef<S> {
    Name(String),
    Stages(Vec<S>),
}

impl<'de, S: Deserialize<'de>> Deserialize<'de> for RawPipelineRef<S> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PipelineVisitor(PhantomData))
    }
}

struct PipelineVisitor<S>(PhantomData<S>);

impl<'de, S: Deserialize<'de>> Visitor<'de> for PipelineVisitor<S> {
    type Value = RawPipelineRef<S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a pipeline or a list of stages")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(RawPipelineRef::Name(name.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut stages = Vec::new();
        while let Some(stage) = items.next_element()? {
            stages.push(stage);
        }
        Ok(RawPipelineRef::Stages(stages))
    }
}

/// One text or a list of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneOrManyVisitor)
    }
}

struct OneOrManyVisitor;

impl<'de> Visitor<'de> for OneOrManyVisitor {
    type Value = OneOrMany;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
        Ok(OneOrMany(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OneOrMany, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(OneOrMany(list))
    }
}

/// `docker:`.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawDocker {
    /// `unix:///var/run/docker.sock` or `tcp://host:2375`; `DOCKER_HOST` and then the socket
    /// otherwise.
    pub host: Option<Spanned<String>>,
    /// How much of a container seen for the first time is read: `all`, `end`, a duration, or
    /// `tail N`.
    pub start: Option<Spanned<String>>,
    pub multiline: Option<Spanned<RawMultiline>>,
    pub include: RawDockerFilter,
    pub exclude: RawDockerFilter,
    /// Filters that the engine itself applies when it lists containers.
    pub filters: Vec<RawDockerApiFilter>,
    /// Read only containers that carry `stockade.enable=true`.
    pub only_enabled: bool,
}

/// Which containers; values of one key are alternatives, keys are all to be fulfilled.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawDockerFilter {
    /// `name` or `name=value`.
    pub label: OneOrMany,
    /// Names, images and compose projects may hold `*` and `?`.
    pub name: OneOrMany,
    pub image: OneOrMany,
    pub project: OneOrMany,
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDockerApiFilter {
    pub name: String,
    pub values: Vec<String>,
}

/// `files:`.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFiles {
    pub include: Spanned<OneOrMany>,
    #[serde(default)]
    pub exclude: OneOrMany,
    #[serde(default)]
    pub multiline: Option<Spanned<RawMultiline>>,
    /// Where a file that was there before the first start is begun: `beginning`, `end`,
    /// `tail N` (lines), or `recent`, which is the default.
    #[serde(default)]
    pub start: Option<Spanned<String>>,
    /// Files not written to for this long are left alone.
    #[serde(default)]
    pub ignore_older: Option<Spanned<String>>,
    /// How long a rotated file is watched for late lines.
    #[serde(default)]
    pub rotate_wait: Option<Spanned<String>>,
}

/// `journal:`.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawJournal {
    /// Unit names; `*` and `?` are allowed and `.service` may be left out.
    pub units: OneOrMany,
    pub exclude_units: OneOrMany,
    /// This priority and everything more urgent: `info` or `6`.
    pub priority: Option<Spanned<RawScalar>>,
    /// `FIELD=value` terms as journalctl takes them; `+` is an OR.
    pub matches: OneOrMany,
    pub identifiers: OneOrMany,
    pub transports: OneOrMany,
    /// How far back the first start reads.
    pub max_age: Option<Spanned<String>>,
    pub path: Option<String>,
    pub namespace: Option<String>,
    /// `all` or `current`.
    pub boot: Option<Spanned<String>>,
}

/// A number or a text where either is natural.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawScalar(pub String);

impl<'de> Deserialize<'de> for RawScalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = RawScalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RawScalar, E> {
        Ok(RawScalar(text.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<RawScalar, E> {
        Ok(RawScalar(number.to_string()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<RawScalar, E> {
        Ok(RawScalar(number.to_string()))
    }
}

/// `multiline: java`, `multiline: none`, or the parts.
#[derive(Debug, Clone)]
pub enum RawMultiline {
    Preset(String),
    Rule(RawMultilineRule),
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMultilineRule {
    #[serde(default)]
    pub preset: Option<String>,
    #[serde(default)]
    pub firstline: Option<String>,
    #[serde(default)]
    pub max_lines: Option<usize>,
    #[serde(default)]
    pub max_wait_time: Option<String>,
}

impl<'de> Deserialize<'de> for RawMultiline {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(MultilineVisitor)
    }
}

struct MultilineVisitor;

impl<'de> Visitor<'de> for MultilineVisitor {
    type Value = RawMultiline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a multi-line preset or `{firstline: REGEX}`")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<RawMultiline, E> {
        Ok(RawMultiline::Preset(name.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawMultiline, A::Error> {
        RawMultilineRule::deserialize(MapAccessDeserializer::new(map)).map(RawMultiline::Rule)
    }
}

/// One item of promtail's and Prometheus' `relabel_configs`.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRelabel {
    pub source_labels: Vec<String>,
    pub separator: Option<String>,
    pub target_label: Option<String>,
    pub regex: Option<String>,
    pub modulus: Option<u64>,
    pub replacement: Option<String>,
    pub action: Option<String>,
}

/// One item of promtail's `scrape_configs`.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, bound = "S: Deserialize<'de>")]
pub struct RawScrapeConfig<S> {
    pub job_name: Spanned<String>,
    #[serde(default = "Vec::new")]
    pub pipeline_stages: Vec<S>,
    #[serde(default)]
    pub relabel_configs: Vec<Spanned<RawRelabel>>,
    #[serde(default)]
    pub static_configs: Vec<Spanned<RawStaticConfig>>,
    #[serde(default)]
    pub docker_sd_configs: Vec<Spanned<RawDockerSd>>,
    #[serde(default)]
    pub journal: Option<Spanned<RawPromtailJournal>>,
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawStaticConfig {
    /// Has no meaning for files; promtail's examples all carry it.
    #[serde(default)]
    pub targets: Vec<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDockerSd {
    pub host: String,
    #[serde(default)]
    pub filters: Vec<RawDockerApiFilter>,
    /// Containers are found by events here, so the four below change nothing.
    #[serde(default)]
    pub refresh_interval: Option<String>,
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default)]
    pub host_networking_host: Option<String>,
    #[serde(default)]
    pub match_first_network: Option<bool>,
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawPromtailJournal {
    pub max_age: Option<Spanned<String>>,
    pub json: bool,
    pub labels: BTreeMap<String, String>,
    pub path: Option<String>,
    pub matches: Option<String>,
}
