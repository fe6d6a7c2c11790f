//! `allow_from:` and `limit:`: who may call an address, and how often. The counting itself is done where requests come in.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::yaml::fields::Item;

/// The highest number of calls that a limit may allow.
const MOST: u64 = 1_000_000;

/// Who may call an address, and how often.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Access {
    /// `None`: anyone.
    allowed: Option<Vec<IpNet>>,
    pub limits: Vec<Limit>,
}

/// A number of calls in a period: spread evenly, after an initial burst of the same number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    pub most: u32,
    pub per: Duration,
    /// Whether every caller is counted separately.
    pub each_caller: bool,
}

impl Access {
    /// Whether calls from this caller are allowed. If there are restrictions, a caller without an IP address is not
    /// allowed.
    pub fn may_come_from(&self, ip: &str) -> bool {
        let Some(allowed) = &self.allowed else { return true };
        ip.parse::<IpAddr>().is_ok_and(|ip| allowed.iter().any(|net| net.contains(&ip.to_canonical())))
    }
}

/// Reads both.
pub fn read(allow_from: Option<Item>, limit: Option<Item>) -> Access {
    let limits = limit.and_then(|i| i.one_or_more("write for example 100 per minute"));
    let networks = allow_from.map(|i| i.one_or_more("write for example 203.0.113.0/24").unwrap_or_default());
    Access {
        allowed: networks.map(|all| all.iter().filter_map(read_network).collect()),
        limits: limits.unwrap_or_default().iter().filter_map(read_limit).collect(),
    }
}

/// `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32`; a single address means only itself.
pub fn network(text: &str) -> Option<IpNet> {
    let one = text.trim().parse::<IpAddr>().ok().map(|ip| IpNet::from(ip.to_canonical()));
    one.or_else(|| text.trim().parse::<IpNet>().ok().map(|net| canonical(net).trunc()))
}

fn read_network(item: &Item) -> Option<IpNet> {
    let text = item.text()?;
    let net = network(&text);
    if net.is_none() {
        item.problem(format!("`{text}` is neither an address nor a network"))
            .label("write for example 203.0.113.7 or 203.0.113.0/24")
            .add();
    }
    net
}

/// Converts an IPv4 network written as IPv6 to IPv4.
fn canonical(net: IpNet) -> IpNet {
    match net {
        IpNet::V6(six) if six.prefix_len() >= 96 && six.addr().to_ipv4_mapped().is_some() => {
            IpNet::new(six.addr().to_canonical(), six.prefix_len() - 96).unwrap_or(net)
        }
        _ => net,
    }
}

/// `100 per minute`, `10 per second per caller`.
fn read_limit(item: &Item) -> Option<Limit> {
    let text = item.text()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let per = |word: &str| match word {
        "second" => Some(Duration::from_secs(1)),
        "minute" => Some(Duration::from_secs(60)),
        "hour" => Some(Duration::from_secs(3_600)),
        _ => None,
    };
    let read = match words.as_slice() {
        [number, "per", unit] => number.parse::<u64>().ok().zip(per(unit)).map(|(n, per)| (n, per, false)),
        [number, "per", unit, "per", "caller"] => number.parse::<u64>().ok().zip(per(unit)).map(|(n, per)| (n, per, true)),
        _ => None,
    };
    match read {
        Some((most, per, each_caller)) if (1..=MOST).contains(&most) => Some(Limit { most: most as u32, per, each_caller }),
        Some(_) => {
            item.problem(format!("a limit must be between 1 and {MOST} calls")).label("write for example 100 per minute").add();
            None
        }
        None => {
            let draft =
                item.problem(format!("`{text}` is not a limit")).label("write for example 100 per minute, or 10 per second per caller");
            let (number, unit) = text.split_once(['/', ' ']).unwrap_or((&text, ""));
            let unit = unit.trim_start_matches("per ").trim();
            let unit = match unit.to_lowercase().as_str() {
                "s" | "sec" | "second" | "seconds" => Some("second"),
                "m" | "min" | "minute" | "minutes" => Some("minute"),
                "h" | "hour" | "hours" => Some("hour"),
                _ => None,
            };
            let draft = match (number.trim().parse::<u64>(), unit) {
                (Ok(number), Some(unit)) => draft.write(&format!("{number} per {unit}")),
                _ => draft,
            };
            draft.note("valid units: per second, per minute, per hour").add();
            None
        }
    }
}
