//! A number or a text in JSON. By hand, because serde's untagged enums keep whatever stands there
//! as a tree first, which takes many times its bytes.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Int(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
}

struct OfScalar;

impl Visitor<'_> for OfScalar {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a text")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(i64::try_from(value).map_or(Scalar::Unsigned(value), Scalar::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Scalar, E> {
        Ok(Scalar::Text(value))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OfScalar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts() {
        let read = |text: &str| serde_json::from_str::<Scalar>(text).ok();
        assert_eq!(read("-5"), Some(Scalar::Int(-5)));
        assert_eq!(read("7"), Some(Scalar::Int(7)));
        assert_eq!(read("18446744073709551615"), Some(Scalar::Unsigned(u64::MAX)));
        assert_eq!(read("1.5"), Some(Scalar::Float(1.5)));
        assert_eq!(read(r#""a\n""#), Some(Scalar::Text("a\n".to_owned())));
        for other in ["true", "null", "[1]", "{}"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
