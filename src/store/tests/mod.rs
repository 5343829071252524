//! The store as a whole.

mod crash;
mod damage;
mod model;
mod ops;
mod prune;
mod shapes;
mod support;
