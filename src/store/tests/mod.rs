//! The store as a whole.

mod model;
mod support;
