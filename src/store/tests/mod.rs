//! The store as a whole.

mod aside;
mod busy;
mod clock;
mod corpus;
mod crash;
mod damage;
mod deletes;
mod fields;
mod fixtures;
mod keep;
mod model;
mod ops;
mod prune;
mod robust;
mod shapes;
mod share;
mod support;
mod unreadable;
