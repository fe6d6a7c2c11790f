//! Finds the caller's IP address: the peer's, or, behind trusted proxies, the one they report in the header that the operator
//! names.

use std::net::IpAddr;

use ipnet::IpNet;

/// Used for a caller whose address is not known. It is not an IP address, so no `allow_from` allows it, and all such callers
/// count as one.
pub const UNKNOWN: &str = "unknown";

/// The trusted proxies before Doorbell, and the one header in which they report the caller.
#[derive(Debug, Clone)]
pub struct Proxies {
    pub trusted: Vec<IpNet>,
    /// In lower case. Other headers may come from the caller itself.
    pub header: String,
}

impl Proxies {
    /// The caller's address: the right-most address in the header that is not a trusted proxy's, or otherwise the
    /// left-most one. The header is ignored unless a trusted proxy sends it. If such a proxy does not send the header, or
    /// it cannot be read up to that address, the caller is [`UNKNOWN`], and never the proxy.
    pub fn caller(&self, peer: IpAddr, headers: &[(String, String)]) -> String {
        let peer = peer.to_canonical();
        if !self.is_trusted(&peer) {
            return peer.to_string();
        }
        let read = if self.header == "forwarded" { forwarded } else { address };
        let lines: Vec<&str> = headers.iter().filter(|(n, _)| *n == self.header).map(|(_, v)| v.as_str()).collect();
        let mut last = None;
        for hop in lines.join(",").rsplit(',') {
            last = read(hop.trim());
            if !last.is_some_and(|ip| self.is_trusted(&ip)) {
                break;
            }
        }
        last.map_or_else(|| UNKNOWN.to_owned(), |ip| ip.to_string())
    }

    /// Whether a peer is one of these proxies.
    pub fn is_trusted(&self, ip: &IpAddr) -> bool {
        self.trusted.iter().any(|net| net.contains(&ip.to_canonical()))
    }
}

/// `203.0.113.7`, `203.0.113.7:4711`, `[2001:db8::1]:4711`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_matches('"');
    let plain = bare.parse::<IpAddr>().ok();
    let with_port = || bare.parse::<std::net::SocketAddr>().ok().map(|a| a.ip());
    let bracketed = || bare.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    plain.or_else(with_port).or_else(bracketed).map(|ip| ip.to_canonical())
}

/// `for=203.0.113.7;proto=https`.
fn forwarded(text: &str) -> Option<IpAddr> {
    let mut all = text.split(';').filter_map(|p| p.trim().split_once('=')).filter(|(name, _)| name.eq_ignore_ascii_case("for"));
    let (_, value) = all.next()?;
    if all.next().is_some() { None } else { address(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_is_the_last_address_that_is_not_a_trusted_proxy() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8:aa::/48".parse().unwrap()];
        let of = |named: &str, peer: &str, headers: &[(&str, &str)]| {
            let headers: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            Proxies { trusted: trusted.clone(), header: named.into() }.caller(peer.parse().unwrap(), &headers)
        };
        let (xff, fwd) = ("x-forwarded-for", "forwarded");
        for (named, peer, headers, expected) in [
            (xff, "203.0.113.9", vec![(xff, "10.0.0.1, 1.1.1.1")], "203.0.113.9"),
            (xff, "10.0.0.1", vec![(xff, "1.1.1.1")], "1.1.1.1"),
            (xff, "::ffff:10.0.0.1", vec![(xff, "::ffff:1.1.1.1")], "1.1.1.1"),
            (xff, "10.0.0.1", vec![(xff, "6.6.6.6, 1.1.1.1, 10.0.0.2")], "1.1.1.1"),
            (xff, "10.0.0.1", vec![(xff, "6.6.6.6"), (xff, "1.1.1.1,10.0.0.2")], "1.1.1.1"),
            (xff, "10.0.0.1", vec![(xff, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            (xff, "10.0.0.1", vec![(xff, "1.1.1.1:4711")], "1.1.1.1"),
            (xff, "2001:db8:aa::1", vec![(xff, "[2001:db8::5]:80")], "2001:db8::5"),
            (fwd, "10.0.0.1", vec![(fwd, "for=6.6.6.6, For=\"[2001:db8::7]:99\";proto=https")], "2001:db8::7"),
            ("x-real-ip", "10.0.0.1", vec![("x-real-ip", "1.1.1.1"), (xff, "6.6.6.6")], "1.1.1.1"),
            // Headers other than the configured one may come from the caller itself.
            (xff, "10.0.0.1", vec![(xff, "1.1.1.1"), (fwd, "for=10.1.1.1")], "1.1.1.1"),
            (xff, "10.0.0.1", vec![(xff, "1.1.1.1"), (fwd, "x")], "1.1.1.1"),
            (fwd, "10.0.0.1", vec![(xff, "10.1.1.1"), (fwd, "for=1.1.1.1")], "1.1.1.1"),
            // An unknown caller is never mistaken for the proxy.
            (xff, "10.0.0.1", vec![], UNKNOWN),
            (xff, "10.0.0.1", vec![(xff, "")], UNKNOWN),
            (xff, "10.0.0.1", vec![(xff, "unknown")], UNKNOWN),
            (xff, "10.0.0.1", vec![(xff, "1.1.1.1, ")], UNKNOWN),
            (xff, "10.0.0.1", vec![(xff, "6.6.6.6 10.0.0.1")], UNKNOWN),
            (xff, "10.0.0.1", vec![(xff, "6.6.6.6, unknown, 10.0.0.2")], UNKNOWN),
            (fwd, "10.0.0.1", vec![(xff, "1.1.1.1")], UNKNOWN),
            (fwd, "10.0.0.1", vec![(fwd, "for=1.1.1.1;for=2.2.2.2")], UNKNOWN),
            (fwd, "10.0.0.1", vec![(fwd, "for=10.1.1.1, for=\"_hidden\"")], UNKNOWN),
        ] {
            assert_eq!(of(named, peer, &headers), expected, "{named}: {peer} {headers:?}");
        }
    }
}
