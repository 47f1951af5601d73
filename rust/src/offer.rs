//! What an SDP offer asks for, read before anything is allocated. Pure text in, facts out;
//! negotiation itself is str0m's.

use str0m::Candidate;

use crate::handover::Refusal;
use crate::net::{self, RemoteCandidate};
use crate::path::MAX_CANDIDATES;

/// Offers longer than this are refused unread, in bytes.
pub const MAX_SDP_BYTES: usize = 128 * 1024;
/// More sections than any client needs, even with every camera and screen that it has.
const MAX_SECTIONS: usize = 16;
/// Codecs that complete frames can be exchanged in.
const VIDEO_CODECS: [&str; 4] = ["VP8", "VP9", "H264", "AV1"];

/// Which tracks a stream takes.
#[derive(Debug, Clone, Copy)]
pub struct Allowed {
    /// Audio tracks fit.
    pub audio: bool,
    /// Video tracks fit.
    pub video: bool,
    /// More than one track of a kind is let through, and ignored.
    pub extra_tracks: bool,
}

/// The facts of an acceptable offer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// The client's DTLS fingerprint, `sha-256 AB:CD:...`.
    pub fingerprint: String,
    /// The client's ICE user fragment; it changes with an ICE restart.
    pub ice_ufrag: String,
    /// The first [`MAX_CANDIDATES`] of the client's candidates that ICE can use.
    pub candidates: Vec<Candidate>,
    /// An audio section is offered.
    pub audio: bool,
    /// A video section is offered.
    pub video: bool,
    /// The client wants to receive stereo.
    pub stereo: bool,
}

#[derive(Default)]
struct Section<'a> {
    kind: &'a str,
    active: bool,
    codecs: Vec<&'a str>,
    stereo: bool,
}

/// Reads an offer.
///
/// # Errors
/// `invalid_sdp` when it is not one, `unsupported_media` when it asks for what `allowed` excludes
/// or offers no codec in common.
pub fn inspect(sdp: &str, allowed: Allowed) -> Result<Offer, Refusal> {
    if sdp.len() > MAX_SDP_BYTES {
        return Err(invalid(format!(
            "the offer has {} bytes, the limit is {MAX_SDP_BYTES}",
            sdp.len()
        )));
    }
    let mut lines = sdp.lines().map(str::trim_end);
    if lines.next() != Some("v=0") {
        return Err(invalid(
            "an SDP offer begins with the line 'v=0'; send the browser's offer unchanged",
        ));
    }
    let mut offer = Offer::default();
    let mut sections: Vec<Section> = Vec::new();
    for line in lines {
        if let Some(media) = line.strip_prefix("m=") {
            let mut words = media.split_ascii_whitespace();
            let (kind, port) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            sections.push(Section {
                kind,
                active: port != "0",
                ..Section::default()
            });
        } else if let Some(value) = line.strip_prefix("a=fingerprint:") {
            if offer.fingerprint.is_empty() {
                offer.fingerprint = normalised_fingerprint(value);
            }
        } else if let Some(value) = line.strip_prefix("a=ice-ufrag:") {
            if offer.ice_ufrag.is_empty() {
                offer.ice_ufrag = value.trim().into();
            }
        } else if line.starts_with("a=candidate:") {
            // The engine names what is wrong with a line that is none.
            if offer.candidates.len() < MAX_CANDIDATES
                && let Ok(RemoteCandidate::Usable(candidate)) = net::parse_remote(line)
            {
                offer
                    .candidates
                    .push(as_engine_knows(line).unwrap_or(candidate));
            }
        } else if let Some(section) = sections.last_mut() {
            read_attribute(section, line);
        }
    }
    if sections.len() > MAX_SECTIONS {
        return Err(unsupported(format!(
            "the offer has {} media sections, the limit is {MAX_SECTIONS}",
            sections.len()
        )));
    }
    if sections.is_empty() {
        return Err(invalid("the offer has no media section ('m=' line)"));
    }
    if offer.fingerprint.is_empty() {
        return Err(invalid(
            "the offer has no 'a=fingerprint' line; WebRTC requires DTLS",
        ));
    }
    check(&sections, allowed, &mut offer)?;
    Ok(offer)
}

/// A candidate of the offer with its related address, by which the engine tells candidates apart
/// too: it reads the offer itself, and [`net::parse_remote`] leaves that address out.
fn as_engine_knows(line: &str) -> Option<Candidate> {
    Candidate::from_sdp_string(line.strip_prefix("a=")?).ok()
}

fn read_attribute<'a>(section: &mut Section<'a>, line: &'a str) {
    if let Some(map) = line.strip_prefix("a=rtpmap:") {
        let codec = map.split_ascii_whitespace().nth(1).unwrap_or("");
        section.codecs.push(codec.split('/').next().unwrap_or(""));
    } else if let Some(format) = line.strip_prefix("a=fmtp:") {
        let parameters = format.split_once(' ').map_or("", |(_, rest)| rest);
        section.stereo |= parameters.split(';').any(|p| p.trim() == "stereo=1");
    } else if line == "a=bundle-only" {
        section.active = true;
    } else if line == "a=inactive" {
        section.active = false;
    }
}

fn check(sections: &[Section], allowed: Allowed, offer: &mut Offer) -> Result<(), Refusal> {
    for section in sections {
        let (takes, known, seen): (bool, &[&str], &mut bool) = match section.kind {
            "audio" => (allowed.audio, &["opus"], &mut offer.audio),
            "video" => (allowed.video, &VIDEO_CODECS, &mut offer.video),
            "application" => continue,
            other => {
                return Err(unsupported(format!(
                    "the offer has a section of kind {other:?}; offer audio, video or a data channel"
                )));
            }
        };
        if !section.active {
            continue;
        }
        let kind = section.kind;
        if !takes {
            if allowed.extra_tracks {
                continue;
            }
            return Err(unsupported(format!(
                "the offer has a {kind} track and this stream takes none; leave it out, or set allow_extra_tracks=True on the Stream"
            )));
        }
        if *seen && !allowed.extra_tracks {
            return Err(unsupported(format!(
                "the offer has more than one {kind} track; offer one, or set allow_extra_tracks=True on the Stream"
            )));
        }
        if !section
            .codecs
            .iter()
            .any(|c| known.iter().any(|k| k.eq_ignore_ascii_case(c)))
        {
            return Err(unsupported(format!(
                "the {kind} section offers the codecs {:?} and this server speaks {known:?}",
                section.codecs
            )));
        }
        *seen = true;
        offer.stereo |= kind == "audio" && section.stereo;
    }
    Ok(())
}

/// One spelling for comparing: lower-case hash name, upper-case hex.
fn normalised_fingerprint(value: &str) -> String {
    match value.trim().split_once(' ') {
        Some((hash, hex)) => format!(
            "{} {}",
            hash.to_ascii_lowercase(),
            hex.trim().to_ascii_uppercase()
        ),
        None => String::new(),
    }
}

/// An `invalid_sdp` refusal.
pub fn invalid(message: impl Into<String>) -> Refusal {
    Refusal {
        kind: "invalid_sdp",
        message: message.into(),
    }
}

/// An `unsupported_media` refusal.
pub fn unsupported(message: impl Into<String>) -> Refusal {
    Refusal {
        kind: "unsupported_media",
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIO_ONLY: Allowed = Allowed {
        audio: true,
        video: false,
        extra_tracks: false,
    };
    const HEAD: &str =
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=fingerprint:SHA-256 ab:cd\r\n";
    const AUDIO: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;stereo=1\r\n";
    const VIDEO: &str = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n";
    const CHANNEL: &str = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";

    fn kind(sdp: String, allowed: Allowed) -> &'static str {
        inspect(&sdp, allowed).unwrap_err().kind
    }

    #[test]
    fn facts_of_a_browser_offer() {
        let offer = inspect(&format!("{HEAD}{AUDIO}{CHANNEL}"), AUDIO_ONLY).unwrap();
        assert_eq!(
            offer,
            Offer {
                fingerprint: "sha-256 AB:CD".into(),
                audio: true,
                stereo: true,
                ..Offer::default()
            }
        );
    }

    #[test]
    fn a_channel_alone_is_welcome() {
        assert!(inspect(&format!("{HEAD}{CHANNEL}"), AUDIO_ONLY).is_ok());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert_eq!(
            kind(format!("{HEAD}{VIDEO}"), AUDIO_ONLY),
            "unsupported_media"
        );
        assert_eq!(
            kind(format!("{HEAD}{AUDIO}{AUDIO}"), AUDIO_ONLY),
            "unsupported_media"
        );
        assert_eq!(
            kind(
                format!("{HEAD}{}", AUDIO.replace("opus", "PCMU")),
                AUDIO_ONLY
            ),
            "unsupported_media"
        );
        let extra = Allowed {
            extra_tracks: true,
            ..AUDIO_ONLY
        };
        assert!(inspect(&format!("{HEAD}{AUDIO}{AUDIO}{VIDEO}"), extra).is_ok());
    }

    #[test]
    fn an_answer_is_not_made_of_a_thousand_sections() {
        let extra = Allowed {
            extra_tracks: true,
            ..AUDIO_ONLY
        };
        assert!(inspect(&format!("{HEAD}{}", AUDIO.repeat(MAX_SECTIONS)), extra).is_ok());
        assert_eq!(
            kind(format!("{HEAD}{}", AUDIO.repeat(MAX_SECTIONS + 1)), extra),
            "unsupported_media"
        );
    }

    #[test]
    fn what_is_no_offer_is_invalid() {
        for sdp in ["", "hello", HEAD, "v=0\r\nm=audio 9 x 111\r\n"] {
            assert_eq!(kind(sdp.into(), AUDIO_ONLY), "invalid_sdp", "{sdp:?}");
        }
        assert_eq!(
            kind("v=0\r\n".repeat(MAX_SDP_BYTES), AUDIO_ONLY),
            "invalid_sdp"
        );
    }
}
