//! Lines as shapes: what many lines have in common is kept once, the values that differ are
//! kept as columns, each of which can be read alone.
//!
//! A directory lists shapes, columns and sections; sections of compressed columns follow it.
//! A large column has a section of its own, small ones share some. Checksums are looked at when
//! a section is read.

mod column;
mod data;
mod directory;
mod distinct;
mod find;
mod ints;
mod lines;
mod scan;
mod seek;
mod template;
mod write;

pub(super) use directory::column_sections;
pub(super) use lines::{Built, ShapedLines};
pub(super) use write::ShapeWriter;

#[cfg(test)]
mod tests;
