//! The URL of a webhook, checked when it is registered.

use irisflow_messages::text;
use reqwest::Url;

use super::address::check_literal;
use crate::error::ApiError;

const MAX_BYTES: usize = 2048;

/// Parses the URL and returns it in its normal form. The addresses of a name are checked at each attempt.
pub(super) fn parse_endpoint_url(text: &str, allow_private: bool) -> Result<String, ApiError> {
    let invalid = |reason| ApiError::invalid_field("url", reason);
    if text.len() > MAX_BYTES {
        return Err(invalid(text!(
            "invalid-webhook-url-too-long",
            limit = MAX_BYTES
        )));
    }
    let url = Url::parse(text).map_err(|_| invalid(text!("invalid-webhook-url")))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        "http" => return Err(invalid(text!("invalid-webhook-url-not-https"))),
        _ => return Err(invalid(text!("invalid-webhook-url"))),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(text!("invalid-webhook-url-credentials")));
    }
    if url.fragment().is_some() || url.host_str().is_none_or(str::is_empty) {
        return Err(invalid(text!("invalid-webhook-url")));
    }
    check_literal(&url, allow_private)
        .map_err(|_| invalid(text!("invalid-webhook-url-private")))?;
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_urls_without_credentials_and_private_addresses_are_taken() {
        let long = format!("https://example.com/{}", "a".repeat(2048));
        for text in [
            "",
            "example.com",
            "ftp://example.com",
            "http://example.com/",
            "https://",
            "https://user:pass@example.com/",
            "https://user@example.com/",
            "https://127.0.0.1/",
            "https://[::ffff:10.0.0.1]/",
            "https://example.com/#part",
            "file:///etc/passwd",
            &long,
        ] {
            assert!(parse_endpoint_url(text, false).is_err(), "{text}");
        }
        let parsed = parse_endpoint_url("https://Example.com:443/hook?key=1", false);
        assert_eq!(
            parsed.expect("it is valid"),
            "https://example.com/hook?key=1"
        );
    }

    #[test]
    fn private_addresses_and_plain_http_are_taken_where_the_operator_allows_it() {
        for text in [
            "http://127.0.0.1:9000/hook",
            "https://10.0.0.1/",
            "http://localhost:1/",
        ] {
            assert!(parse_endpoint_url(text, true).is_ok(), "{text}");
        }
        assert!(parse_endpoint_url("http://user:pass@127.0.0.1/", true).is_err());
    }
}
