//! How clients reach this server, and the URLs that are handed to them.

use axum::http::{HeaderMap, header};
use irisflow_photos::{Access, ObjectKey};

use crate::app::AppState;
use crate::settings::ServerSettings;

#[derive(Debug)]
pub(crate) struct PublicUrl {
    fixed: Option<String>,
    listen: std::net::SocketAddr,
    /// Without a configured address.
    scheme: &'static str,
}

/// The start of all URLs in one answer, as in `http://127.0.0.1:8080`.
#[derive(Debug, Clone)]
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
            scheme: if settings.tls.is_some() {
                "https"
            } else {
                "http"
            },
        }
    }

    /// The configured address. Without one, the request's `Host`, but only when it is loopback: a
    /// `Host` that a stranger chose must not end up in links.
    pub(crate) fn base(&self, headers: &HeaderMap) -> BaseUrl {
        if let Some(fixed) = &self.fixed {
            return BaseUrl(fixed.clone());
        }
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        match host {
            Some(host) if is_loopback(host) => BaseUrl(format!("{}://{host}", self.scheme)),
            _ => BaseUrl(format!("{}://{}", self.scheme, self.listen)),
        }
    }

    /// Whether a browser page of this origin is ours.
    pub(crate) fn is_own_origin(&self, origin: &str, headers: &HeaderMap) -> bool {
        if self.fixed.as_deref() == Some(origin) {
            return true;
        }
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        match (origin.split_once("://"), host) {
            (Some((_, origin_host)), Some(host)) => origin_host.eq_ignore_ascii_case(host),
            _ => false,
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let plain = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".:[]-".contains(&byte));
    let address: Option<std::net::IpAddr> = name.parse().ok();
    plain && (name == "localhost" || address.is_some_and(|address| address.is_loopback()))
}

impl AppState {
    /// A link to read `key`, and when it ends.
    pub(crate) fn download_url(&self, base: &BaseUrl, key: &ObjectKey) -> String {
        let life = self.settings.download_url_life;
        let query = self.signer.sign(key, &Access::Read, self.now(), life);
        format!("{}/api/v1/files/{key}?{query}", base.0)
    }

    pub(crate) fn upload_url(&self, base: &BaseUrl, key: &ObjectKey, content_type: &str) -> String {
        let access = Access::Write {
            content_type: content_type.to_owned(),
        };
        let query = self
            .signer
            .sign(key, &access, self.now(), self.settings.upload_url_life);
        format!("{}/api/v1/files/{key}?{query}", base.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_hosts_are_believed() {
        for host in ["127.0.0.1:8080", "localhost", "localhost:9", "[::1]:8080"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost:80@evil",
            "::1/x",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_strangers_host_header_does_not_end_up_in_links() {
        let public = PublicUrl::new(&ServerSettings::default());
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "evil.example".parse().expect("a header"));
        assert_eq!(public.base(&headers).0, "http://127.0.0.1:8080");
    }
}
