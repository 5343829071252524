//! Which containers are read.

use std::collections::BTreeMap;

use regex::Regex;

use crate::config::sources::RawDockerFilter;

/// Include and exclude lists, and the container's own wish.
#[derive(Debug, Default)]
pub(in crate::collect) struct DockerFilter {
    include: Terms,
    exclude: Terms,
    only_enabled: bool,
}

#[derive(Debug, Default)]
struct Terms {
    labels: Vec<(String, Option<String>)>,
    names: Vec<Regex>,
    images: Vec<Regex>,
    projects: Vec<Regex>,
}

impl DockerFilter {
    pub fn new(
        include: &RawDockerFilter,
        exclude: &RawDockerFilter,
        only_enabled: bool,
    ) -> Result<Self, String> {
        Ok(DockerFilter {
            include: Terms::new(include)?,
            exclude: Terms::new(exclude)?,
            only_enabled,
        })
    }

    pub fn takes(&self, name: &str, image: &str, labels: &BTreeMap<String, String>) -> bool {
        let wish = labels.get("stockade.enable").map(|value| value.trim().to_ascii_lowercase());
        match wish.as_deref() {
            Some("false" | "0" | "no" | "off") => return false,
            Some("true" | "1" | "yes" | "on") => {}
            _ if self.only_enabled => return false,
            _ => {}
        }
        let [label, by_name, by_image, project] = self.include.hits(name, image, labels);
        // Of each list that is not empty one term has to hold.
        let included = [label, by_name, by_image, project].into_iter().all(|hit| hit != Some(false));
        included && !self.exclude.hits(name, image, labels).contains(&Some(true))
    }
}

impl Terms {
    fn new(raw: &RawDockerFilter) -> Result<Self, String> {
        let labels = raw.label.0.iter().map(|term| match term.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (term.clone(), None),
        });
        let patterns = |terms: &[String]| -> Result<Vec<Regex>, String> {
            terms.iter().map(|term| wildcard(term)).collect()
        };
        Ok(Terms {
            labels: labels.collect(),
            names: patterns(&raw.name.0)?,
            images: patterns(&raw.image.0)?,
            projects: patterns(&raw.project.0)?,
        })
    }

    /// For labels, names, images and projects: whether a term holds; `None` without terms.
    fn hits(
        &self,
        name: &str,
        image: &str,
        labels: &BTreeMap<String, String>,
    ) -> [Option<bool>; 4] {
        let project = labels.get("com.docker.compose.project").map_or("", String::as_str);
        let any = |patterns: &[Regex], text: &str| {
            (!patterns.is_empty()).then(|| patterns.iter().any(|pattern| pattern.is_match(text)))
        };
        let label = (!self.labels.is_empty()).then(|| {
            self.labels.iter().any(|(name, value)| match labels.get(name) {
                Some(has) => value.as_ref().is_none_or(|value| value == has),
                None => false,
            })
        });
        [label, any(&self.names, name), any(&self.images, image), any(&self.projects, project)]
    }
}

/// `*` and `?` over the whole text.
pub(in crate::collect) fn wildcard(pattern: &str) -> Result<Regex, String> {
    let mut source = String::from("^(?s:");
    for c in pattern.chars() {
        match c {
            '*' => source.push_str(".*"),
            '?' => source.push('.'),
            c => source.push_str(&regex::escape(&c.to_string())),
        }
    }
    source.push_str(")$");
    Regex::new(&source).map_err(|_| format!("pattern {pattern:?} is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_yaml_plain;

    #[track_caller]
    fn check(include: &str, exclude: &str, labels: &str, expect: bool) {
        let read = |yaml: &str| parse_yaml_plain::<RawDockerFilter>("f", yaml).unwrap();
        let filter = DockerFilter::new(&read(include), &read(exclude), false).unwrap();
        let labels = labels
            .split_whitespace()
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(filter.takes("web-1", "nginx:1.27", &labels), expect);
    }

    #[test]
    fn filters() {
        check("{}", "{}", "", true);
        check("{}", "{}", "stockade.enable=false", false);
        check("{name: web-*}", "{}", "", true);
        check("{name: [db, 'web-?']}", "{}", "", true);
        check("{name: web}", "{}", "", false);
        check("{name: web-1, image: 'redis*'}", "{}", "", false);
        check("{label: a}", "{}", "a=1", true);
        check("{label: a=2}", "{}", "a=1", false);
        check("{label: [a=2, b]}", "{}", "b=1", true);
        check("{project: shop}", "{}", "com.docker.compose.project=shop", true);
        check("{}", "{image: 'nginx:*'}", "", false);
        check("{}", "{label: stockade.enable=false}", "", true);
        check("{name: web-1}", "{label: a}", "a=1", false);
    }
}
