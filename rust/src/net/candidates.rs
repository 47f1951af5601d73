//! Remote ICE candidates, as browsers and other clients write them (RFC 8839 section 5.1).
//!
//! What is left of a candidate after our checks goes through `str0m`'s own parser, which accepts
//! any address and port and refuses harmless oddities in extensions. Nothing is resolved and
//! nothing is sent from here.

use std::net::{IpAddr, Ipv4Addr};

use str0m::Candidate;
use thiserror::Error;

use super::excerpt;

/// Longest accepted candidate string, bytes. Chromium's longest is about 250.
pub const MAX_CANDIDATE_LEN: usize = 1024;
/// The port that a TCP candidate of type active carries (RFC 6544 section 4.5: discard).
const DISCARD_PORT: u16 = 9;

/// What a client's candidate means for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteCandidate {
    /// To be added to the peer.
    Usable(Candidate),
    /// A host behind an mDNS name. It is not resolved: the client's own checks reveal its
    /// address as a peer-reflexive candidate.
    Mdns,
    /// A TCP candidate that only dials out. It reaches us on our own TCP port and is then
    /// peer-reflexive.
    TcpActive,
    /// A candidate for RTCP (component 2), which shares the RTP port here.
    Rtcp,
    /// The client has no more candidates.
    EndOfCandidates,
}

/// What is wrong with a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CandidateError {
    /// Longer than any candidate.
    #[error("a candidate of {0} bytes exceeds the limit of {MAX_CANDIDATE_LEN} bytes")]
    TooLong(usize),
    /// Not printable ASCII.
    #[error("a candidate may not contain the character {0:?}")]
    Character(char),
    /// Ends too early.
    #[error("the candidate ends before its {0}")]
    Missing(&'static str),
    /// A part has an impossible value.
    #[error("{value:?} is not a candidate's {part}: {expected}")]
    Part {
        /// Name of the part.
        part: &'static str,
        /// What was there.
        value: String,
        /// What should be there.
        expected: &'static str,
    },
    /// The address has a zone (`fe80::1%eth0`), which means something on its own host only.
    #[error("the address {0:?} has a zone id, which says nothing to another host")]
    Zone(String),
    /// The address is a DNS name other than mDNS.
    #[error("the address {0:?} is a host name; only IP addresses and .local names are accepted")]
    HostName(String),
    /// Nothing can be sent to the address.
    #[error("nothing can be sent to the address {0}: it is unspecified, multicast or broadcast")]
    Unreachable(IpAddr),
    /// `str0m` refused it.
    #[error("the candidate was refused: {0}")]
    Refused(String),
}

/// Reads the `candidate` of an `RTCIceCandidateInit` or an `a=candidate` line, in any browser's
/// form: with or without `a=` and `candidate:`, with or without extensions. Unknown extensions
/// and the related address are ignored.
///
/// # Errors
/// [`CandidateError`] names the part and the value. No other outcome is possible for any text.
pub fn parse_remote(candidate: &str) -> Result<RemoteCandidate, CandidateError> {
    if candidate.len() > MAX_CANDIDATE_LEN {
        return Err(CandidateError::TooLong(candidate.len()));
    }
    let text = candidate.trim_matches([' ', '\r', '\n']);
    if let Some(odd) = text.chars().find(|c| !matches!(c, ' '..='~')) {
        return Err(CandidateError::Character(odd));
    }
    let text = text.strip_prefix("a=").unwrap_or(text);
    let text = text.strip_prefix("candidate:").unwrap_or(text).trim_start();
    if text.is_empty() || text == "end-of-candidates" {
        return Ok(RemoteCandidate::EndOfCandidates);
    }
    let mut tokens = text.split_ascii_whitespace();
    let mut next = |part| tokens.next().ok_or(CandidateError::Missing(part));

    let foundation = next("foundation")?;
    let component = number::<u16>("component", next("component")?, "1 for RTP, 2 for RTCP")?;
    let transport = next("transport")?.to_ascii_lowercase();
    let priority = number::<u32>("priority", next("priority")?, "a number below 2^32")?;
    let host = next("address")?;
    let port = number::<u16>("port", next("port")?, "a number below 65536")?;
    let typ = next("type")?;
    if typ != "typ" {
        return Err(part("type", typ, "the word typ comes first"));
    }
    let kind = next("type")?;
    let extensions = Extensions::read(&mut tokens)?;

    if !matches!(component, 1 | 2) {
        return Err(part(
            "component",
            &component.to_string(),
            "1 for RTP, 2 for RTCP",
        ));
    }
    if !matches!(transport.as_str(), "udp" | "tcp" | "ssltcp" | "tls") {
        return Err(part("transport", &transport, "udp or tcp"));
    }
    if !matches!(kind, "host" | "srflx" | "prflx" | "relay") {
        return Err(part("type", kind, "one of host, srflx, prflx, relay"));
    }
    if transport == "tcp" && extensions.tcp_type.is_none() {
        return Err(CandidateError::Missing("tcptype"));
    }
    let active = transport != "udp" && extensions.tcp_type == Some("active");
    if port == 0 && !active {
        return Err(part(
            "port",
            "0",
            "the port on which the candidate receives",
        ));
    }
    let Some(ip) = address(host)? else {
        return Ok(RemoteCandidate::Mdns);
    };
    if component == 2 {
        return Ok(RemoteCandidate::Rtcp);
    }
    if active || (transport != "udp" && port == DISCARD_PORT) {
        return Ok(RemoteCandidate::TcpActive);
    }
    let mut plain =
        format!("candidate:{foundation} {component} {transport} {priority} {ip} {port} typ {kind}");
    for (key, value) in [
        ("tcptype", extensions.tcp_type),
        ("ufrag", extensions.ufrag),
    ] {
        if let Some(value) = value {
            plain.push_str(&format!(" {key} {value}"));
        }
    }
    Candidate::from_sdp_string(&plain)
        .map(RemoteCandidate::Usable)
        .map_err(|error| CandidateError::Refused(excerpt(&error.to_string(), 200)))
}

/// The extensions that matter.
#[derive(Default)]
struct Extensions<'a> {
    tcp_type: Option<&'static str>,
    ufrag: Option<&'a str>,
}

impl<'a> Extensions<'a> {
    fn read(tokens: &mut impl Iterator<Item = &'a str>) -> Result<Self, CandidateError> {
        let mut found = Self::default();
        while let Some(key) = tokens.next() {
            let value = tokens.next();
            match key {
                "tcptype" => {
                    let value = value.ok_or(CandidateError::Missing("tcptype"))?;
                    let known = ["active", "passive", "so"];
                    let known = known
                        .into_iter()
                        .find(|known| value.eq_ignore_ascii_case(known));
                    let refused = || part("tcptype", value, "one of active, passive, so");
                    found.tcp_type = Some(known.ok_or_else(refused)?);
                }
                "ufrag" => found.ufrag = Some(value.ok_or(CandidateError::Missing("ufrag"))?),
                _ => {}
            }
        }
        Ok(found)
    }
}

/// The IP address, `None` for an mDNS name.
fn address(host: &str) -> Result<Option<IpAddr>, CandidateError> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        let ip = ip.to_canonical();
        return if is_destination(ip) {
            Ok(Some(ip))
        } else {
            Err(CandidateError::Unreachable(ip))
        };
    }
    if bare.contains('%') {
        return Err(CandidateError::Zone(excerpt(host, 64)));
    }
    let name = host.to_ascii_lowercase();
    let is_name = name.contains(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
    match name.strip_suffix(".local") {
        Some(label) if is_name && !label.is_empty() => Ok(None),
        _ if is_name => Err(CandidateError::HostName(excerpt(host, 64))),
        _ => Err(part("address", host, "an IPv4 or IPv6 address")),
    }
}

/// Whether a datagram can be sent there.
pub(super) fn is_destination(ip: IpAddr) -> bool {
    let this_network = |ip: Ipv4Addr| ip.octets()[0] == 0;
    !ip.is_multicast()
        && match ip {
            IpAddr::V4(ip) => !ip.is_broadcast() && !this_network(ip),
            IpAddr::V6(ip) => !ip.is_unspecified(),
        }
}

fn number<T: std::str::FromStr>(
    name: &'static str,
    value: &str,
    expected: &'static str,
) -> Result<T, CandidateError> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if digits { value.parse().ok() } else { None };
    parsed.ok_or_else(|| part(name, value, expected))
}

fn part(part: &'static str, value: &str, expected: &'static str) -> CandidateError {
    CandidateError::Part {
        part,
        value: excerpt(value, 64),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use str0m::CandidateKind;
    use str0m::net::{Protocol, TcpType};

    fn usable(text: &str) -> Candidate {
        match parse_remote(text) {
            Ok(RemoteCandidate::Usable(candidate)) => candidate,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn every_browser_is_understood() {
        for (text, address, kind) in [
            // Chromium
            (
                "candidate:2999745851 1 udp 2122194687 192.168.56.1 61764 typ host \
                 generation 0 ufrag EsAw network-id 1 network-cost 10",
                "192.168.56.1:61764",
                CandidateKind::Host,
            ),
            (
                "candidate:842163049 1 udp 1677729535 203.0.113.9 46154 typ srflx raddr 0.0.0.0 \
                 rport 0 generation 0 ufrag EEtu network-id 1",
                "203.0.113.9:46154",
                CandidateKind::ServerReflexive,
            ),
            // Firefox
            (
                "candidate:0 1 UDP 2122252543 192.0.2.7 45678 typ host",
                "192.0.2.7:45678",
                CandidateKind::Host,
            ),
            (
                "candidate:3 1 UDP 92217343 198.51.100.4 60000 typ relay \
                 raddr 198.51.100.4 rport 60000",
                "198.51.100.4:60000",
                CandidateKind::Relayed,
            ),
            // Safari, aiortc, hand-written SDP lines
            (
                "a=candidate:1 1 udp 2113937151 2001:db8::7 5000 typ host generation 0\r\n",
                "[2001:db8::7]:5000",
                CandidateKind::Host,
            ),
            (
                "6fc1b1f1a3f5d4a0c6ee33a1e0b0fd51 1 udp 1694498815 203.0.113.9 1 typ prflx",
                "203.0.113.9:1",
                CandidateKind::PeerReflexive,
            ),
            // A related address that is a name, an address mapped into IPv6, a lone extension
            (
                "candidate:1 1 udp 7 ::ffff:192.0.2.7 80 typ srflx raddr x.local rport 9 odd",
                "192.0.2.7:80",
                CandidateKind::ServerReflexive,
            ),
        ] {
            let candidate = usable(text);
            assert_eq!(
                (candidate.addr().to_string().as_str(), candidate.kind()),
                (address, kind)
            );
            assert_eq!(candidate.proto(), Protocol::Udp);
        }
    }

    #[test]
    fn extensions_that_matter_are_kept() {
        let text = "candidate:1 1 TCP 1518280447 192.0.2.7 443 typ host tcptype Passive \
                    generation 0 ufrag Ab+/ network-cost 999";
        let candidate = usable(text);
        assert_eq!(candidate.proto(), Protocol::Tcp);
        assert_eq!(candidate.tcptype(), Some(TcpType::Passive));
        assert_eq!(candidate.ufrag(), Some("Ab+/"));
        assert_eq!(candidate.prio(), 1_518_280_447);
    }

    #[test]
    fn candidates_that_come_by_another_way_are_told_apart() {
        for (text, expected) in [
            (
                "candidate:1 1 udp 2113937151 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 54596 \
                 typ host generation 0 ufrag EEtu network-cost 999",
                RemoteCandidate::Mdns,
            ),
            (
                "candidate:1 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active generation 0",
                RemoteCandidate::TcpActive,
            ),
            (
                "candidate:1 1 tcp 1518280447 192.0.2.7 0 typ host tcptype active",
                RemoteCandidate::TcpActive,
            ),
            (
                "candidate:0 2 UDP 2122252542 192.0.2.7 45679 typ host",
                RemoteCandidate::Rtcp,
            ),
            ("", RemoteCandidate::EndOfCandidates),
            (" \r\n", RemoteCandidate::EndOfCandidates),
            ("candidate:", RemoteCandidate::EndOfCandidates),
            ("a=end-of-candidates", RemoteCandidate::EndOfCandidates),
        ] {
            assert_eq!(parse_remote(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn each_error_names_what_was_wrong() {
        for (text, words) in [
            ("candidate:1 1 udp 5 192.0.2.7", "before its port"),
            ("candidate:1 1 udp 5 192.0.2.7 80", "before its type"),
            ("candidate:1 1 udp 5 192.0.2.7 80 typ", "before its type"),
            (
                "candidate:1 3 udp 5 192.0.2.7 80 typ host",
                "\"3\" is not a candidate's component",
            ),
            (
                "candidate:1 1 sctp 5 192.0.2.7 80 typ host",
                "\"sctp\" is not a",
            ),
            (
                "candidate:1 1 udp -5 192.0.2.7 80 typ host",
                "\"-5\" is not a candidate's priority",
            ),
            (
                "candidate:1 1 udp 5 192.0.2.7 0 typ host",
                "\"0\" is not a candidate's port",
            ),
            (
                "candidate:1 1 udp 5 192.0.2.7 65536 typ host",
                "\"65536\" is not a",
            ),
            (
                "candidate:1 1 udp 5 192.0.2.7 80 typ guest",
                "\"guest\" is not a candidate's type",
            ),
            (
                "candidate:1 1 udp 5 192.0.2.7 80 host",
                "\"host\" is not a candidate's type",
            ),
            (
                "candidate:1 1 udp 5 192.0.2.777 80 typ host",
                "\"192.0.2.777\" is not a",
            ),
            ("candidate:1 1 udp 5 fe80::1%eth0 80 typ host", "zone id"),
            (
                "candidate:1 1 udp 5 example.org 80 typ host",
                "\"example.org\" is a host name",
            ),
            (
                "candidate:1 1 udp 5 .local 80 typ host",
                "\".local\" is a host name",
            ),
            (
                "candidate:1 1 udp 5 224.0.0.1 80 typ host",
                "224.0.0.1: it is",
            ),
            ("candidate:1 1 udp 5 ff02::1 80 typ host", "ff02::1: it is"),
            ("candidate:1 1 udp 5 0.0.0.0 80 typ host", "0.0.0.0: it is"),
            (
                "candidate:1 1 udp 5 255.255.255.255 80 typ host",
                "255.255.255.255: it is",
            ),
            (
                "candidate:1 1 tcp 5 192.0.2.7 80 typ host",
                "before its tcptype",
            ),
            (
                "candidate:1 1 tcp 5 192.0.2.7 80 typ host tcptype odd",
                "\"odd\" is not a",
            ),
            (
                "candidate:1 1 udp 5 192.0.2.7 80 typ host ufrag",
                "before its ufrag",
            ),
            (
                "candidate:1 1 udp 5\n192.0.2.7 80 typ host",
                "character '\\n'",
            ),
            (
                "candidate:1 1 udp 5 192.0.2.7\u{a0}80 typ host",
                "character '\\u{a0}'",
            ),
        ] {
            let error = parse_remote(text).expect_err(text).to_string();
            assert!(error.contains(words), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_huge_candidate_is_refused_with_a_short_message() {
        let huge = format!("candidate:{}", "1 ".repeat(500_000));
        assert_eq!(
            parse_remote(&huge),
            Err(CandidateError::TooLong(huge.len()))
        );
        let long_part = format!("candidate:1 1 {} 5 192.0.2.7 80 typ host", "u".repeat(900));
        assert!(parse_remote(&long_part).unwrap_err().to_string().len() < 200);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in r"(candidate:)?[ -~]{0,120}|.{0,60}") {
            if let Err(error) = parse_remote(&text) {
                prop_assert!(error.to_string().len() < 500);
            }
        }

        #[test]
        fn shuffled_words_never_panic(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "1", "2", "udp", "TCP", "typ", "host", "srflx", "192.0.2.1", "::1", "9", "0",
                    "x.local", "tcptype", "active", "ufrag", "raddr", "rport", "4294967296", "%",
                ]),
                0..20,
            )
        ) {
            let _ = parse_remote(&format!("candidate:{}", words.join(" ")));
        }

        #[test]
        fn mutations_of_a_valid_candidate_are_parsed_or_refused(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 1..5),
        ) {
            let valid = "candidate:842163049 1 udp 1677729535 203.0.113.9 46154 typ srflx \
                         raddr 10.0.0.1 rport 5 generation 0 ufrag EEtu network-id 1";
            let mut text: Vec<char> = valid.chars().collect();
            for (position, letter) in edits {
                let position = position.index(text.len());
                text[position] = letter;
            }
            let text: String = text.into_iter().collect();
            if let Ok(RemoteCandidate::Usable(candidate)) = parse_remote(&text) {
                prop_assert!(is_destination(candidate.addr().ip()));
                prop_assert!(candidate.addr().port() != 0);
            }
        }
    }
}
