//! Which blocks of a part can hold what every matching line must hold. A block may stay for
//! nothing, but none that holds a match is left out.

use std::cmp::Reverse;

use super::cache::PartCache;
use super::dictionary::BlockSet;
use super::file::{Opened, Part};
use super::index::TermField;
use super::table::BlockRow;
use crate::store::error::StoreError;
use crate::store::read::Hints;
use crate::store::tokens::{
    Fold, Needle, Open, Piece, RUN_BYTES_MIN, classes_of, filter_hash, is_filtered,
};

/// One of the needles must be in the line.
#[derive(Debug)]
struct Clause {
    needles: Vec<Needle>,
    /// Unless the row gets the label of this name from elsewhere.
    label: Option<String>,
}

/// Hints cut into tokens, once a scan: all of the clauses must hold.
#[derive(Debug, Default)]
pub struct Clauses(Vec<Clause>);

impl Clauses {
    pub fn new(hints: &Hints) -> Clauses {
        let mut all: Vec<Clause> = Vec::new();
        for (clauses, fold) in
            [(&hints.substrings, Fold::Exact), (&hints.substrings_ci, Fold::Case)]
        {
            all.extend(clauses.iter().map(|clause| Clause {
                needles: clause.iter().map(|text| Needle::new(text, fold)).collect(),
                label: None,
            }));
        }
        all.extend(hints.fields.iter().map(|field| Clause {
            needles: vec![Needle::new(&field.value, Fold::Exact)],
            label: Some(field.name.clone()),
        }));
        // A clause with a needle that has no tokens says nothing.
        all.retain(|clause| clause.needles.iter().all(|needle| !needle.pieces.is_empty()));
        // Long pieces are rare, and what is ruled out first need not be looked at again.
        for needle in all.iter_mut().flat_map(|clause| &mut clause.needles) {
            needle.pieces.sort_by_key(|piece| Reverse(piece.text.len()));
        }
        all.sort_by_key(|clause| {
            let longest = |needle: &Needle| needle.pieces.first().map(|piece| piece.text.len());
            (clause.label.is_some(), Reverse(clause.needles.iter().filter_map(longest).min()))
        });
        Clauses(all)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes blocks from `alive` that cannot match; `selected` are the streams of the part
    /// whose rows are asked for.
    pub fn prune(
        &self,
        part: &Part,
        opened: &Opened,
        cache: &PartCache,
        selected: &[bool],
        alive: &mut BlockSet,
    ) -> Result<(), StoreError> {
        let mut search = Search { part, opened, cache, window: Vec::new() };
        for clause in &self.0 {
            if alive.is_empty() {
                break;
            }
            let mut kept = BlockSet::none(opened.table.blocks.len());
            if let Some(label) = &clause.label {
                search.keep_labelled(label, selected, alive, &mut kept);
            }
            for needle in &clause.needles {
                if kept.holds_all(alive) {
                    break;
                }
                let mut holds = alive.clone();
                holds.remove_all(&kept);
                for piece in &needle.pieces {
                    search.keep_holders(piece, needle.fold, &mut holds)?;
                    if holds.is_empty() {
                        break;
                    }
                }
                kept.add(&holds);
            }
            *alive = kept;
        }
        Ok(())
    }
}

struct Search<'a> {
    part: &'a Part,
    opened: &'a Opened,
    cache: &'a PartCache,
    window: Vec<u8>,
}

impl Search<'_> {
    /// Blocks where a row may have a label from its stream or its metadata, or from a value that
    /// is not spelled as it is meant.
    fn keep_labelled(&self, label: &str, selected: &[bool], alive: &BlockSet, kept: &mut BlockSet) {
        let table = &self.opened.table;
        let of_streams: Vec<bool> = table
            .streams
            .iter()
            .zip(selected)
            .map(|(stream, selected)| *selected && stream.meta.labels.get(label).is_some())
            .collect();
        let any_stream = of_streams.contains(&true);
        let has_label = |block: &BlockRow| {
            let Some(facts) = &block.facts else { return true };
            let in_stream =
                || block.runs.iter().any(|run| of_streams.get(run.stream as usize) == Some(&true));
            facts.backslash || facts.may_name(label) || (any_stream && in_stream())
        };
        for (at, block) in table.blocks.iter().enumerate() {
            if alive.contains(at) && has_label(block) {
                kept.insert(at);
            }
        }
    }

    /// Which of `among` are in the index with a term that a piece fits into.
    fn indexed(
        &self,
        field: TermField,
        text: &[u8],
        open: Open,
        fold: Fold,
        among: &BlockSet,
    ) -> Result<BlockSet, StoreError> {
        let terms = self.cache.terms(self.part, self.opened, field)?;
        let blocks = self.opened.table.blocks.len();
        let mut found = BlockSet::none(blocks);
        let mut opened_index = None;
        let all = terms.find(text, open, fold, |term| {
            let index = match &mut opened_index {
                Some(index) => index,
                none => none.insert(self.cache.index(self.part, self.opened)?),
            };
            index.add_blocks(field, term, &mut found)?;
            Ok::<bool, StoreError>(!found.holds_all(among))
        })?;
        // So many terms fit that they are in most blocks together.
        Ok(if all || found.holds_all(among) { found } else { BlockSet::all(blocks) })
    }

    fn keep_holders(
        &mut self,
        piece: &Piece,
        fold: Fold,
        holds: &mut BlockSet,
    ) -> Result<(), StoreError> {
        let indexed = self.indexed(TermField::Tokens, &piece.text, piece.open, fold, holds)?;
        let mut with_run: Option<BlockSet> = None;
        let hash = is_filtered(classes_of(&piece.text), piece.text.len())
            .then(|| filter_hash(&piece.text));
        for (at, block) in self.opened.table.blocks.iter().enumerate() {
            if !holds.contains(at) || indexed.contains(at) {
                continue;
            }
            let sealed = &block.sealed;
            // Another case of a letter above ASCII may be in a filtered token.
            if fold == Fold::Case && sealed.wide {
                continue;
            }
            if piece.open != Open::Neither {
                if sealed.may_hold_in_pure(&piece.text) {
                    continue;
                }
                if sealed.may_hold_in_mixed(&piece.text) {
                    let Some(run) = &piece.run else { continue };
                    debug_assert!(run.len() >= RUN_BYTES_MIN);
                    if sealed.long_run {
                        continue;
                    }
                    if with_run.is_none() {
                        let blocks =
                            self.indexed(TermField::Runs, run, Open::Both, Fold::Exact, holds)?;
                        with_run = Some(blocks);
                    }
                    if with_run.as_ref().is_some_and(|blocks| blocks.contains(at)) {
                        continue;
                    }
                }
            }
            if let Some(hash) = hash
                && sealed.may_be(&piece.text)
                && self.opened.may_hold(block, hash, &mut self.window)?
            {
                continue;
            }
            holds.remove(at);
        }
        Ok(())
    }
}
