//! Who is calling: the address at the other end, or, behind proxies that are trusted, the one that they vouch for.

use std::net::IpAddr;

use ipnet::IpNet;

/// The caller's address: the right-most one that is not a trusted proxy's, of `X-Forwarded-For` or `Forwarded` (RFC 7239).
///
/// A header says nothing unless a trusted proxy sends it; what cannot be read ends the trust; and where both headers are
/// there and disagree, one of them was made up by the caller, so neither counts.
pub fn caller(peer: IpAddr, trusted: &[IpNet], headers: &[(String, String)]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    if !is_trusted(&peer) {
        return peer;
    }
    let hops = |name: &str, read: fn(&str) -> Option<IpAddr>| {
        let lines: Vec<&str> = headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
        (!lines.is_empty()).then(|| {
            let mut last = peer;
            for hop in lines.join(",").rsplit(',') {
                match read(hop.trim()) {
                    Some(ip) => last = ip,
                    None => break,
                }
                if !is_trusted(&last) {
                    break;
                }
            }
            last
        })
    };
    match (hops("x-forwarded-for", address), hops("forwarded", forwarded)) {
        (Some(one), Some(other)) if one != other => peer,
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => peer,
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
    fn a_caller_is_the_last_one_that_no_trusted_proxy_is() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8:aa::/48".parse().unwrap()];
        let of = |peer: &str, headers: &[(&str, &str)]| {
            let headers: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            caller(peer.parse().unwrap(), &trusted, &headers).to_string()
        };
        let xff = "x-forwarded-for";
        for (peer, headers, expected) in [
            ("203.0.113.9", vec![(xff, "10.0.0.1, 1.1.1.1")], "203.0.113.9"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec![(xff, "1.1.1.1")], "1.1.1.1"),
            ("::ffff:10.0.0.1", vec![(xff, "::ffff:1.1.1.1")], "1.1.1.1"),
            ("10.0.0.1", vec![(xff, "6.6.6.6, 1.1.1.1, 10.0.0.2")], "1.1.1.1"),
            ("10.0.0.1", vec![(xff, "6.6.6.6"), (xff, "1.1.1.1,10.0.0.2")], "1.1.1.1"),
            ("10.0.0.1", vec![(xff, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("10.0.0.1", vec![(xff, "6.6.6.6, unknown, 10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", vec![(xff, "1.1.1.1:4711")], "1.1.1.1"),
            ("2001:db8:aa::1", vec![(xff, "[2001:db8::5]:80")], "2001:db8::5"),
            ("10.0.0.1", vec![("forwarded", "for=6.6.6.6, For=\"[2001:db8::7]:99\";proto=https")], "2001:db8::7"),
            ("10.0.0.1", vec![("forwarded", "for=1.1.1.1;for=2.2.2.2")], "10.0.0.1"),
            // One of the two was made up.
            ("10.0.0.1", vec![(xff, "6.6.6.6"), ("forwarded", "for=1.1.1.1")], "10.0.0.1"),
            ("10.0.0.1", vec![(xff, "1.1.1.1"), ("forwarded", "for=1.1.1.1")], "1.1.1.1"),
        ] {
            assert_eq!(of(peer, &headers), expected, "{peer} {headers:?}");
        }
    }
}
