//! The store as a whole.

mod crash;
mod damage;
mod fixtures;
mod model;
mod ops;
mod prune;
mod support;
