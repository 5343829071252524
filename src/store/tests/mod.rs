//! The store as a whole.

mod corpus;
mod crash;
mod damage;
mod deletes;
mod fixtures;
mod keep;
mod model;
mod ops;
mod prune;
mod support;
