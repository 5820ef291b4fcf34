//! Public base URL of the server, and the presigned URLs that are sent to clients.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use irisflow_jobs::Timestamp;
use irisflow_photos::{Access, ObjectKey, SignedLink};

use crate::app::AppState;
use crate::settings::ServerSettings;

#[derive(Debug)]
pub(crate) struct PublicUrl {
    fixed: Option<String>,
    listen: SocketAddr,
    own_hosts: Vec<String>,
    /// Used when no public URL is configured.
    scheme: &'static str,
}

/// Scheme and authority of the URLs in a response, as in `http://127.0.0.1:8080`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BaseUrl(String);

impl PublicUrl {
    pub(crate) fn new(settings: &ServerSettings) -> Self {
        let fixed = settings
            .public_url
            .as_deref()
            .map(|url| url.trim_end_matches('/').to_owned());
        Self {
            fixed,
            listen: settings.listen,
            own_hosts: settings.own_hosts.clone(),
            scheme: if settings.tls.is_some() {
                "https"
            } else {
                "http"
            },
        }
    }

    /// The configured public URL. Without one, the `Host` of the request, but only when it names this machine or a
    /// private network: `Host` is under the control of the client, and URLs must not lead to other servers
    /// (host header injection).
    pub(crate) fn base(&self, headers: &HeaderMap) -> BaseUrl {
        if let Some(fixed) = &self.fixed {
            return BaseUrl(fixed.clone());
        }
        match host_of(headers) {
            Some(host) if self.is_trusted_host(host) => {
                BaseUrl(format!("{}://{host}", self.scheme))
            }
            _ => BaseUrl(format!("{}://{}", self.scheme, self.default_host())),
        }
    }

    /// Whether a `Host` names this machine or is an address of a private network.
    fn is_trusted_host(&self, host: &str) -> bool {
        let Some(name) = name_of(host) else {
            return false;
        };
        let is_own = self
            .own_hosts
            .iter()
            .any(|own| own.eq_ignore_ascii_case(name));
        is_own || is_localhost(name) || name.parse().is_ok_and(is_private)
    }

    /// Host and port for requests whose `Host` is not trusted.
    fn default_host(&self) -> String {
        let port = self.listen.port();
        match self.own_hosts.first() {
            Some(own) if self.listen.ip().is_unspecified() => match own.parse() {
                Ok(IpAddr::V6(own)) => format!("[{own}]:{port}"),
                Ok(IpAddr::V4(_)) | Err(_) => format!("{own}:{port}"),
            },
            _ => self.listen.to_string(),
        }
    }

    /// Whether this origin is the server itself: the public URL, or the `Host` of the request where that is another
    /// address of the server.
    pub(crate) fn is_own_origin(&self, origin: &str, headers: &HeaderMap) -> bool {
        let Some((_, origin_host)) = origin.split_once("://") else {
            return false;
        };
        let fixed = self.fixed.as_deref().and_then(|url| url.split_once("://"));
        if let Some((scheme, rest)) = fixed {
            let public_host = rest.split('/').next().unwrap_or(rest);
            if origin_host.eq_ignore_ascii_case(public_host) {
                return origin.eq_ignore_ascii_case(&format!("{scheme}://{public_host}"));
            }
        }
        host_of(headers).is_some_and(|host| origin_host.eq_ignore_ascii_case(host))
    }
}

/// Middleware that sets `Host` from the URI of the request, since HTTP/2 clients send `:authority` instead.
pub(crate) async fn set_host_from_authority(mut request: Request) -> Request {
    if !request.headers().contains_key(header::HOST)
        && let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    request
}

/// Whether the address is loopback, link-local, or of a private network.
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            // 100.64.0.0/10, shared address space (RFC 6598), which overlay networks such as VPNs use.
            let is_shared = v4.octets()[0] == 100 && (v4.octets()[1] & 0xc0) == 64;
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || is_shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Whether `Host` is `localhost` or a loopback address.
pub(crate) fn names_loopback(headers: &HeaderMap) -> bool {
    let name = host_of(headers).and_then(name_of);
    name.is_some_and(|name| {
        is_localhost(name)
            || name
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback())
    })
}

fn host_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

fn is_localhost(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
}

/// The name or address in a `Host`, without brackets and port; `None` when it is not well formed.
fn name_of(host: &str) -> Option<&str> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".:[]-".contains(&byte);
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            (
                name,
                port.strip_prefix(':').or(port.is_empty().then_some("")),
            )
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, Some("")),
        },
    };
    let is_port = port?.bytes().all(|byte| byte.is_ascii_digit());
    (host.bytes().all(is_allowed) && is_port && !name.is_empty()).then_some(name)
}

impl BaseUrl {
    fn of_link(&self, link: SignedLink) -> String {
        match link {
            SignedLink::OfApi(path) => format!("{}/api/v1{path}", self.0),
            SignedLink::Absolute(url) => url,
        }
    }
}

impl AppState {
    /// A presigned URL to read `key`, which expires at [`Self::download_urls_expire_at`].
    pub(crate) fn download_url(&self, base: &BaseUrl, key: &ObjectKey) -> String {
        let expires = self.download_urls_expire_at(self.now());
        base.of_link(self.parts.links.link(key, &Access::Read, expires))
    }

    /// When download URLs that are signed now expire: after their lifetime, rounded up to a time grid. So URLs that
    /// are signed within the same step of the grid are equal, and HTTP caches can use them.
    pub(crate) fn download_urls_expire_at(&self, now: Timestamp) -> Timestamp {
        let life = self.settings.download_url_life;
        let step_ms = grid_step_ms(life);
        let last_ms = (now + life).as_millis().saturating_add(step_ms - 1);
        Timestamp::from_millis(last_ms - last_ms % step_ms)
    }

    /// A presigned URL to write `key` with this content type.
    pub(crate) fn upload_url(&self, base: &BaseUrl, key: &ObjectKey, content_type: &str) -> String {
        let access = Access::Write {
            content_type: content_type.to_owned(),
        };
        let expires = self.now() + self.settings.upload_url_life;
        base.of_link(self.parts.links.link(key, &access, expires))
    }
}

impl ServerSettings {
    /// No presigned URL lives longer.
    pub fn longest_link_life(&self) -> Duration {
        let step_ms = u64::try_from(grid_step_ms(self.download_url_life)).unwrap_or(0);
        let download = self.download_url_life + Duration::from_millis(step_ms);
        download.max(self.upload_url_life)
    }
}

/// Step of the grid in milliseconds: a quarter of the lifetime in whole seconds, from 1 s to a day.
fn grid_step_ms(life: Duration) -> i64 {
    let seconds = i64::try_from(life.as_secs() / 4).unwrap_or(i64::MAX / 1000);
    seconds.clamp(1, 24 * 3600) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base_for(settings: &ServerSettings, host: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a header"));
        PublicUrl::new(settings).base(&headers).0
    }

    #[test]
    fn addresses_of_this_machine_and_of_private_networks_are_believed() {
        for host in [
            "127.0.0.1:8080",
            "localhost",
            "localhost:9",
            "[::1]:8080",
            "10.0.2.2:8080",
            "192.168.1.20:8080",
            "172.16.0.9",
            "169.254.3.4:80",
            "100.101.102.103:8080",
            "[fd12:3456::1]:8080",
            "[fe80::1]",
        ] {
            let expected = format!("http://{host}");
            assert_eq!(base_for(&ServerSettings::default(), host), expected);
        }
    }

    #[test]
    fn a_strangers_host_header_does_not_end_up_in_links() {
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "192.168.1.1.evil.example:8080",
            "localhost:80@evil",
            "10.0.0.1:80.evil.example",
            "[::1].evil.example",
            "[fd00::1]evil:80",
            "::1/x",
            "203.0.113.9:8080",
            "172.32.0.1",
            "100.128.0.1",
            "[2001:db8::1]:8080",
            "evil.local",
        ] {
            let base = base_for(&ServerSettings::default(), host);
            assert_eq!(base, "http://127.0.0.1:8080", "{host}");
        }
    }

    #[test]
    fn the_names_of_this_machine_are_believed_and_used_for_who_has_none() {
        let settings = ServerSettings {
            listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
            own_hosts: vec!["192.168.1.20".to_owned(), "box.local".to_owned()],
            ..ServerSettings::default()
        };
        assert_eq!(
            base_for(&settings, "Box.local:8080"),
            "http://Box.local:8080"
        );
        assert_eq!(
            base_for(&settings, "other.local:8080"),
            "http://192.168.1.20:8080"
        );
    }

    #[test]
    fn a_configured_address_goes_before_any_host() {
        let settings = ServerSettings {
            public_url: Some("https://iris.example.com/".to_owned()),
            ..ServerSettings::default()
        };
        assert_eq!(
            base_for(&settings, "192.168.1.20"),
            "https://iris.example.com"
        );
    }

    #[tokio::test]
    async fn http2_requests_have_a_host_too() {
        let request = Request::builder()
            .uri("https://10.0.2.2:8443/health")
            .body(axum::body::Body::empty());
        let request = set_host_from_authority(request.expect("a request")).await;
        assert_eq!(request.headers()[header::HOST], "10.0.2.2:8443");
    }

    #[test]
    fn the_public_origin_is_compared_exactly() {
        let url = PublicUrl::new(&ServerSettings {
            public_url: Some("https://iris.example.com/base".to_owned()),
            ..ServerSettings::default()
        });
        let mut headers = HeaderMap::new();
        for (host, origin, is_own) in [
            ("iris.example.com", "https://iris.example.com", true),
            ("iris.example.com", "http://iris.example.com", false),
            (
                "iris.example.com",
                "https://iris.example.com.evil.example",
                false,
            ),
            ("192.168.1.7:8080", "http://192.168.1.7:8080", true),
            ("iris.example.com", "null", false),
        ] {
            headers.insert(header::HOST, HeaderValue::from_static(host));
            assert_eq!(
                url.is_own_origin(origin, &headers),
                is_own,
                "{origin} at {host}"
            );
        }
    }
}
