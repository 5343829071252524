//! Replaces digit runs that pass the Luhn check. Redaction does better; this is for
//! configurations that are brought along.

use super::super::compile::Compile;
use super::super::item::Item;
use super::super::run::Stage;
use crate::config::pipeline::Node;
use crate::model::Text;

#[derive(Debug)]
struct Luhn {
    source: Option<String>,
    replacement: String,
    length_min: usize,
    delimiters: String,
}

pub(super) fn compile(cx: &mut Compile<'_>, body: &Node) -> Option<Box<dyn Stage>> {
    let keys = cx.keys("luhn", body, &["source", "replacement", "min_length", "delimiters"])?;
    let replacement = keys.text(cx, "replacement").filter(|text| !text.is_empty());
    Some(Box::new(Luhn {
        source: keys.source(cx),
        replacement: replacement.unwrap_or_else(|| "**REDACTED**".to_owned()),
        length_min: keys.count(cx, "min_length", 13).max(1),
        delimiters: keys.text(cx, "delimiters").unwrap_or_default(),
    }))
}

/// Any number of digits, so that none is too long to be checked.
fn is_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = u32::from(digit.wrapping_sub(b'0'));
            match at % 2 {
                0 => digit,
                _ if digit > 4 => digit * 2 - 9,
                _ => digit * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

impl Luhn {
    /// `None` when nothing is replaced.
    fn replaced(&self, text: &str) -> Option<String> {
        let mut result = String::new();
        let mut done = 0;
        let mut digits: Vec<u8> = Vec::new();
        let mut span = 0..0;
        // A last round without a character ends a run at the end of the text.
        for (at, c) in text.char_indices().map(|(at, c)| (at, Some(c))).chain([(text.len(), None)])
        {
            match c {
                Some(c) if c.is_ascii_digit() => {
                    if digits.is_empty() {
                        span.start = at;
                    }
                    digits.push(c as u8);
                    span.end = at + 1;
                }
                Some(c) if !digits.is_empty() && self.delimiters.contains(c) => {}
                _ => {
                    if digits.len() >= self.length_min && is_luhn(&digits) {
                        result.push_str(text.get(done..span.start).unwrap_or_default());
                        result.push_str(&self.replacement);
                        done = span.end;
                    }
                    digits.clear();
                }
            }
        }
        result.push_str(text.get(done..).unwrap_or_default());
        (done > 0).then_some(result)
    }
}

impl Stage for Luhn {
    fn run(&self, item: &mut Item) {
        let Some(text) = item.input(self.source.as_deref()) else { return };
        let Some(replaced) = self.replaced(&text) else { return };
        match &self.source {
            Some(name) => item.extracted.set(name, Text::from(replaced)),
            None => item.set_line(Text::from(replaced)),
        }
    }
}
