//! How the WebRTC engine of a peer is set up and answers its first offer. Pure: addresses, the
//! certificate and the time are arguments.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use str0m::bwe::Bitrate;
use str0m::change::SdpOffer;
use str0m::config::DtlsCert;
use str0m::format::{Codec, FormatParams};
use str0m::media::Frequency;
use str0m::net::TcpType;
use str0m::rtp::Extension;
use str0m::{Candidate, Rtc, RtcConfig};

use crate::handover::Refusal;
use crate::offer;

/// Our RTP payload type for Opus; the answer takes the offer's number.
const OPUS_PAYLOAD_TYPE: u8 = 111;
/// Where the bandwidth estimate towards a video client starts, bits per second.
const INITIAL_VIDEO_BITRATE_BPS: u64 = 1_000_000;
/// How often a connectivity check is repeated at the longest: liveness is seen within 6 s.
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Receiver and sender reports; with str0m's five seconds a browser learns of loss too late.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The addresses at which a peer can be reached.
#[derive(Debug, Clone, Default)]
pub struct LocalAddresses {
    /// UDP host addresses, bound or public.
    pub udp: Vec<SocketAddr>,
    /// ICE-TCP host addresses.
    pub tcp: Vec<SocketAddr>,
    /// As STUN servers see us.
    pub reflexive: Vec<SocketAddr>,
    /// As TURN servers lend them.
    pub relayed: Vec<SocketAddr>,
}

/// What is particular to one peer's engine.
#[derive(Debug, Clone, Copy)]
pub struct EngineConfig {
    /// Channels that the handler wants to hear.
    pub channels: u8,
    /// Answer connectivity checks only.
    pub ice_lite: bool,
    /// The stream has video, now or after a renegotiation.
    pub video: bool,
}

/// Builds an engine and answers `sdp`.
///
/// str0m panics over some offers (one payload type for two codecs, say). The engine is new, so
/// nothing else is lost with it: such an offer is refused like any other that makes no sense.
///
/// # Errors
/// `invalid_sdp` when the engine cannot make sense of the offer.
pub fn answer(
    sdp: &str,
    config: EngineConfig,
    certificate: DtlsCert,
    addresses: &LocalAddresses,
    now: Instant,
) -> Result<(Rtc, String), Refusal> {
    catch_unwind(AssertUnwindSafe(|| {
        negotiate(sdp, config, certificate, addresses, now)
    }))
    .unwrap_or_else(|_panic| {
        Err(offer::invalid(
            "the offer contradicts itself; send the browser's offer unchanged",
        ))
    })
}

fn negotiate(
    sdp: &str,
    config: EngineConfig,
    certificate: DtlsCert,
    addresses: &LocalAddresses,
    now: Instant,
) -> Result<(Rtc, String), Refusal> {
    let parsed = SdpOffer::from_sdp_string(sdp)
        .map_err(|error| offer::invalid(format!("the offer does not parse: {error}")))?;
    let mut rtc = rtc_config(config).set_dtls_cert(certificate).build(now);
    for candidate in candidates(addresses) {
        rtc.add_local_candidate(candidate);
    }
    let answer = rtc
        .sdp_api()
        .accept_offer(parsed)
        .map_err(|error| offer::invalid(format!("the offer cannot be answered: {error}")))?;
    Ok((rtc, answer.to_sdp_string()))
}

fn rtc_config(config: EngineConfig) -> RtcConfig {
    let mut engine = RtcConfig::new()
        .set_ice_lite(config.ice_lite)
        .clear_codecs()
        .set_reordering_size_audio(0)
        .set_reordering_timeout_audio(None)
        .set_rtcp_report_interval_audio(REPORT_INTERVAL)
        .set_stats_interval(Some(REPORT_INTERVAL));
    engine.set_max_stun_rto(MAX_CHECK_INTERVAL);
    engine.codec_config().add_config(
        OPUS_PAYLOAD_TYPE.into(),
        None,
        Codec::Opus,
        Frequency::FORTY_EIGHT_KHZ,
        Some(2),
        FormatParams {
            min_p_time: Some(10),
            use_inband_fec: Some(true),
            // RFC 7587: without it the client sends mono.
            stereo: (config.channels == 2).then_some(true),
            ..FormatParams::default()
        },
    );
    if config.video {
        // Without the extension for orientation a phone turns its pictures upright itself.
        engine = engine
            .clear_extension_map()
            .set_extension(1, Extension::AudioLevel)
            .set_extension(2, Extension::AbsoluteSendTime)
            .set_extension(3, Extension::TransportSequenceNumber)
            .set_extension(4, Extension::RtpMid)
            .set_extension(10, Extension::RtpStreamId)
            .set_extension(11, Extension::RepairedRtpStreamId)
            .enable_vp8(true)
            .enable_h264(true)
            .enable_vp9(true)
            .enable_av1(true)
            .enable_bwe(Some(Bitrate::from(INITIAL_VIDEO_BITRATE_BPS)))
            // A copy of each packet, which costs little beside its encoding: when it left, and
            // the reports of that, are told in no other way.
            .enable_raw_packets(true);
    } else {
        // Transport-wide feedback would cost two packets for five of audio, to no end: nothing
        // here adapts to it.
        engine = engine
            .clear_extension_map()
            .set_extension(1, Extension::AudioLevel)
            .set_extension(4, Extension::RtpMid);
    }
    engine
}

fn candidates(addresses: &LocalAddresses) -> Vec<Candidate> {
    let base = |address: &SocketAddr| {
        addresses
            .udp
            .iter()
            .copied()
            .find(|host| host.is_ipv4() == address.is_ipv4())
    };
    let udp = addresses
        .udp
        .iter()
        .map(|host| Candidate::builder().udp().host(*host).build());
    let tcp = addresses.tcp.iter().map(|host| {
        Candidate::builder()
            .tcp()
            .host(*host)
            .tcptype(TcpType::Passive)
            .build()
    });
    let reflexive = addresses.reflexive.iter().filter_map(|mapped| {
        let base = base(mapped).filter(|base| base != mapped)?;
        Some(
            Candidate::builder()
                .udp()
                .server_reflexive(*mapped, base)
                .build(),
        )
    });
    let relayed = addresses.relayed.iter().filter_map(|lent| {
        Some(
            Candidate::builder()
                .udp()
                .relayed(*lent, base(lent)?)
                .build(),
        )
    });
    // An address that cannot be a candidate (link-local, say) is left out; others remain.
    udp.chain(tcp)
        .chain(reflexive)
        .chain(relayed)
        .filter_map(Result::ok)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use str0m::media::{Direction, MediaKind};

    #[test]
    fn pictures_are_asked_for_upright() {
        let certificate = || {
            str0m::crypto::from_feature_flags()
                .dtls_provider
                .generate_certificate()
                .unwrap()
        };
        let now = Instant::now();
        let mut client = Rtc::builder().set_dtls_cert(certificate()).build(now);
        let mut change = client.sdp_api();
        change.add_media(MediaKind::Video, Direction::SendRecv, None, None, None);
        let offer = change.apply().unwrap().0.to_sdp_string();
        assert!(offer.contains("urn:3gpp:video-orientation"));
        let config = EngineConfig {
            channels: 1,
            ice_lite: false,
            video: true,
        };
        let addresses = LocalAddresses::default();
        let (_, answer) = answer(&offer, config, certificate(), &addresses, now).unwrap();
        assert!(answer.contains("transport-wide-cc"));
        assert!(!answer.contains("video-orientation"));
    }
}
