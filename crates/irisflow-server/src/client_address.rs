//! IP address of the client: the peer of the connection or, behind trusted proxies, an entry of `X-Forwarded-For`.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};

use crate::app::{App, AppState};

const FORWARDED_FOR: &str = "x-forwarded-for";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddress {
    pub(crate) ip: IpAddr,
}

impl ClientAddress {
    fn find(peer: IpAddr, headers: &HeaderMap, trusted_proxies: usize) -> Self {
        Self {
            ip: forwarded_for(headers, trusted_proxies).unwrap_or(peer),
        }
    }

    /// The key of limits per address.
    pub(crate) fn network(self) -> IpAddr {
        network_of(self.ip)
    }
}

/// The key of limits per address: an IPv4 address, or the /64 prefix of an IPv6 address, since one customer has at
/// least a /64. An IPv4-mapped IPv6 address counts as its IPv4 address.
pub(crate) fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (!0 << 64)).into(),
        ip @ IpAddr::V4(_) => ip,
    }
}

/// The entry that the outermost trusted proxy appended: with one trusted proxy the last one, with two the second to
/// last. Entries before it were written by the client and may be forged.
fn forwarded_for(headers: &HeaderMap, trusted_proxies: usize) -> Option<IpAddr> {
    let entries: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let index = entries.len().checked_sub(trusted_proxies)?;
    entries.get(index)?.trim().parse().ok()
}

impl AppState {
    pub(crate) fn client_address(
        &self,
        extensions: &Extensions,
        headers: &HeaderMap,
    ) -> ClientAddress {
        let peer = extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip());
        ClientAddress::find(peer, headers, self.settings.trusted_proxies)
    }
}

impl FromRequestParts<App> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(app.client_address(&parts.extensions, &parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn seen_by(trusted_proxies: usize, forwarded_for: &str) -> ClientAddress {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, forwarded_for.parse().expect("a header"));
        ClientAddress::find(PROXY, &headers, trusted_proxies)
    }

    #[test]
    fn without_trusted_proxies_the_header_is_ignored() {
        assert_eq!(seen_by(0, "203.0.113.9").ip, PROXY);
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_what_the_client_wrote_itself_is_not() {
        let seen = seen_by(1, "198.51.100.1, 203.0.113.9");
        assert_eq!(seen.ip, IpAddr::from([203, 0, 113, 9]));
    }

    #[test]
    fn limits_count_ipv6_by_its_first_64_bits() {
        let network = |text: &str| network_of(text.parse().expect("an address"));
        assert_eq!(
            network("2001:db8:1:2:3::4"),
            network("2001:db8:1:2:ffff::1")
        );
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:203.0.113.9"), network("203.0.113.9"));
        assert_ne!(network("203.0.113.8"), network("203.0.113.9"));
    }
}
