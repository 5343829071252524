//! Parts.

#[derive(Debug)]
pub struct Part;
