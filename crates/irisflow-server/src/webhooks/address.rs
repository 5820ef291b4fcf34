//! Which addresses webhooks may connect to (server-side request forgery). A name is checked after its resolution: the
//! connection is made to exactly the addresses that this resolver returns, so a second, different answer of the DNS
//! (DNS rebinding) has no effect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why there is no address to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("the host has no address")]
    NotFound,
    #[error("the address belongs to a private or otherwise internal network")]
    NotAllowed,
}

/// Resolves names to allowed addresses only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuardedResolver {
    pub(crate) allow_private: bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found: Vec<SocketAddr> = found.map_err(|_| AddressError::NotFound)?.collect();
            let allowed = allowed(&found, allow_private)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn allowed(found: &[SocketAddr], allow_private: bool) -> Result<Vec<SocketAddr>, AddressError> {
    if found.is_empty() {
        return Err(AddressError::NotFound);
    }
    let allowed = found.iter().copied();
    let allowed: Vec<_> = allowed
        .filter(|address| allow_private || is_public(address.ip()))
        .collect();
    if allowed.is_empty() {
        return Err(AddressError::NotAllowed);
    }
    Ok(allowed)
}

/// Checks a host that is an address: it is not resolved. Names pass.
pub(crate) fn check_literal(url: &Url, allow_private: bool) -> Result<(), AddressError> {
    let host = url.host_str().ok_or(AddressError::NotFound)?;
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    match literal.parse() {
        Ok(address) if !allow_private && !is_public(address) => Err(AddressError::NotAllowed),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether this is a global unicast address. IPv6 addresses that contain an IPv4 address are judged by that.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => is_public_v4(v4),
            None => is_public_v6(v6),
        },
    }
}

/// All but the special-purpose addresses of the IANA registry (RFC 6890), which include those of metadata services
/// (169.254.0.0/16).
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_benchmarking = a == 198 && (b == 18 || b == 19);
    let is_protocol_assignment = (a, b, c) == (192, 0, 0);
    let is_relay = (a, b, c) == (192, 88, 99);
    !(a == 0
        || a >= 240
        || is_shared
        || is_benchmarking
        || is_protocol_assignment
        || is_relay
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

/// IPv4-mapped (`::ffff:0:0/96`), NAT64 (`64:ff9b::/96`) and 6to4 (`2002::/16`).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(of(high, low))
        }
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

/// Global unicast (`2000::/3`) without protocol assignments (`2001::/23`, with Teredo) and documentation.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let is_assignment = first == 0x2001 && second < 0x0200;
    let is_documentation = (first, second) == (0x2001, 0x0db8) || first == 0x3fff;
    (0x2000..0x4000).contains(&first) && !is_assignment && !is_documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_addresses_are_refused_in_every_notation() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:169.254.169.254]",
            "[::127.0.0.1]",
            "[64:ff9b::10.0.0.1]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[2001::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[ff02::1]",
            "[2001:db8::1]",
            "[100::1]",
            "[3fff::1]",
        ] {
            let url = Url::parse(&format!("https://{host}/hook")).expect(host);
            let checked = check_literal(&url, false);
            assert_eq!(checked, Err(AddressError::NotAllowed), "{host}");
            assert_eq!(check_literal(&url, true), Ok(()), "{host}");
        }
    }

    #[test]
    fn public_addresses_and_names_pass() {
        for host in [
            "93.184.215.14",
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "[2606:4700::1111]",
            "[::ffff:8.8.8.8]",
            "[64:ff9b::8.8.8.8]",
            "[2001:4860:4860::8888]",
            "receiver.example",
        ] {
            let url = Url::parse(&format!("https://{host}/hook")).expect(host);
            assert_eq!(check_literal(&url, false), Ok(()), "{host}");
        }
    }

    #[test]
    fn of_the_addresses_of_a_name_only_the_public_ones_are_used() {
        let address = |text: &str| SocketAddr::new(text.parse().expect("an address"), 0);
        let (public, private) = (address("8.8.8.8"), address("10.0.0.1"));
        assert_eq!(allowed(&[private, public], false), Ok(vec![public]));
        assert_eq!(allowed(&[private], false), Err(AddressError::NotAllowed));
        assert_eq!(allowed(&[], false), Err(AddressError::NotFound));
        assert_eq!(allowed(&[private], true), Ok(vec![private]));
    }
}
