//! Finders in code, for what a pattern cannot say: checksums, tables, nesting.

pub(super) mod card;
pub(super) mod cookie;
pub(super) mod email;
pub(super) mod iban;
pub(super) mod ip;
pub(super) mod key_value;
pub(super) mod pem;
pub(super) mod phone;
pub(super) mod ssn;
pub(super) mod url;
pub(super) mod value;
