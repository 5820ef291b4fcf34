//! Where NATS is, and how to be let in.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use url::Url;

/// How often NATS is asked whether it is still there. It counts as away after two answers are missing.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const CONNECTION_LIMIT: Duration = Duration::from_secs(5);
const LONGEST_RECONNECT_PAUSE: Duration = Duration::from_secs(2);
/// Messages that may wait for this process before NATS messages are dropped.
const SUBSCRIPTION_CAPACITY: usize = 64 * 1024;

/// Servers of one NATS cluster. Neither `Debug` nor `Display` shows the credentials.
#[derive(Clone)]
pub struct NatsSettings {
    servers: Vec<ServerAddr>,
    credentials: Option<Credentials>,
    /// What all subjects begin with: services that share a NATS cluster need different ones.
    pub subject_prefix: String,
    pub tls: NatsTls,
}

/// Files for TLS, as PEM.
#[derive(Debug, Clone, Default)]
pub struct NatsTls {
    /// Certificates that are trusted in place of those of the system.
    pub authorities: Option<PathBuf>,
    /// Certificate chain and private key of this client.
    pub client: Option<(PathBuf, PathBuf)>,
}

#[derive(Clone)]
enum Credentials {
    Password { user: String, password: String },
    Token(String),
}

#[derive(Debug, thiserror::Error)]
#[error(
    "not the address of a NATS server: write nats://host:4222, or tls://user:password@host:4222, several of one \
     cluster separated by commas"
)]
pub struct NatsSettingsError;

impl FromStr for NatsSettings {
    type Err = NatsSettingsError;

    fn from_str(text: &str) -> Result<Self, NatsSettingsError> {
        let urls: Vec<Url> = text
            .split(',')
            .map(|url| Url::parse(url.trim()))
            .collect::<Result<_, _>>()
            .map_err(|_| NatsSettingsError)?;
        let is_nats = |url: &Url| matches!(url.scheme(), "nats" | "tls") && url.has_host();
        if !urls.iter().all(is_nats) {
            return Err(NatsSettingsError);
        }
        let credentials = urls.iter().find_map(credentials_of).transpose()?;
        let servers = urls.into_iter().map(without_credentials);
        let servers = servers.map(ServerAddr::from_url).collect::<Result<_, _>>();
        Ok(Self {
            servers: servers.map_err(|_| NatsSettingsError)?,
            credentials,
            subject_prefix: "irisflow".to_owned(),
            tls: NatsTls::default(),
        })
    }
}

fn credentials_of(url: &Url) -> Option<Result<Credentials, NatsSettingsError>> {
    if url.username().is_empty() {
        return None;
    }
    let decoded = |text: &str| {
        let text =
            url::form_urlencoded::parse(format!("x={}", text.replace('+', "%2B")).as_bytes())
                .next()
                .map(|(_, value)| value.into_owned());
        text.ok_or(NatsSettingsError)
    };
    let credentials = decoded(url.username()).and_then(|user| match url.password() {
        None => Ok(Credentials::Token(user)),
        Some(password) => Ok(Credentials::Password {
            user,
            password: decoded(password)?,
        }),
    });
    Some(credentials)
}

fn without_credentials(mut url: Url) -> Url {
    // They fail for a URL without a host only.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

impl NatsSettings {
    pub(crate) fn servers(&self) -> Vec<ServerAddr> {
        self.servers.clone()
    }

    pub(crate) fn options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new()
            .name("irisflow")
            .no_echo()
            .ping_interval(PING_INTERVAL)
            .connection_timeout(CONNECTION_LIMIT)
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .reconnect_delay_callback(reconnect_pause);
        options = match self.credentials.clone() {
            None => options,
            Some(Credentials::Token(token)) => options.token(token),
            Some(Credentials::Password { user, password }) => {
                options.user_and_password(user, password)
            }
        };
        if let Some(authorities) = &self.tls.authorities {
            options = options.add_root_certificates(authorities.clone());
        }
        if let Some((certificate, key)) = &self.tls.client {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        options
    }
}

fn reconnect_pause(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(8);
    (Duration::from_millis(50) * 2_u32.pow(doublings)).min(LONGEST_RECONNECT_PAUSE)
}

impl std::fmt::Display for NatsSettings {
    /// The addresses of the servers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, server) in self.servers.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}", server.clone().into_inner())?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NatsSettings({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_their_credentials() {
        let settings: NatsSettings = "nats://iris:s%2Bcret@one:4222, tls://two:4223"
            .parse()
            .expect("addresses");
        for shown in [settings.to_string(), format!("{settings:?}")] {
            assert!(shown.contains("nats://one:4222,tls://two:4223"), "{shown}");
            assert!(
                !shown.contains("cret") && !shown.contains("iris:"),
                "{shown}"
            );
        }
        match settings.credentials {
            Some(Credentials::Password { user, password }) => {
                assert_eq!((user.as_str(), password.as_str()), ("iris", "s+cret"));
            }
            _ => panic!("a user and a password"),
        }
    }

    #[test]
    fn a_user_without_a_password_is_a_token() {
        let settings: NatsSettings = "nats://t0ken@one".parse().expect("an address");
        assert!(
            matches!(settings.credentials, Some(Credentials::Token(token)) if token == "t0ken")
        );
    }

    #[test]
    fn what_is_no_address_of_a_nats_server_is_refused_without_showing_it() {
        for text in [
            "",
            "one:4222",
            "http://user:secret@one",
            "nats://",
            "nats://a,x",
        ] {
            let error = text.parse::<NatsSettings>().expect_err(text);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
