//! Where the rows of each stream lie in a part, for who asks for one stream after the other.

use super::table::Table;
use crate::model::StreamId;

/// Rows of one stream that follow each other in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunAt {
    pub block: u32,
    /// Its place among the runs of the block.
    pub run: u32,
    /// The first row, counted in the block.
    pub row: u32,
}

/// A few bytes for each stream and run.
#[derive(Debug, Default)]
pub struct RunIndex {
    /// Streams, sorted by their ids.
    by_id: Vec<u32>,
    /// Where the runs of each stream end in `runs`.
    ends: Vec<u32>,
    runs: Vec<RunAt>,
}

impl RunIndex {
    pub fn of(table: &Table) -> RunIndex {
        let id = |stream: &u32| table.streams.get(*stream as usize).map(|row| row.meta.id);
        let mut by_id: Vec<u32> = (0..table.streams.len() as u32).collect();
        by_id.sort_unstable_by_key(id);
        let mut all: Vec<(u32, RunAt)> = Vec::new();
        for (block_at, block) in table.blocks.iter().enumerate() {
            let mut row = 0;
            for (run_at, run) in block.runs.iter().enumerate() {
                all.push((run.stream, RunAt { block: block_at as u32, run: run_at as u32, row }));
                row += run.rows;
            }
        }
        // Stable: the runs of a stream stay in the order of blocks.
        all.sort_by_key(|(stream, _)| *stream);
        let ends = (0..table.streams.len() as u32)
            .map(|stream| all.partition_point(|(other, _)| *other <= stream) as u32)
            .collect();
        RunIndex { by_id, ends, runs: all.into_iter().map(|(_, run)| run).collect() }
    }

    /// The number of a stream in the table, and its runs.
    pub fn get(&self, table: &Table, id: StreamId) -> Option<(u32, &[RunAt])> {
        let found = self.by_id.binary_search_by_key(&Some(id), |stream| {
            table.streams.get(*stream as usize).map(|row| row.meta.id)
        });
        let stream = *self.by_id.get(found.ok()?)?;
        let end = *self.ends.get(stream as usize)? as usize;
        let start = match stream.checked_sub(1) {
            Some(before) => *self.ends.get(before as usize)? as usize,
            None => 0,
        };
        Some((stream, self.runs.get(start..end)?))
    }
}
