//! Character classes: `\d`, `\p{Greek}`, `[^a-z[:digit:]]`.

use super::translate::{Translator, push_char};

impl<'a> Translator<'a> {
    /// `\d`, `\pL` and the like, written so that they stand alone or inside a class.
    pub(super) fn class_escape(&mut self) -> Result<Option<String>, String> {
        let rest = self.rest();
        let mut chars = rest.chars();
        chars.next();
        let Some(kind) = chars.next() else { return Ok(None) };
        let perl = match kind {
            'd' => "[0-9]",
            'D' => "[^0-9]",
            's' => "[\\t\\n\\x0C\\r\\x20]",
            'S' => "[^\\t\\n\\x0C\\r\\x20]",
            'w' => "[0-9A-Za-z_]",
            'W' => "[^0-9A-Za-z_]",
            'p' | 'P' => {
                return self.unicode_class(kind == 'P', rest.get(2..).unwrap_or_default());
            }
            _ => return Ok(None),
        };
        self.at += 2;
        Ok(Some(perl.to_owned()))
    }

    fn unicode_class(
        &mut self,
        mut negated: bool,
        after: &'a str,
    ) -> Result<Option<String>, String> {
        let start = self.at;
        let invalid = |shown: &str| Err(format!("invalid character class range: `{shown}`"));
        let (name, len) = match after.strip_prefix('{') {
            Some(body) => match body.split_once('}') {
                Some((name, _)) => (name, name.len() + 2),
                None => return invalid(self.rest()),
            },
            None => match after.chars().next() {
                Some(c) => (after.get(..c.len_utf8()).unwrap_or_default(), c.len_utf8()),
                None => return invalid(self.rest()),
            },
        };
        self.at += 2 + len;
        let bare = match name.strip_prefix('^') {
            Some(bare) => {
                negated = !negated;
                bare
            }
            None => name,
        };
        let known = !bare.is_empty()
            && bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b' ');
        let class = format!("\\{}{{{bare}}}", if negated { 'P' } else { 'p' });
        if !known || regex_syntax::parse(&class).is_err() {
            return invalid(self.since(start));
        }
        Ok(Some(class))
    }

    /// `[a-z\d[:alpha:]]`
    pub(super) fn class(&mut self) -> Result<(), String> {
        let start = self.at;
        let unclosed = || {
            Err(format!("missing closing ]: `{}`", self.pattern.get(start..).unwrap_or_default()))
        };
        let mut items = String::from("[");
        self.at += 1;
        if self.rest().starts_with('^') {
            self.at += 1;
            items.push('^');
        }
        let mut first = true;
        loop {
            let Some(c) = self.peek() else { return unclosed() };
            if c == ']' && !first {
                break;
            }
            first = false;
            if self.rest().starts_with("[:")
                && let Some((name, _)) = self.rest().get(2..).and_then(|s| s.split_once(":]"))
            {
                let shown = format!("[:{name}:]");
                if !is_posix_class(name) {
                    return Err(format!("invalid character class range: `{shown}`"));
                }
                self.at += shown.len();
                items.push_str(&shown);
                continue;
            }
            if c == '\\'
                && let Some(class) = self.class_escape()?
            {
                items.push_str(&class);
                continue;
            }
            let range_start = self.at;
            let low = self.class_char(start)?;
            let mut after = self.rest().chars();
            let is_range =
                after.next() == Some('-') && after.next().is_some_and(|next| next != ']');
            push_char(&mut items, low);
            if is_range {
                self.at += 1;
                let high = self.class_char(start)?;
                if high < low {
                    let shown = self.since(range_start);
                    return Err(format!("invalid character class range: `{shown}`"));
                }
                items.push('-');
                push_char(&mut items, high);
            }
        }
        self.at += 1;
        items.push(']');
        self.out.push_str(&items);
        Ok(())
    }

    fn class_char(&mut self, class_start: usize) -> Result<char, String> {
        match self.peek() {
            Some('\\') => self.char_escape(),
            Some(c) => {
                self.bump(c);
                Ok(c)
            }
            None => Err(format!(
                "missing closing ]: `{}`",
                self.pattern.get(class_start..).unwrap_or_default()
            )),
        }
    }
}

fn is_posix_class(name: &str) -> bool {
    matches!(
        name.strip_prefix('^').unwrap_or(name),
        "alnum"
            | "alpha"
            | "ascii"
            | "blank"
            | "cntrl"
            | "digit"
            | "graph"
            | "lower"
            | "print"
            | "punct"
            | "space"
            | "upper"
            | "word"
            | "xdigit"
    )
}
