//! Who a connection comes from: its peer, or, behind proxies that the operator has named as trusted,
//! what the outermost of them saw.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};

use crate::app::{App, AppState};

const FORWARDED_FOR: &str = "x-forwarded-for";
/// Headers by which a proxy betrays itself.
const FORWARDED: [&str; 3] = [FORWARDED_FOR, "forwarded", "x-real-ip"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddress {
    pub(crate) ip: IpAddr,
    /// It connects from this machine, and for nobody else.
    pub(crate) is_this_machine: bool,
}

impl ClientAddress {
    fn find(peer: IpAddr, headers: &HeaderMap, trusted_proxies: usize) -> Self {
        let forwarded = FORWARDED.iter().any(|name| headers.contains_key(*name));
        Self {
            ip: forwarded_for(headers, trusted_proxies).unwrap_or(peer),
            is_this_machine: peer.is_loopback() && !forwarded,
        }
    }
}

/// Each proxy appends whom it was asked by, so that the last entries are the trustworthy ones: with one
/// trusted proxy the last, with two the last but one.
fn forwarded_for(headers: &HeaderMap, trusted_proxies: usize) -> Option<IpAddr> {
    let entries: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let place = entries.len().checked_sub(trusted_proxies)?;
    entries.get(place)?.trim().parse().ok()
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
    fn without_trusted_proxies_the_header_says_nothing() {
        assert_eq!(seen_by(0, "203.0.113.9").ip, PROXY);
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_what_the_client_wrote_itself_is_not() {
        let seen = seen_by(1, "198.51.100.1, 203.0.113.9");
        assert_eq!(seen.ip, IpAddr::from([203, 0, 113, 9]));
    }

    #[test]
    fn who_comes_through_a_proxy_is_not_this_machine() {
        assert!(!seen_by(0, "127.0.0.1").is_this_machine);
        let direct = ClientAddress::find(PROXY, &HeaderMap::new(), 1);
        assert!(direct.is_this_machine);
    }
}
