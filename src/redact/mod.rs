//! The only gate to disk: nothing is stored, tailed or sent that has not passed here.

mod redacted;

pub use redacted::Redacted;
