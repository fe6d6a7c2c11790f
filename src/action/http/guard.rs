//! The guard that keeps calls out of the internal network.
//!
//! Private, loopback and link-local addresses are refused unless explicitly allowed: an address that is written in a URL, and
//! every address that a name resolves to. Connections are made to exactly the addresses that were checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Which internal targets may be called.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    pub networks: Vec<IpNet>,
    pub hosts: Vec<String>,
}

impl Allowed {
    fn address(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        !is_inside(ip) || self.networks.iter().any(|n| n.contains(&ip))
    }

    /// The same for the text of an address; one that cannot be parsed is not called anyway.
    pub fn refuses_text(&self, url: &str) -> Option<String> {
        self.refuses(&Url::parse(url).ok()?)
    }

    fn host(&self, host: &str) -> bool {
        self.hosts.iter().any(|h| h.eq_ignore_ascii_case(host))
    }

    /// Why an address written in a URL must not be called, if so; what a host name resolves to is only checked at lookup.
    pub fn refuses(&self, url: &Url) -> Option<String> {
        let host = url.host_str()?;
        if self.host(host.trim_matches(['[', ']'])) {
            return None;
        }
        match url.host()? {
            url::Host::Ipv4(ip) if !self.address(ip.into()) => Some(refusal(&ip.to_string(), ip.into())),
            url::Host::Ipv6(ip) if !self.address(ip.into()) => Some(refusal(&ip.to_string(), ip.into())),
            url::Host::Domain(name)
                if is_local_name(name) && !self.networks.iter().any(|n| n.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST))) =>
            {
                Some(format!(
                    "`{name}` is this machine, and calls to it are refused; to allow them, start Doorbell with --allow-host {name}"
                ))
            }
            _ => None,
        }
    }
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn refusal(host: &str, ip: IpAddr) -> String {
    let width = if ip.is_ipv4() { 32 } else { 128 };
    format!("{host} is in a private network, and calls to it are refused; to allow them, start Doorbell with --allow-network {ip}/{width}")
}

/// A cloud's own services, at an address that looks public (Azure).
const CLOUD: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Whether an address is not public: every range that the IANA registries of special-purpose addresses do not call globally
/// reachable, and every way to embed one of these in an IPv6 address.
pub fn is_inside(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_broadcast()
                || ip.is_multicast()
                || ip == CLOUD
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && (c == 0 || c == 2))
                || (a == 198 && (b == 18 || b == 19 || (b == 51 && c == 100)))
                || (a == 203 && b == 0 && c == 113)
        }
        IpAddr::V6(ip) => {
            let s = ip.segments();
            let embedded = |hi: u16, lo: u16| is_inside(IpAddr::V4(Ipv4Addr::from((u32::from(hi) << 16) | u32::from(lo))));
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || (s[0] & 0xfe00) == 0xfc00
                || (s[0] & 0xffc0) == 0xfe80
                || (s[0] & 0xffc0) == 0xfec0
                || (s[0] == 0x2001 && s[1] == 0xdb8)
                || (s[0] == 0x3fff && s[1] < 0x1000)
                || (s[0] == 0x2001 && s[1] == 0)
                || (s[0] == 0x2001 && s[1] == 2 && s[2] == 0)
                || (s[0] == 0x2001 && matches!(s[1] & 0xfff0, 0x10 | 0x20))
                || s[0] == 0x5f00
                || (s[0] == 0x100 && s[1..4] == [0, 0, 0])
                // ISATAP (RFC 5214, 6.1)
                || (s[4] & 0xfdff == 0 && s[5] == 0x5efe && embedded(s[6], s[7]))
                || (s[0] == 0x2002 && embedded(s[1], s[2]))
                || (s[0] == 0x64 && s[1] == 0xff9b && (s[2] == 1 || embedded(s[6], s[7])))
                || (s[..6] == [0; 6] && embedded(s[6], s[7]))
                || (s[..6] == Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0).segments()[..6] && embedded(s[6], s[7]))
        }
    }
}

/// Resolves host names and drops the addresses that must not be called.
pub(super) struct Guarded(pub(super) Arc<Allowed>);

/// A name that resolves only to refused addresses.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Refused {}

/// Why a name has no address that may be used.
pub enum Unresolved {
    Refused(String),
    Unknown(std::io::Error),
}

impl Allowed {
    /// The addresses of a host that may be connected to.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unresolved> {
        let found = tokio::net::lookup_host((host, port)).await;
        let all: Vec<SocketAddr> = found.map_err(Unresolved::Unknown)?.collect();
        let good: Vec<SocketAddr> = match self.host(host) {
            true => all.clone(),
            false => all.iter().copied().filter(|a| self.address(a.ip())).collect(),
        };
        match (good.is_empty(), all.first()) {
            (true, Some(first)) if host.parse::<IpAddr>().is_ok() => Err(Unresolved::Refused(refusal(host, first.ip()))),
            (true, Some(first)) => Err(Unresolved::Refused(format!(
                "{host} resolves to {}, which is in a private network, and calls to it are refused; to allow them, start Doorbell with --allow-host {host}",
                first.ip()
            ))),
            _ => Ok(good),
        }
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0.clone();
        Box::pin(async move {
            match allowed.resolve(name.as_str(), 0).await {
                Ok(good) => Ok(Box::new(good.into_iter()) as Addrs),
                Err(Unresolved::Refused(why)) => Err(Refused(why).into()),
                Err(Unresolved::Unknown(why)) => Err(why.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses(allowed: &Allowed, url: &str) -> Option<String> {
        allowed.refuses(&Url::parse(url).unwrap())
    }

    #[test]
    fn every_spelling_of_a_private_address_is_rejected() {
        let none = Allowed::default();
        for url in [
            "http://127.0.0.1/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://017700000001/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::10.0.0.1]/",
            "http://[2002:7f00:1::]/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
            "http://169.254.169.254/latest",
            "http://10.1.2.3/",
            "http://192.168.1.1/",
            "http://172.31.0.1/",
            "http://100.64.0.1/",
            "http://0.0.0.0/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://localhost/",
            "http://a.localhost./",
            "http://[::]/",
            "http://168.63.129.16/",
            "http://[::ffff:168.63.129.16]/",
            "http://[3fff:fff::1]/",
            "http://[5f00::1]/",
            "http://[2001:2::1]/",
            "http://[2001:10::1]/",
            "http://[2001:2f::1]/",
            "http://[2606:2800:220:1:0:5efe:a00:1]/",
            "http://[2606:2800:220:1:200:5efe:7f00:1]/",
        ] {
            assert!(refuses(&none, url).is_some(), "{url}");
        }
        for url in [
            "http://93.184.216.34/",
            "http://[2606:2800:220:1::1]/",
            "https://example.com/",
            "http://172.32.0.1/",
            "http://168.63.129.17/",
            "http://[3fff:1000::1]/",
            "http://[2001:30::1]/",
            "http://[2001:2:1::1]/",
            "http://[2606::5efe:808:808]/",
        ] {
            assert_eq!(refuses(&none, url), None, "{url}");
        }
        let some = Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()], hosts: vec!["10.0.0.9".into()] };
        assert_eq!(refuses(&some, "http://127.0.0.1/"), None);
        assert_eq!(refuses(&some, "http://10.0.0.9/"), None);
        assert!(refuses(&some, "http://10.0.0.8/").is_some_and(|why| why.ends_with("--allow-network 10.0.0.8/32")));
    }
}
