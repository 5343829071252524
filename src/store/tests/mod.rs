//! The store as a whole.

mod crash;
mod damage;
mod fields;
mod fixtures;
mod model;
mod ops;
mod prune;
mod robust;
mod shapes;
mod share;
mod support;
