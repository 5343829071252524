//! Tests of the whole grammar, by kind.

mod accept;
mod print;
mod random;
mod refuse;
mod tree;
