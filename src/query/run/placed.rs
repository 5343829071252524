//! Lines by their place in a result, so that a heap has the worst of them on top.

use std::cmp::Ordering;

/// The smallest comes first: time, arrival of the block, rows handed over before, row. All but
/// the third are negated for backward queries, so that of equal times the one that came last is
/// first.
pub type Place = (i128, i128, i64, i64);

/// Compares by place alone.
#[derive(Debug)]
pub struct Placed<T> {
    pub place: Place,
    pub row: T,
}

impl<T> PartialEq for Placed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl<T> Eq for Placed<T> {}

impl<T> PartialOrd for Placed<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Placed<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}
