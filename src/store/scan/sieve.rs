//! Leaves out entries of a head that cannot match. Records hold their lines as they are, so a
//! text that every matching line holds is looked for in a whole record at once; only entries in
//! which it was found are looked at one by one.

use memchr::memmem::Finder;

use crate::store::head::{EntryRef, StreamRows};
use crate::store::read::Hints;
use crate::store::wal::Record;

/// With more places in a record, asking them for each entry would not pay.
const PLACES_MAX: usize = 512;
/// Records hold all streams: where fewer than one in so many entries are asked for, these alone
/// are looked at.
const SHARE_MIN: usize = 8;

/// What every matching line holds.
pub(super) struct Sieve {
    /// One text of each group; the first is the one whose places are noted.
    groups: Vec<Vec<Finder<'static>>>,
    /// A label and its value, which is in the line unless that spells it with a backslash, or in
    /// the labels and metadata of the entry.
    label: Option<(String, Finder<'static>)>,
}

/// Which entries of a record may match.
enum Kept {
    All,
    None,
    /// Those that hold a text which begins at one of these places.
    At(Vec<u32>),
    /// The same for the value of a label, and those that may have it in another way.
    Labelled(Vec<u32>),
}

impl Sieve {
    /// `None` when nothing is known of matching lines.
    pub fn new(hints: &Hints) -> Option<Sieve> {
        let finder = |text: &str| Finder::new(text).into_owned();
        let mut groups: Vec<&Vec<String>> =
            hints.substrings.iter().filter(|group| !group.iter().any(String::is_empty)).collect();
        // Long texts are rare.
        groups.sort_by_key(|group| {
            std::cmp::Reverse(group.iter().map(String::len).min().unwrap_or_default())
        });
        let sieve = Sieve {
            groups: groups.iter().map(|group| group.iter().map(|t| finder(t)).collect()).collect(),
            label: hints.fields.first().map(|field| (field.name.clone(), finder(&field.value))),
        };
        (!sieve.groups.is_empty() || sieve.label.is_some()).then_some(sieve)
    }

    /// Leaves the entries that may match; the head has so many.
    pub fn keep(&self, streams: &mut Vec<StreamRows>, entries: u64) {
        let asked: usize = streams.iter().map(|stream| stream.refs.len()).sum();
        let entries = usize::try_from(entries).unwrap_or(usize::MAX);
        if asked.saturating_mul(SHARE_MIN) < entries {
            return;
        }
        // All of them share the records of the head.
        let Some(first) = streams.first() else { return };
        let kept: Vec<Kept> = first.records.iter().map(|record| self.kept(record)).collect();
        for stream in &mut *streams {
            let records = stream.records.clone();
            let of_stream = |(name, _): &(String, _)| stream.meta.labels.get(name).is_some();
            let is_labelled = self.label.as_ref().is_some_and(of_stream);
            stream.refs.retain(|entry| {
                let at = entry.record as usize;
                match (kept.get(at), records.get(at)) {
                    (Some(Kept::None), _) => false,
                    (Some(Kept::At(places)), Some(record)) => is_at(places, record, *entry),
                    (Some(Kept::Labelled(places)), Some(record)) if !is_labelled => {
                        is_at(places, record, *entry) || may_be_labelled(record, *entry)
                    }
                    _ => true,
                }
            });
        }
        streams.retain(|stream| !stream.refs.is_empty());
    }

    fn kept(&self, record: &Record) -> Kept {
        let bytes = record.bytes();
        let holds = |finder: &Finder<'_>| finder.find(bytes).is_some();
        let mut places = Vec::new();
        if let Some((first, others)) = self.groups.split_first() {
            first.iter().for_each(|finder| add_places(finder, bytes, &mut places));
            if places.is_empty() || !others.iter().all(|group| group.iter().any(holds)) {
                return Kept::None;
            }
        }
        if self.groups.is_empty()
            && let Some((_, value)) = &self.label
        {
            add_places(value, bytes, &mut places);
            places.sort_unstable();
            let all = places.len() > PLACES_MAX;
            return if all { Kept::All } else { Kept::Labelled(places) };
        }
        if places.is_empty() || places.len() > PLACES_MAX {
            return Kept::All;
        }
        places.sort_unstable();
        Kept::At(places)
    }
}

fn add_places(finder: &Finder<'_>, bytes: &[u8], places: &mut Vec<u32>) {
    let mut from = 0;
    while places.len() <= PLACES_MAX
        && let Some(found) = bytes.get(from..).and_then(|rest| finder.find(rest))
    {
        places.push((from + found) as u32);
        // Not behind the text: one found across two entries must not hide one in the second.
        from += found + 1;
    }
}

/// Whether one of the places lies in the line of an entry.
fn is_at(places: &[u32], record: &Record, entry: EntryRef) -> bool {
    let next = places.partition_point(|place| *place < entry.at);
    let Some(place) = places.get(next) else { return false };
    // The length of the line lies in front of it.
    let line_bytes = record.entry(entry.at).line.len();
    (*place as usize) < entry.at as usize + line_bytes + MAX_LENGTH_BYTES
}

/// Whether an entry has metadata, or a line that can spell any text.
fn may_be_labelled(record: &Record, entry: EntryRef) -> bool {
    let entry = record.entry(entry.at);
    entry.metadata_len > 0 || memchr::memchr(b'\\', entry.line.as_bytes()).is_some()
}

/// A length as it is written down.
const MAX_LENGTH_BYTES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Batch, Entry, Labels, TimeRange, Timestamp};
    use crate::store::head::{Elsewhere, Head};
    use crate::store::read::FieldHint;
    use crate::store::wal::EntryView;

    struct Nowhere;

    impl Elsewhere for Nowhere {
        fn newest(&mut self, _: crate::model::StreamId) -> Option<Timestamp> {
            None
        }
        fn holds(&mut self, _: crate::model::StreamId, _: Timestamp, _: &EntryView<'_>) -> bool {
            false
        }
    }

    fn check(hints: &Hints, expect: &[&str]) {
        let head = Head::default();
        let batches: [&[&str]; 3] = [
            &["one two", "two three", r#"{"id":"a1"}"#],
            &["three one", "nothing", ""],
            &[r#"{"id":"\u00611"}"#, "two"],
        ];
        let mut ts = 0;
        for lines in batches {
            let mut batch = Batch::new("t");
            for line in lines {
                ts += 1;
                let labels = Labels::from_slice(&[("s", if ts % 2 == 0 { "x" } else { "y" })]);
                batch.push(&labels, Entry::new(Timestamp(ts), *line));
            }
            head.add(&Record::encode(&batch), &mut Nowhere).unwrap();
        }
        let mut streams = head.rows(TimeRange::ALL, &|_, _| true);
        Sieve::new(hints).unwrap().keep(&mut streams, head.totals().entries);
        let mut found: Vec<(Timestamp, String)> = Vec::new();
        for stream in &streams {
            let line = |entry: &EntryRef| (entry.ts, stream.entry(*entry).line.to_owned());
            found.extend(stream.refs.iter().map(line));
        }
        found.sort();
        let lines: Vec<&str> = found.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(lines, expect, "{hints:?}");
    }

    #[test]
    fn entries_that_may_match_stay() {
        let groups = |groups: &[&[&str]]| Hints {
            substrings: groups
                .iter()
                .map(|group| group.iter().map(|text| (*text).to_owned()).collect())
                .collect(),
            ..Hints::default()
        };
        check(&groups(&[&["three"]]), &["two three", "three one"]);
        check(&groups(&[&["nowhere"]]), &[]);
        check(&groups(&[&["two"], &["one"]]), &["one two", "two three"]);
        check(&groups(&[&["nothing", "two three"]]), &["two three", "nothing"]);
        let field = FieldHint { name: "id".to_owned(), value: "a1".to_owned() };
        let of_stream = FieldHint { name: "s".to_owned(), value: "x".to_owned() };
        check(
            &Hints { fields: vec![of_stream], ..Hints::default() },
            &[
                "one two",
                "two three",
                r#"{"id":"a1"}"#,
                "three one",
                "nothing",
                "",
                r#"{"id":"\u00611"}"#,
                "two",
            ],
        );
        check(
            &Hints { fields: vec![field], ..Hints::default() },
            &[r#"{"id":"a1"}"#, r#"{"id":"\u00611"}"#],
        );
    }
}
