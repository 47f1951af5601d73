//! URLs of STUN and TURN servers, RFC 7064 and RFC 7065.
//!
//! Host names are not resolved here: the caller gets host and port and asks the system's
//! resolver, away from the media threads.

use std::fmt;
use std::net::Ipv6Addr;

use thiserror::Error;

use super::excerpt;

/// The port of STUN and TURN when a URL names none (RFC 8489, RFC 8656).
const DEFAULT_PORT: u16 = 3478;
/// Longest DNS name.
const MAX_HOST_LEN: usize = 253;

/// How to talk to a TURN server. The relayed address is UDP either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream, for networks that block UDP.
    Tcp,
}

/// What a server is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Our server-reflexive address.
    Stun,
    /// A relayed address.
    Turn(Transport),
}

/// One STUN or TURN server, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IceServer {
    /// What it is for.
    pub service: Service,
    /// DNS name or IP address, an IPv6 address without brackets.
    pub host: String,
    /// Port, never 0.
    pub port: u16,
}

/// What is wrong with a server's URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IceServerError {
    /// No known scheme.
    #[error("{0:?} is not the URL of an ICE server: write stun:HOST:PORT or turn:HOST:PORT")]
    Scheme(String),
    /// `stuns:` and `turns:`.
    #[error(
        "{0:?}: STUN and TURN over TLS are not supported by the media plane; \
         use turn:HOST:PORT?transport=tcp, where the media stays encrypted by DTLS-SRTP"
    )]
    Tls(String),
    /// The host is missing or can not be one.
    #[error("{0:?} has no usable host: give a DNS name, an IPv4 address or an [IPv6] address")]
    Host(String),
    /// The port is no number from 1 to 65535.
    #[error("{0:?} has no usable port: give a number from 1 to 65535, or none for 3478")]
    Port(String),
    /// A query other than `transport=udp` or `transport=tcp`.
    #[error("{0:?}: only ?transport=udp or ?transport=tcp may follow a turn: URL")]
    Query(String),
}

impl IceServer {
    /// Reads `stun:HOST[:PORT]` or `turn:HOST[:PORT][?transport=udp|tcp]`; the scheme's case does
    /// not matter, the default port is 3478 and TURN's default transport is UDP.
    ///
    /// # Errors
    /// [`IceServerError`] says which part can not be used.
    pub fn parse(url: &str) -> Result<Self, IceServerError> {
        let shown = || excerpt(url, 80);
        let (scheme, rest) = url
            .trim()
            .split_once(':')
            .ok_or_else(|| IceServerError::Scheme(shown()))?;
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        let service = match (scheme.to_ascii_lowercase().as_str(), query) {
            ("stun", None) => Service::Stun,
            ("turn", None | Some("transport=udp")) => Service::Turn(Transport::Udp),
            ("turn", Some("transport=tcp")) => Service::Turn(Transport::Tcp),
            ("stun" | "turn", Some(_)) => return Err(IceServerError::Query(shown())),
            ("stuns" | "turns", _) => return Err(IceServerError::Tls(shown())),
            _ => return Err(IceServerError::Scheme(shown())),
        };
        let (host, port) =
            split_authority(authority).ok_or_else(|| IceServerError::Host(shown()))?;
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => parse_port(port).ok_or_else(|| IceServerError::Port(shown()))?,
        };
        Ok(Self {
            service,
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, query) = match self.service {
            Service::Stun => ("stun", ""),
            Service::Turn(Transport::Udp) => ("turn", "?transport=udp"),
            Service::Turn(Transport::Tcp) => ("turn", "?transport=tcp"),
        };
        if self.host.contains(':') {
            write!(f, "{scheme}:[{}]:{}{query}", self.host, self.port)
        } else {
            write!(f, "{scheme}:{}:{}{query}", self.host, self.port)
        }
    }
}

/// Host without brackets, and the text after its colon.
fn split_authority(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => after.is_empty().then_some((host, None)),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let is_host_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let usable = !host.is_empty() && host.len() <= MAX_HOST_LEN && host.chars().all(is_host_char);
    usable.then_some((host, port))
}

/// Decimal digits only, 1 to 65535.
pub(super) fn parse_port(text: &str) -> Option<u16> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|&port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(url: &str) -> (Service, String, u16) {
        let server = IceServer::parse(url).unwrap_or_else(|error| panic!("{error}"));
        (server.service, server.host, server.port)
    }

    #[test]
    fn every_documented_form_is_read() {
        let (udp, tcp) = (Service::Turn(Transport::Udp), Service::Turn(Transport::Tcp));
        for (url, expected) in [
            (
                "stun:stun.example.org",
                (Service::Stun, "stun.example.org", 3478),
            ),
            ("STUN:192.0.2.1:19302", (Service::Stun, "192.0.2.1", 19302)),
            ("turn:turn.example.org", (udp, "turn.example.org", 3478)),
            (
                "turn:turn.example.org:80?transport=tcp",
                (tcp, "turn.example.org", 80),
            ),
            (
                "turn:[2001:db8::1]?transport=udp",
                (udp, "2001:db8::1", 3478),
            ),
            (" turn:[::1]:3479?transport=tcp\n", (tcp, "::1", 3479)),
        ] {
            let (service, host, port) = parsed(url);
            assert_eq!((service, host.as_str(), port), expected, "{url}");
        }
    }

    #[test]
    fn each_error_names_the_part() {
        use IceServerError as E;
        let s = str::to_owned;
        for (url, expected) in [
            ("example.org", E::Scheme(s("example.org"))),
            ("http:example.org", E::Scheme(s("http:example.org"))),
            ("turns:example.org", E::Tls(s("turns:example.org"))),
            ("stuns:example.org", E::Tls(s("stuns:example.org"))),
            ("turn:", E::Host(s("turn:"))),
            ("turn://example.org", E::Host(s("turn://example.org"))),
            ("turn:user@example.org", E::Host(s("turn:user@example.org"))),
            ("turn:2001:db8::1", E::Port(s("turn:2001:db8::1"))),
            ("turn:[example.org]", E::Host(s("turn:[example.org]"))),
            ("turn:[::1]x", E::Host(s("turn:[::1]x"))),
            ("turn:example.org:0", E::Port(s("turn:example.org:0"))),
            ("turn:example.org:+80", E::Port(s("turn:example.org:+80"))),
            ("turn:example.org:", E::Port(s("turn:example.org:"))),
            (
                "turn:example.org:65536",
                E::Port(s("turn:example.org:65536")),
            ),
            (
                "stun:example.org?transport=udp",
                E::Query(s("stun:example.org?transport=udp")),
            ),
            (
                "turn:example.org?transport=sctp",
                E::Query(s("turn:example.org?transport=sctp")),
            ),
        ] {
            assert_eq!(IceServer::parse(url), Err(expected), "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(url in "(stun|turn|turns|TURN)?:?.{0,60}") {
            if let Ok(server) = IceServer::parse(&url) {
                prop_assert!(server.port != 0);
                prop_assert_eq!(IceServer::parse(&server.to_string()), Ok(server));
            }
        }
    }
}
