//! The store as a whole.

mod crash;
mod damage;
mod model;
mod prune;
mod support;
