//! Mail addresses: a mailbox, a host with dots, and a top level domain that exists.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::redact::boundary::{at, before};

/// Longest mailbox and host that mail allows.
const LOCAL_BYTES_MAX: usize = 64;
const HOST_BYTES_MAX: usize = 253;

static TOP_LEVEL_DOMAINS: LazyLock<HashSet<&'static [u8]>> = LazyLock::new(|| {
    include_str!("tlds.txt").split_ascii_whitespace().map(str::as_bytes).collect()
});

/// The address around the `@` at `sign`. `own` are the operator's own domains, in lower case.
pub(in crate::redact) fn find(text: &[u8], sign: usize, own: &[String]) -> Option<(usize, usize)> {
    let mut start = sign;
    while start > 0 && sign - start <= LOCAL_BYTES_MAX && is_local(before(text, start)) {
        start -= 1;
    }
    while start < sign && matches!(at(text, start), b'.' | b'/' | b'=' | b'-' | b'&') {
        start += 1;
    }
    // `key=bob@x.org` and `to/bob@x.org` are a name before an address.
    let separator =
        text.get(start..sign)?.iter().rposition(|b| matches!(b, b'=' | b'/' | b'&' | b'?'));
    if let Some(separator) = separator {
        start += separator + 1;
    }
    let local = text.get(start..sign)?;
    if local.is_empty() || local.len() > LOCAL_BYTES_MAX || local.ends_with(b".") {
        return None;
    }
    if matches!(before(text, start), b'@' | b'*') {
        return None;
    }
    let end = host_end(text, sign + 1)?;
    let host = text.get(sign + 1..end)?.to_ascii_lowercase();
    // `git@host:group/project` is where code lives, not where a person reads mail.
    if local == b"git" || own.iter().any(|domain| is_within(&host, domain.as_bytes())) {
        return None;
    }
    Some((start, end))
}

/// The end of a host whose last part is a top level domain; trailing parts that are not part
/// of a host (`bob@x.org.`) are left out.
fn host_end(text: &[u8], start: usize) -> Option<usize> {
    let run = text
        .iter()
        .skip(start)
        .take(HOST_BYTES_MAX + 1)
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-') || **b >= 0x80)
        .count();
    if run > HOST_BYTES_MAX {
        return None;
    }
    let host = text.get(start..start + run)?;
    let host = host
        .get(..host.len() - host.iter().rev().take_while(|b| matches!(b, b'.' | b'-')).count())?;
    let last = host.get(host.iter().rposition(|b| *b == b'.')? + 1..)?;
    // `bob@x.org-backup` is an address with something hung on.
    let len = if is_top_level(last) { last.len() } else { last.iter().position(|b| *b == b'-')? };
    if !is_top_level(last.get(..len)?) {
        return None;
    }
    let host = host.get(..host.len() - last.len() + len)?;
    let is_host = host.split(|b| *b == b'.').all(|part| {
        !part.is_empty() && part.len() <= 63 && !part.starts_with(b"-") && !part.ends_with(b"-")
    });
    let end = start + host.len();
    // `a@b.com/x` is fine, `a@b.com_x` is something else.
    (is_host && at(text, end) != b'_').then_some(end)
}

fn is_top_level(part: &[u8]) -> bool {
    let lower = part.to_ascii_lowercase();
    TOP_LEVEL_DOMAINS.contains(lower.as_slice())
        || (lower.starts_with(b"xn--") && lower.len() > 5)
        || (part.len() >= 4 && part.iter().all(|b| *b >= 0x80))
}

fn is_within(host: &[u8], domain: &[u8]) -> bool {
    host == domain || (host.ends_with(domain) && before(host, host.len() - domain.len()) == b'.')
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || byte >= 0x80
        || matches!(
            byte,
            b'.' | b'_'
                | b'%'
                | b'+'
                | b'-'
                | b'!'
                | b'#'
                | b'$'
                | b'&'
                | b'/'
                | b'='
                | b'?'
                | b'^'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let own = ["corp.example.com".to_owned()];
        let sign = text.find('@').unwrap();
        let found = find(text.as_bytes(), sign, &own).map(|(start, end)| &text[start..end]);
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn finds_addresses() {
        check("alice@example.com", Some("alice@example.com"));
        check("to=<Bob.Smith+tag@mail.example.co.uk>,", Some("Bob.Smith+tag@mail.example.co.uk"));
        check("user=carol@example.org.", Some("carol@example.org"));
        check("mailto:dave@example.io?x", Some("dave@example.io"));
        check("/users/eve@example.de/edit", Some("eve@example.de"));
        check("?email=f.o@example.net&x=1", Some("f.o@example.net"));
        check("x@xn--bcher-kva.example.xn--p1ai", Some("x@xn--bcher-kva.example.xn--p1ai"));
        check("bob@example.com-old", Some("bob@example.com"));
        check("j\u{f6}rg@b\u{fc}cher.de", Some("j\u{f6}rg@b\u{fc}cher.de"));
    }

    #[test]
    fn leaves_other_signs() {
        for text in [
            "Object@2bd79ce",
            "user@host",
            "getty@tty1.service",
            "@scope/pkg@1.2.3",
            "git@github.com:a/b",
            "cron @daily",
            "x@y.z1",
            "a@b.com_x",
            "@example.com",
            "a@.com",
            "ops@corp.example.com",
            "ops@eu.corp.example.com",
            "foo.Bar$1@7a81197d",
        ] {
            check(text, None);
        }
    }
}
