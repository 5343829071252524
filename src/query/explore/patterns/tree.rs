//! Lines of one kind put together: Drain (He et al., 2017) with the bounds that Loki gives it.
//! A line goes down by its number of tokens, then token by token; where it ends it joins the
//! lines that it is most like.

use hashbrown::HashMap;

use super::lines::{Cell, Lines};
use super::tokens::{HOLE, Tokens, has_number};
use crate::limits;
use crate::model::Timestamp;

/// Tokens that lead down, and the ways from one place.
const DEPTH_MAX: usize = 27;
const CHILDREN_MAX: usize = 15;
/// Tokens that must be the same for a line to join others.
pub const SAME_MIN: f64 = 0.3;
/// Kinds that are kept apart; of more the one seen least lately goes.
const KINDS_MAX: usize = 300;

#[derive(Debug, Clone, Default)]
struct Node {
    children: Vec<(Box<[u8]>, usize)>,
    /// The way of tokens that have numbers, or have no way of their own.
    any: Option<usize>,
    kinds: Vec<usize>,
}

impl Node {
    fn child(&self, token: &[u8]) -> Option<usize> {
        let own = self.children.iter().find(|(known, _)| **known == *token);
        own.map(|(_, child)| *child)
    }

    fn ways(&self) -> usize {
        self.children.len() + usize::from(self.any.is_some())
    }
}

#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    /// By the number of tokens.
    roots: HashMap<usize, usize>,
    /// In the order in which they were found; `None` for one that had to go.
    kinds: Vec<Option<Lines>>,
    live: usize,
    /// What the kinds take in memory.
    kinds_bytes: usize,
}

/// A node with its place in the list of the one above.
const NODE_BYTES: usize = std::mem::size_of::<Node>() + 48;

/// Whether a line that agrees in so many of its tokens is of the same kind.
pub fn is_same_kind(same: usize, tokens: usize) -> bool {
    same as f64 / tokens as f64 >= SAME_MIN
}

impl Tree {
    /// What it takes in memory, about.
    pub fn bytes(&self) -> usize {
        self.kinds_bytes + self.nodes.len() * NODE_BYTES
    }

    pub fn into_kinds(self) -> impl Iterator<Item = Lines> {
        self.kinds.into_iter().flatten()
    }

    /// Where lines with these tokens belong, if there are others of their kind.
    fn find(&mut self, tokens: &Tokens) -> Option<&mut Lines> {
        let mut node = self.nodes.get(*self.roots.get(&tokens.len())?)?;
        for token in tokens.iter().take(tokens.len().saturating_sub(1).min(DEPTH_MAX)) {
            node = self.nodes.get(node.child(token).or(node.any)?)?;
        }
        let mut best: Option<((usize, usize), usize)> = None;
        for &place in &node.kinds {
            let kind = self.kinds.get(place).and_then(Option::as_ref);
            let Some(likeness) = kind.and_then(|kind| kind.likeness(tokens)) else { continue };
            if best.is_none_or(|(known, _)| likeness > known) {
                best = Some((likeness, place));
            }
        }
        let ((same, _), place) = best?;
        is_same_kind(same, tokens.len()).then_some(())?;
        self.kinds.get_mut(place)?.as_mut()
    }

    /// Takes in lines that were found to be of one kind.
    pub fn add(&mut self, lines: Lines) {
        let Some(kind) = self.find(&lines.tokens) else { return self.insert(lines) };
        let before = kind.bytes();
        kind.differ |= lines.differ | kind.tokens.difference(&lines.tokens);
        kind.first = kind.first.min(lines.first);
        kind.last = kind.last.max(lines.last);
        kind.counts.append(lines.counts);
        let after = kind.bytes();
        self.kinds_bytes = self.kinds_bytes + after - before;
    }

    /// Takes in one line.
    pub fn add_line(&mut self, tokens: &Tokens, ts: Timestamp, cell: Cell) {
        let Some(kind) = self.find(tokens) else {
            let mut lines = Lines::new(tokens, ts);
            lines.counts.add(cell);
            return self.insert(lines);
        };
        let before = kind.bytes();
        kind.differ |= kind.tokens.difference(tokens);
        kind.first = kind.first.min(ts);
        kind.last = kind.last.max(ts);
        kind.counts.add(cell);
        let after = kind.bytes();
        self.kinds_bytes = self.kinds_bytes + after - before;
    }

    fn insert(&mut self, lines: Lines) {
        if self.live >= KINDS_MAX {
            self.drop_oldest();
        }
        if self.nodes.len() > limits::PATTERN_NODES_MAX || self.kinds.len() > KINDS_MAX * 8 {
            self.rebuild();
        }
        self.push(lines);
    }

    fn push(&mut self, lines: Lines) {
        self.place(&lines.tokens);
        self.kinds_bytes += lines.bytes();
        self.kinds.push(Some(lines));
        self.live += 1;
    }

    fn drop_oldest(&mut self) {
        let live = self.kinds.iter_mut().filter(|kind| kind.is_some());
        let oldest = live.min_by_key(|kind| kind.as_ref().map(|kind| kind.last));
        if let Some(oldest) = oldest.and_then(Option::take) {
            self.kinds_bytes -= oldest.bytes();
            self.live -= 1;
        }
    }

    /// Forgets the ways to kinds that are gone.
    fn rebuild(&mut self) {
        let kinds: Vec<Lines> = std::mem::take(self).into_kinds().collect();
        kinds.into_iter().for_each(|lines| self.push(lines));
    }

    fn new_node(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    /// Makes the way to the next kind.
    fn place(&mut self, tokens: &Tokens) {
        let mut at = match self.roots.get(&tokens.len()) {
            Some(root) => *root,
            None => {
                let root = self.new_node();
                self.roots.insert(tokens.len(), root);
                root
            }
        };
        for token in tokens.iter().take(tokens.len().saturating_sub(1).min(DEPTH_MAX)) {
            at = self.way(at, token);
        }
        let kinds = &self.kinds;
        let next = kinds.len();
        if let Some(node) = self.nodes.get_mut(at) {
            node.kinds.retain(|place| kinds.get(*place).is_some_and(Option::is_some));
            node.kinds.push(next);
        }
    }

    fn way(&mut self, at: usize, token: &[u8]) -> usize {
        let Some(node) = self.nodes.get(at) else { return at };
        let is_hole = token == HOLE.as_bytes();
        if let Some(child) = node.child(token).or(node.any.filter(|_| is_hole)) {
            return child;
        }
        let own = !is_hole && !has_number(token);
        // The last way but one is kept for those that have none of their own.
        let has_room = match node.any {
            Some(_) => node.ways() < CHILDREN_MAX,
            None => node.ways() + 1 < CHILDREN_MAX,
        };
        match (own && has_room, node.any) {
            (false, Some(any)) => any,
            (is_own, _) => {
                let new = self.new_node();
                if let Some(node) = self.nodes.get_mut(at) {
                    if is_own {
                        node.children.push((token.into(), new));
                    } else {
                        node.any = Some(new);
                    }
                }
                new
            }
        }
    }
}
