//! The texts that every match of a pattern must hold, so that blocks of lines without them need
//! not be read.

use std::borrow::Cow;

use regex_syntax::hir::{Class, Hir, HirKind};

use super::translate;

/// Or-groups larger than this say too little to be worth a look-up.
const GROUP_LITERALS_MAX: usize = 64;
/// Exact texts kept while a concatenation is walked.
const EXACT_MAX: usize = 32;
const LITERAL_BYTES_MAX: usize = 256;
const REPEAT_UNROLL_MAX: u32 = 16;

/// A text that a line must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Literal {
    /// Folded (see `fold`) when `ignore_case`.
    pub text: String,
    pub ignore_case: bool,
}

impl Literal {
    pub fn is_in(&self, text: &str) -> bool {
        if self.ignore_case {
            memchr::memmem::find(fold(text).as_bytes(), self.text.as_bytes()).is_some()
        } else {
            memchr::memmem::find(text.as_bytes(), self.text.as_bytes()).is_some()
        }
    }
}

/// An and of ors: a matching line holds at least one literal of every group. No group at all
/// says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Literals {
    pub groups: Vec<Vec<Literal>>,
}

impl Literals {
    /// Whether a match is still possible in this text.
    pub fn may_match(&self, text: &str) -> bool {
        self.groups.iter().all(|group| group.iter().any(|literal| literal.is_in(text)))
    }
}

/// The form in which case-insensitive literals compare: ASCII in lower case, and the two letters
/// beyond ASCII that Unicode folds to it (the long s and the Kelvin sign) likewise. Letters
/// beyond ASCII stay as they are; `required_literals` never relies on their case.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        }
    } else {
        Cow::Owned(text.chars().map(fold_char).collect())
    }
}

fn fold_char(c: char) -> char {
    match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    }
}

/// What each match of an RE2 pattern must hold. May give less than there is, never more; a
/// pattern that does not parse gives nothing.
pub fn required_literals(pattern: &str) -> Literals {
    let Some(hir) = translate::to_rust(pattern).ok().and_then(|p| regex_syntax::parse(&p).ok())
    else {
        return Literals::default();
    };
    let mut facts = facts_of(&hir);
    facts.settle();
    let mut groups = facts.groups;
    groups.retain(|group| !is_noise(group));
    groups.sort_by_key(|group| std::cmp::Reverse(shortest(group)));
    groups.dedup();
    Literals { groups }
}

fn shortest(group: &[Literal]) -> usize {
    group.iter().map(|literal| literal.text.len()).min().unwrap_or(0)
}

/// Many single characters: `[0-9]` would be ten look-ups that nearly every line passes.
fn is_noise(group: &[Literal]) -> bool {
    group.len() > 1 && shortest(group) <= 1
}

/// What is known about a part of the pattern.
struct Facts {
    /// The complete list of what the part can end in, or `None` when unknown.
    exact: Option<Vec<Literal>>,
    /// Whether `exact` lists all that the part can be from its start to its end, so that it may
    /// be joined with what stands before it.
    whole: bool,
    groups: Vec<Vec<Literal>>,
}

impl Facts {
    fn unknown() -> Facts {
        Facts { exact: None, whole: false, groups: Vec::new() }
    }

    fn exactly(texts: Vec<Literal>) -> Facts {
        Facts { exact: Some(texts), whole: true, groups: Vec::new() }
    }

    fn empty() -> Facts {
        Facts::exactly(vec![Literal { text: String::new(), ignore_case: false }])
    }

    /// Turns the exact list into a requirement.
    fn settle(&mut self) {
        self.whole = false;
        if let Some(texts) = self.exact.take()
            && let Some(group) = as_group(texts)
        {
            self.groups.push(group);
        }
    }

    /// `self` followed by `next`.
    fn then(&mut self, mut next: Facts) {
        self.groups.append(&mut next.groups);
        let joined = match (&self.exact, &next.exact) {
            (Some(left), Some(right)) if next.whole => cross(left, right),
            _ => None,
        };
        if joined.is_some() {
            self.exact = joined;
        } else {
            self.settle();
            self.exact = next.exact;
        }
    }
}

/// An or-group, or `None` when it says nothing. Literals that hold another are left out.
fn as_group(mut texts: Vec<Literal>) -> Option<Vec<Literal>> {
    texts.sort_by_key(|literal| literal.text.len());
    let mut group: Vec<Literal> = Vec::new();
    for literal in texts {
        if !group.iter().any(|shorter| implies(&literal, shorter)) {
            group.push(literal);
        }
    }
    let useful = group.first().is_some_and(|literal| !literal.text.is_empty());
    (useful && group.len() <= GROUP_LITERALS_MAX).then_some(group)
}

/// Whether every text that holds `longer` holds `shorter`.
fn implies(longer: &Literal, shorter: &Literal) -> bool {
    (shorter.ignore_case || !longer.ignore_case) && shorter.is_in(&longer.text)
}

fn cross(left: &[Literal], right: &[Literal]) -> Option<Vec<Literal>> {
    if left.len() * right.len() > EXACT_MAX {
        return None;
    }
    let mut joined = Vec::with_capacity(left.len() * right.len());
    for a in left {
        for b in right {
            if a.text.len() + b.text.len() > LITERAL_BYTES_MAX {
                return None;
            }
            // An empty text has no case of its own.
            let ignore_case = a.ignore_case || b.ignore_case;
            let text = format!("{}{}", a.text, b.text);
            let text = if ignore_case { fold(&text).into_owned() } else { text };
            joined.push(Literal { text, ignore_case });
        }
    }
    joined.sort();
    joined.dedup();
    Some(joined)
}

fn facts_of(hir: &Hir) -> Facts {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Facts::empty(),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) if text.len() <= LITERAL_BYTES_MAX => {
                Facts::exactly(vec![Literal { text: text.to_owned(), ignore_case: false }])
            }
            _ => Facts::unknown(),
        },
        HirKind::Class(class) => class_facts(class),
        HirKind::Capture(capture) => facts_of(&capture.sub),
        HirKind::Repetition(repetition) => {
            let inner = facts_of(&repetition.sub);
            match (repetition.min, repetition.max) {
                (0, Some(1)) => optional(inner),
                (0, _) => Facts::unknown(),
                (min, max) => at_least(inner, min, max == Some(min)),
            }
        }
        HirKind::Concat(parts) => {
            let mut facts = Facts::empty();
            for part in parts {
                facts.then(facts_of(part));
            }
            facts
        }
        HirKind::Alternation(branches) => alternation(branches),
    }
}

fn class_facts(class: &Class) -> Facts {
    let Class::Unicode(class) = class else { return Facts::unknown() };
    let mut chars = Vec::new();
    for range in class.ranges() {
        for c in range.start()..=range.end() {
            if chars.len() == EXACT_MAX {
                return Facts::unknown();
            }
            chars.push(c);
        }
    }
    // A letter in both cases is what `(?i)` makes of it.
    let folded = chars.first().map(|c| fold_char(*c)).unwrap_or_default();
    if chars.len() > 1 && chars.iter().all(|c| fold_char(*c) == folded) {
        return Facts::exactly(vec![Literal { text: folded.to_string(), ignore_case: true }]);
    }
    Facts::exactly(
        chars.iter().map(|c| Literal { text: c.to_string(), ignore_case: false }).collect(),
    )
}

/// `x?`
fn optional(inner: Facts) -> Facts {
    match inner.exact {
        Some(mut texts) if inner.whole && texts.len() < EXACT_MAX => {
            texts.push(Literal { text: String::new(), ignore_case: false });
            Facts::exactly(texts)
        }
        _ => Facts::unknown(),
    }
}

/// `x{min,}` with `min` at least 1. What was exact stays so only for a fixed count.
fn at_least(inner: Facts, min: u32, fixed: bool) -> Facts {
    let mut facts = inner;
    if let Some(texts) = facts.exact.clone()
        && facts.whole
    {
        let mut unrolled = 1;
        while unrolled < min.min(REPEAT_UNROLL_MAX) {
            let Some(longer) = facts.exact.as_ref().and_then(|exact| cross(exact, &texts)) else {
                break;
            };
            facts.exact = Some(longer);
            unrolled += 1;
        }
        if fixed && unrolled == min {
            return facts;
        }
    }
    facts.settle();
    facts
}

fn alternation(branches: &[Hir]) -> Facts {
    let mut all_exact = Some(Vec::new());
    let mut best_of_each = Some(Vec::new());
    for branch in branches {
        let mut facts = facts_of(branch);
        match (&mut all_exact, &facts.exact) {
            (Some(all), Some(texts)) if facts.whole => all.extend(texts.clone()),
            _ => all_exact = None,
        }
        facts.settle();
        let best = facts
            .groups
            .into_iter()
            .filter(|group| !is_noise(group))
            .max_by_key(|group| shortest(group));
        match (&mut best_of_each, best) {
            (Some(union), Some(group)) if union.len() <= GROUP_LITERALS_MAX => union.extend(group),
            _ => best_of_each = None,
        }
    }
    match (all_exact, best_of_each) {
        (Some(mut texts), _) if texts.len() <= EXACT_MAX => {
            texts.sort();
            texts.dedup();
            Facts::exactly(texts)
        }
        (_, Some(union)) => {
            Facts { groups: as_group(union).into_iter().collect(), ..Facts::unknown() }
        }
        _ => Facts::unknown(),
    }
}
