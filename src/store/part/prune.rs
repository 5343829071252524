//! Which blocks of a part can hold what every matching line must hold. A block may stay for
//! nothing, but none that holds a match is left out.

use super::dictionary::BlockSet;
use super::file::Opened;
use super::index::{PartIndex, fault};
use crate::store::error::StoreError;
use crate::store::filter;
use crate::store::read::Hints;
use crate::store::tokens::{
    Fold, Needle, Open, Piece, RUN_BYTES_MIN, classes_of, filter_hash, is_filtered,
};

/// Hints cut into tokens, once a scan: all of the clauses must hold, each by one of its needles.
#[derive(Debug, Default)]
pub struct Clauses(Vec<Vec<Needle>>);

impl Clauses {
    pub fn new(hints: &Hints) -> Clauses {
        let cut = |clauses: &[Vec<String>], fold: Fold| -> Vec<Vec<Needle>> {
            clauses
                .iter()
                .map(|clause| clause.iter().map(|text| Needle::new(text, fold)).collect())
                .collect()
        };
        let mut all = cut(&hints.substrings, Fold::Exact);
        all.extend(cut(&hints.substrings_ci, Fold::Case));
        // A clause with a needle that has no tokens says nothing.
        all.retain(|clause: &Vec<Needle>| clause.iter().all(|needle| !needle.pieces.is_empty()));
        Clauses(all)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes blocks from `alive` that cannot match.
    pub fn prune(
        &self,
        part: &Opened,
        index: &PartIndex,
        alive: &mut BlockSet,
    ) -> Result<(), StoreError> {
        for clause in &self.0 {
            let mut any = BlockSet::none(part.table.blocks.len());
            for needle in clause {
                let mut holds = alive.clone();
                for piece in &needle.pieces {
                    keep_holders(piece, needle.fold, part, index, &mut holds)?;
                    if holds.is_empty() {
                        break;
                    }
                }
                any.add(&holds);
            }
            *alive = any;
            if alive.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

fn keep_holders(
    piece: &Piece,
    fold: Fold,
    part: &Opened,
    index: &PartIndex,
    holds: &mut BlockSet,
) -> Result<(), StoreError> {
    let indexed =
        index.tokens.blocks_with(&piece.text, piece.open, fold).map_err(|error| fault(&error))?;
    let mut with_run: Option<BlockSet> = None;
    let hash =
        is_filtered(classes_of(&piece.text), piece.text.len()).then(|| filter_hash(&piece.text));
    for (at, block) in part.table.blocks.iter().enumerate() {
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
                    let blocks = index.runs.blocks_with(run, Open::Both, Fold::Exact);
                    with_run = Some(blocks.map_err(|error| fault(&error))?);
                }
                if with_run.as_ref().is_some_and(|blocks| blocks.contains(at)) {
                    continue;
                }
            }
        }
        if let Some(hash) = hash {
            let filtered = part.filter(block)?;
            let perhaps = match filtered.as_deref() {
                None => true,
                Some([]) => false,
                Some(bytes) => filter::Stored::read(bytes)
                    .ok_or_else(|| part.damaged("filter"))?
                    .may_hold(hash),
            };
            if perhaps {
                continue;
            }
        }
        holds.remove(at);
    }
    Ok(())
}
