//! `ip("...")`: finds addresses in text and tests them against an address, a network or a range.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

/// What an address is tested against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpFilter {
    set: IpSet,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum IpSet {
    One(IpAddr),
    Net(IpNet),
    Range(RangeInclusive<IpAddr>),
}

impl IpFilter {
    pub fn parse(pattern: &str) -> Result<Self, String> {
        let invalid = || format!("ip: invalid pattern: {pattern:?}");
        let set = if let Ok(address) = pattern.parse() {
            IpSet::One(address)
        } else if let Ok(net) = pattern.parse() {
            IpSet::Net(net)
        } else {
            let (low, high) = pattern.split_once('-').ok_or_else(invalid)?;
            let low: IpAddr = low.trim().parse().map_err(|_| invalid())?;
            let high: IpAddr = high.trim().parse().map_err(|_| invalid())?;
            if low.is_ipv4() != high.is_ipv4() || low > high {
                return Err(invalid());
            }
            IpSet::Range(low..=high)
        };
        Ok(IpFilter { set })
    }

    fn contains(&self, address: IpAddr) -> bool {
        match &self.set {
            IpSet::One(one) => *one == address,
            IpSet::Net(net) => net.contains(&address),
            IpSet::Range(range) => {
                range.start().is_ipv4() == address.is_ipv4() && range.contains(&address)
            }
        }
    }

    /// Whether any address in the text lies in the set.
    pub fn matches(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let length = if looks_like_v4(rest) {
                span(rest, is_v4_byte)
            } else if looks_like_v6(rest) {
                span(rest, is_v6_byte)
            } else {
                at += 1;
                continue;
            };
            let address = text.get(at..at + length).and_then(|token| token.parse().ok());
            if address.is_some_and(|address| self.contains(address)) {
                return true;
            }
            at += length.max(1);
        }
        false
    }
}

fn is_v4_byte(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

fn is_v6_byte(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte == b':' || byte == b'.'
}

fn span(bytes: &[u8], accept: fn(u8) -> bool) -> usize {
    bytes.iter().position(|&byte| !accept(byte)).unwrap_or(bytes.len())
}

fn looks_like_v4(bytes: &[u8]) -> bool {
    matches!(bytes, [first, rest @ ..] if first.is_ascii_digit()
        && rest.len() >= 3
        && rest.iter().take(3).any(|&byte| byte == b'.'))
}

/// A colon behind one to four hex digits, or two colons and a digit.
fn looks_like_v6(bytes: &[u8]) -> bool {
    match bytes {
        [b':', b':', third, ..] => third.is_ascii_hexdigit(),
        _ => {
            let digits = bytes.iter().take(5).take_while(|byte| byte.is_ascii_hexdigit()).count();
            (1..=4).contains(&digits) && bytes.get(digits) == Some(&b':')
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expect: bool) {
        assert_eq!(IpFilter::parse(pattern).map(|filter| filter.matches(text)), Ok(expect));
    }

    #[test]
    fn finds_addresses_in_lines() {
        check("192.168.0.1", "from 192.168.0.1 port 22", true);
        check("192.168.0.1", "from 192.168.0.10 port 22", false);
        check("10.0.0.0/8", "a=10.180.0.185:58832", true);
        check("10.0.0.0/8", "110.1.1.1", false);
        check("10.0.0.1-10.0.0.9", "x 10.0.0.9", true);
        check("10.0.0.1 - 10.0.0.9", "x 10.0.0.10", false);
        check("2001:db8::/32", "src=[2001:db8::1]:443", true);
        check("::1", "peer ::1 closed", true);
        check("10.0.0.0/8", "", false);
        check("10.0.0.0/8", "version 10.0", false);
    }

    #[test]
    fn refuses_what_is_no_address() {
        assert!(IpFilter::parse("10.0.0").is_err());
        assert!(IpFilter::parse("10.0.0.9-10.0.0.1").is_err());
        assert!(IpFilter::parse("10.0.0.1-::1").is_err());
    }
}
