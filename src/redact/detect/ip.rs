//! Internet addresses. Off unless asked for: a third of all log lines hold something like one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::redact::boundary::{at, before, is_word};

/// Finds addresses that tell something: not unspecified, loopback or for documentation.
pub(in crate::redact) fn find(text: &[u8], mut found: impl FnMut(usize, usize)) {
    let mut i = 0;
    while i < text.len() {
        let part = |b: u8| b.is_ascii_hexdigit() || matches!(b, b'.' | b':');
        if !part(at(text, i)) {
            i += 1;
            continue;
        }
        let len = text.iter().skip(i).take_while(|b| part(**b)).count();
        if let Some((start, end)) = address_in(text, i, i + len) {
            found(start, end);
        }
        i += len;
    }
}

fn address_in(text: &[u8], from: usize, to: usize) -> Option<(usize, usize)> {
    // `ip:203.0.113.7` is a name and an address.
    let from = from + usize::from(at(text, from) == b':' && at(text, from + 1) != b':');
    if is_word(before(text, from)) || before(text, from) == b'-' || is_word(at(text, to)) {
        return None;
    }
    let run = std::str::from_utf8(text.get(from..to)?).ok()?;
    let whole = run.trim_end_matches('.');
    let whole = if whole.ends_with("::") { whole } else { whole.trim_end_matches(':') };
    if let Ok(address) = whole.parse::<Ipv6Addr>() {
        // Eight pairs of two digits are a hardware address, and `::` alone says nothing.
        let hardware = whole.len() == 23 && whole.split(':').all(|part| part.len() == 2);
        let tells = !hardware && whole.len() > 3 && !address.is_loopback();
        return tells.then_some((from, from + whole.len()));
    }
    let host = whole.split(':').next().unwrap_or(whole);
    let address: Ipv4Addr = host.parse().ok()?;
    let version = at(text, to) == b'-' && at(text, to + 1).is_ascii_alphanumeric();
    (tells(address) && !version).then_some((from, from + host.len()))
}

fn tells(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_loopback() || address.is_broadcast())
        && address.octets()[0] != 0
}

/// The address with its host part zeroed: /24, or /48 for version 6.
pub(in crate::redact) fn truncate(address: &str) -> Option<String> {
    match address.parse().ok()? {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            Some(format!("{a}.{b}.{c}.0"))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            Some(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &[&str]) {
        let mut all = Vec::new();
        find(text.as_bytes(), |start, end| all.push(&text[start..end]));
        assert_eq!(all, expect, "{text}");
    }

    #[test]
    fn finds_addresses() {
        check("from 203.0.113.7:8080 to 10.1.2.3.", &["203.0.113.7", "10.1.2.3"]);
        check(
            "[2001:db8::1]:443 and 2001:db8:0:1:2:3:4:5",
            &["2001:db8::1", "2001:db8:0:1:2:3:4:5"],
        );
        check("::ffff:203.0.113.7", &["::ffff:203.0.113.7"]);
        check("ip:203.0.113.7,", &["203.0.113.7"]);
    }

    #[test]
    fn leaves_the_rest() {
        for text in [
            "10:11:12",
            "0.0.0.0",
            "127.0.0.1",
            "::1",
            "std::vec",
            "1.2.3.4.5",
            "v1.2.3.4",
            "FF:F2:9F:16:E2:23:00:0D",
            "1.2.3",
            "10.0.19041.1",
            "Foo::bar",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn truncates() {
        assert_eq!(truncate("203.0.113.7").as_deref(), Some("203.0.113.0"));
        assert_eq!(truncate("2001:db8:1:2::5").as_deref(), Some("2001:db8:1::"));
        assert_eq!(truncate("x"), None);
    }
}
