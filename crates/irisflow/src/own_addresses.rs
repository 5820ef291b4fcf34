//! Addresses and host names of this machine, and the URLs at which clients reach the server.

use std::net::{IpAddr, SocketAddr};

use irisflow_server::is_private;

/// Addresses of the network interfaces and host names of this machine, the most useful ones first (private
/// IPv4).
pub(crate) fn own_hosts() -> Vec<String> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<IpAddr> = interfaces
        .iter()
        .map(if_addrs::Interface::ip)
        .filter(|address| !address.is_loopback() && !needs_scope(*address))
        .collect();
    addresses.sort_by_key(|address| (address.is_ipv6(), !is_private(*address)));
    addresses.dedup();
    let mut hosts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    if let Some(name) = host_name() {
        let short = name.split('.').next().unwrap_or_default();
        hosts.push(format!("{short}.local"));
        hosts.push(name);
    }
    hosts
}

/// A link-local IPv6 address needs a zone id (interface name), which URLs cannot contain.
fn needs_scope(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

#[cfg(unix)]
fn host_name() -> Option<String> {
    let name = rustix::system::uname();
    let name = name.nodename().to_str().ok()?.to_ascii_lowercase();
    (!name.is_empty()).then_some(name)
}

#[cfg(not(unix))]
fn host_name() -> Option<String> {
    None
}

/// The URLs at which a server without a configured public URL is reachable. The first one works on this
/// machine.
pub(crate) fn reachable(scheme: &str, listen: SocketAddr, own_hosts: &[String]) -> Vec<String> {
    if !listen.ip().is_unspecified() {
        return vec![format!("{scheme}://{listen}")];
    }
    let port = listen.port();
    let takes_v6 = listen.is_ipv6();
    let mut urls = vec![format!("{scheme}://127.0.0.1:{port}")];
    for host in own_hosts {
        match host.parse() {
            Ok(IpAddr::V4(v4)) => urls.push(format!("{scheme}://{v4}:{port}")),
            Ok(IpAddr::V6(v6)) if takes_v6 => urls.push(format!("{scheme}://[{v6}]:{port}")),
            Ok(IpAddr::V6(_)) | Err(_) => {}
        }
    }
    urls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_interfaces_is_reachable_by_each_of_its_addresses() {
        let own = ["192.168.1.20", "fd00::5", "box.local"].map(str::to_owned);
        let on = |listen: &str| reachable("http", listen.parse().expect("an address"), &own);
        assert_eq!(
            on("0.0.0.0:8080"),
            ["http://127.0.0.1:8080", "http://192.168.1.20:8080"]
        );
        assert_eq!(
            on("[::]:8080").last().expect("one"),
            "http://[fd00::5]:8080"
        );
        assert_eq!(on("127.0.0.1:8080"), ["http://127.0.0.1:8080"]);
    }

    #[test]
    fn loopback_is_not_an_address_for_others() {
        assert!(!own_hosts().contains(&"127.0.0.1".to_owned()));
    }
}
