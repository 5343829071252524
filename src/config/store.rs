//! `store:` in the configuration: where lines are kept, and for how long.

use serde::Deserialize;

use super::Spanned;

/// Durations as `90d` or `2160h`, sizes as `50GB` or `1GiB`; left out means the default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawStore {
    /// Folder that holds everything; one server a folder.
    pub data_dir: Option<Spanned<String>>,
    pub retention: RawRetention,
    /// Bytes of lines kept in memory before they are sealed.
    pub head_bytes_max: Option<Spanned<String>>,
    /// Age at which lines in memory are sealed however few they are.
    pub seal_after: Option<Spanned<String>>,
    /// Memory for tables and indexes that queries have opened.
    pub cache_bytes_max: Option<Spanned<String>>,
    /// How often parts are merged and old ones removed.
    pub maintenance_interval: Option<Spanned<String>>,
}

/// The first limit that is reached counts; the oldest day goes first.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRetention {
    pub age: Option<Spanned<String>>,
    pub bytes_max: Option<Spanned<String>>,
    /// Free space on the disk below which old days are removed.
    pub disk_free_min: Option<Spanned<String>>,
    /// Free space below which nothing is taken in.
    pub disk_free_stop: Option<Spanned<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_yaml;

    #[test]
    fn reads_settings_and_names_mistakes() {
        let raw: RawStore =
            parse_yaml("f", "data_dir: /data\nretention: {age: 30d, bytes_max: 50GB}\n").unwrap();
        assert_eq!(raw.data_dir.unwrap().value, "/data");
        assert_eq!(raw.retention.age.unwrap().value, "30d");
        assert!(raw.seal_after.is_none());
        let error = parse_yaml::<RawStore>("f", "retention: {ages: 30d}\n").unwrap_err();
        assert!(error.to_string().contains("did you mean \"age\"?"), "{error}");
    }
}
