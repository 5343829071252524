//! `| regexp "(?P<user>\\S+) from"`: named groups become labels.

use hashbrown::HashSet;
use regex::{CaptureLocations, Regex};

use crate::text::re2;

use super::compile::Pinned;
use super::names::NameId;
use super::parser::{Guards, Step};
use super::row::{Piece, Row, Source};

/// A compiled regular expression with at least one named group.
#[derive(Debug)]
pub struct RegexpParser {
    regex: Regex,
    groups: Vec<(usize, NameId)>,
    locations: parking_lot::Mutex<CaptureLocations>,
    pub(super) guards: Guards,
}

impl RegexpParser {
    pub(super) fn compile(pattern: &str, pinned: &mut Pinned) -> Result<Self, String> {
        let regex = re2::compile(pattern)?;
        let mut groups: Vec<(usize, NameId)> = Vec::new();
        let mut seen = HashSet::new();
        for (at, name) in regex.capture_names().enumerate() {
            let Some(name) = name else { continue };
            if !seen.insert(name) {
                return Err(format!("duplicate extracted label name '{name}'"));
            }
            groups.push((at, pinned.id(name)));
        }
        drop(seen);
        if groups.is_empty() {
            return Err("at least one named capture must be supplied".to_owned());
        }
        let locations = parking_lot::Mutex::new(regex.capture_locations());
        Ok(RegexpParser { regex, groups, locations, guards: Guards::default() })
    }

    pub(super) fn run(&self, row: &mut Row<'_>) -> Step {
        row.with_line(|row, line| self.extract(row, line))
    }

    fn extract(&self, row: &mut Row<'_>, line: &str) -> Step {
        // Nobody else holds the lock unless one compiled pipeline runs on several threads.
        let mut own;
        let mut shared;
        let locations = match self.locations.try_lock() {
            Some(locked) => {
                shared = locked;
                &mut *shared
            }
            None => {
                own = self.regex.capture_locations();
                &mut own
            }
        };
        if self.regex.captures_read(locations, line).is_none() {
            return Step::Keep;
        }
        for &(group, name) in &self.groups {
            let name = row.parsed_name(name);
            if !row.wants(name) {
                continue;
            }
            let piece = match locations.get(group) {
                Some((start, end)) => row.line.within(start, end),
                None => Piece { source: Source::Arena, start: 0, end: 0 },
            };
            if !row.set_parsed(name, piece, &self.guards) {
                return Step::Drop;
            }
        }
        Step::Keep
    }
}
