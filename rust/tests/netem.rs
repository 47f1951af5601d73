//! Two peers over a bad network in virtual time: ours, and a client made of str0m that sends
//! recorded speech as Opus and hears what comes back.

mod client;

use std::time::Duration;

use client::{Call, Condition};
use str0m_netem::{GilbertElliot, Probability, RandomLoss};

/// libwebrtc takes reports that are further apart for ones of another track's time.
const JUMP_TICKS: f64 = (1 << 25) as f64;

fn random_loss(percent: f32) -> Condition {
    Condition::default().loss(RandomLoss::new(Probability::new(percent / 100.0)))
}

#[test]
fn a_clean_path_adds_no_delay_and_loses_nothing() {
    let mut call = Call::new(Condition::default());
    call.connect();
    call.talk(Duration::from_secs(10));
    let heard = call.heard();
    assert_eq!(heard.frames, 500);
    assert_eq!(heard.stat("audio_concealed_s"), 0.0);
    assert!(heard.delay_ms_max <= 1.0, "{heard:?}");
}

#[test]
fn random_loss_leaves_a_continuous_timeline_and_no_delay() {
    for percent in [1.0, 5.0, 10.0, 20.0] {
        let mut call = Call::new(random_loss(percent));
        call.connect();
        call.talk(Duration::from_secs(20));
        let heard = call.heard();
        let lost = heard.stat("audio_packets_lost");
        // The handler's clock runs on: 20 s of audio for 20 s of talking, but for the last gap.
        assert!((heard.seconds - 20.0).abs() < 0.2, "{percent} %: {heard:?}");
        assert!(
            heard.stat("audio_concealed_s") <= lost * 0.02 + 0.001,
            "{percent} %: {heard:?}"
        );
        // Back to the base within two seconds of the last loss.
        call.improve(Condition::default());
        call.talk(Duration::from_secs(2));
        call.forget_delays();
        call.talk(Duration::from_secs(5));
        let after = call.heard();
        assert!(after.delay_ms_max <= 1.0, "{percent} %: {after:?}");
    }
}

#[test]
fn bursts_are_concealed_for_their_length_only() {
    let mut call = Call::new(Condition::default().loss(GilbertElliot::wifi_lossy()));
    call.connect();
    call.talk(Duration::from_secs(20));
    let heard = call.heard();
    assert!((heard.seconds - 20.0).abs() < 0.5, "{heard:?}");
    assert!(heard.stat("audio_packets_lost") > 10.0, "{heard:?}");
}

#[test]
fn reordered_packets_are_put_in_order_not_lost() {
    let mut call = Call::new(Condition::default().latency_ms(30).reorder_gap(9));
    call.connect();
    call.talk(Duration::from_secs(20));
    let heard = call.heard();
    assert!(
        heard.reordered > 50,
        "the network did not reorder: {heard:?}"
    );
    assert!(
        heard.stat("audio_packets_lost") < 0.02 * 1000.0,
        "{heard:?}"
    );
    assert!((heard.seconds - 20.0).abs() < 0.2, "{heard:?}");
}

#[test]
fn our_sender_turns_fec_on_when_the_client_reports_loss() {
    let mut call = Call::new(random_loss(10.0));
    call.connect();
    call.echo(Duration::from_millis(800));
    assert_eq!(
        call.client_fec_share(),
        0.0,
        "before any report: CELT, without FEC"
    );
    call.echo(Duration::from_secs(4));
    call.echo(Duration::from_secs(10));
    assert!(
        call.client_fec_share() > 0.8,
        "share of packets with FEC: {}",
        call.client_fec_share()
    );
}

#[test]
fn a_silent_client_is_disconnected_after_6_s_and_closed_after_30_more() {
    let mut call = Call::new(Condition::default());
    call.connect();
    call.talk(Duration::from_secs(1));
    call.silence_network(true);
    call.pass(Duration::from_millis(5_900));
    assert_eq!(call.states(), ["live"]);
    call.pass(Duration::from_millis(2_200));
    assert_eq!(call.states(), ["live", "disconnected"]);
    call.pass(Duration::from_secs(27));
    assert_eq!(call.states().len(), 2);
    call.pass(Duration::from_secs(3));
    assert_eq!(call.states()[2], "closed: the client was not heard again");
}

#[test]
fn an_outage_of_ten_seconds_is_survived_by_the_same_peer() {
    let mut call = Call::new(Condition::default());
    call.connect();
    call.talk(Duration::from_secs(1));
    call.silence_network(true);
    call.talk(Duration::from_secs(10));
    call.silence_network(false);
    call.talk(Duration::from_secs(5));
    assert_eq!(call.states(), ["live", "disconnected", "live"]);
    call.forget_delays();
    call.talk(Duration::from_secs(3));
    assert!(call.heard().delay_ms_max <= 1.0);
}

/// A client that talks is given these ports by its NAT, one after the other.
fn is_followed_to(mut call: Call, ports: &[u16]) {
    call.connect();
    call.echo(Duration::from_secs(5));
    for (move_number, port) in ports.iter().enumerate() {
        call.rebind(*port);
        call.echo(Duration::from_secs(4));
        assert!(
            call.client_packets() > 40,
            "nothing comes back from port {port} after move {move_number}"
        );
        call.echo(Duration::from_secs(2));
        assert!(
            call.client_packets() > 95,
            "{} of 100 after move {move_number}",
            call.client_packets()
        );
    }
    assert_eq!(call.states(), ["live"]);
}

#[test]
fn a_client_whose_nat_forgot_it_is_followed_within_its_next_check() {
    is_followed_to(Call::new(Condition::default()), &[50_000, 51_000, 50_000]);
}

#[test]
fn a_client_that_offered_the_address_of_its_nat_is_followed() {
    is_followed_to(
        Call::behind_nat(Condition::default()),
        &[50_000, 51_000, 50_000],
    );
}

#[test]
fn a_client_is_followed_however_often_it_moves_there_and_back() {
    is_followed_to(
        Call::new(Condition::default()),
        &[50_000, 51_000, 50_000, 51_000, 50_000, 51_000],
    );
}

#[test]
fn a_client_that_only_listens_is_followed_too() {
    let mut call = Call::new(Condition::default());
    call.connect();
    call.pass(Duration::from_secs(5));
    call.rebind(50_000);
    call.pass(Duration::from_secs(8));
    call.server_says("still there?");
    call.pass(Duration::from_secs(1));
    assert_eq!(call.client_texts(), ["still there?"]);
    assert_eq!(call.states(), ["live"]);
}

#[test]
fn an_ice_restart_keeps_the_peer() {
    let mut call = Call::new(Condition::default());
    call.connect();
    call.talk(Duration::from_secs(1));
    call.silence_network(true);
    call.talk(Duration::from_secs(20));
    call.silence_network(false);
    call.restart_ice();
    call.talk(Duration::from_secs(5));
    assert_eq!(call.states(), ["live", "disconnected", "live"]);
    let before = call.heard().frames;
    call.talk(Duration::from_secs(1));
    assert_eq!(call.heard().frames - before, 50);
}

#[test]
fn a_candidate_that_overtakes_its_ice_restart_is_kept() {
    let mut call = Call::new(Condition::default());
    call.connect();
    // Nothing from the client can teach the server the address.
    call.silence_network(true);
    call.restart_ice_with_candidate_first();
    call.pass(Duration::from_secs(1));
    assert!(call.server_checks_moved_client());
}

#[test]
fn a_client_that_never_connects_is_given_up_after_30_s() {
    let mut call = Call::new(Condition::default());
    call.silence_network(true);
    call.pass(Duration::from_secs(29));
    assert!(call.states().is_empty());
    call.pass(Duration::from_secs(2));
    assert_eq!(call.states(), ["closed: the client did not connect"]);
}

#[test]
fn messages_cross_the_data_channel_both_ways() {
    let mut call = Call::new(Condition::default());
    call.server_says("early");
    call.connect();
    call.client_says("hello");
    call.server_says("welcome");
    call.pass(Duration::from_secs(1));
    assert_eq!(call.server_texts(), ["hello"]);
    assert_eq!(call.client_texts(), ["early", "welcome"]);
}

#[test]
fn messages_that_a_client_does_not_read_are_counted_and_end_nothing() {
    let mut call = Call::new(Condition::default());
    call.connect();
    call.silence_network(true);
    for _ in 0..100 {
        call.server_says(&"x".repeat(10_000));
    }
    call.silence_network(false);
    call.pass(Duration::from_secs(3));
    assert!(call.heard().stat("messages_not_taken") > 50.0);
    assert_eq!(call.states(), ["live"]);
    call.server_says("still here");
    call.pass(Duration::from_secs(2));
    assert_eq!(call.client_texts().last().unwrap(), "still here");
}

#[test]
fn a_goodbye_reaches_the_other_side_both_ways() {
    let mut call = Call::new(Condition::default());
    call.connect();
    call.server_closes();
    call.pass(Duration::from_secs(1));
    assert!(!call.client_is_alive());
    assert!(call.server_is_gone());

    let mut call = Call::new(Condition::default());
    call.connect();
    call.client_closes();
    call.pass(Duration::from_secs(1));
    assert_eq!(
        *call.states().last().unwrap(),
        "closed: the client closed the connection"
    );
}

#[test]
fn random_and_truncated_datagrams_harm_nobody() {
    let mut call = Call::new(Condition::default());
    call.connect();
    call.talk(Duration::from_secs(1));
    call.bombard(20_000);
    let before = call.heard().frames;
    call.talk(Duration::from_secs(1));
    assert_eq!(call.heard().frames - before, 50);
    assert_eq!(call.states(), ["live"]);
}

#[test]
fn encoded_video_crosses_both_ways_whole_and_in_order() {
    let mut call = Call::with_video(Condition::default().latency_ms(20));
    call.connect();
    call.film(3, 5_000);
    let numbers: Vec<u32> = call.server_video().iter().map(|frame| frame.0).collect();
    assert_eq!(numbers, (0..90).collect::<Vec<u32>>());
    assert_eq!(call.client_video(), numbers);
    assert!(
        call.server_video().iter().all(|frame| frame.1),
        "all contiguous"
    );
    let keyframes: Vec<u32> = call
        .server_video()
        .iter()
        .filter(|f| f.2)
        .map(|f| f.0)
        .collect();
    assert_eq!(keyframes, [0, 30, 60]);
    assert!(!call.bitrates_bps().is_empty(), "no bandwidth estimate");
}

#[test]
fn a_way_to_the_client_that_becomes_narrow_is_told_with_what_it_carries() {
    let mut call = Call::with_video(Condition::default().latency_ms(20));
    call.connect();
    call.film(3, 2_000);
    assert_eq!(call.queues(), [], "480 kbit/s go through");
    call.improve(Condition::default().latency_ms(20).carries(300));
    call.film(1, 2_000);
    let queue = call.queues().first().expect("a queue");
    // Of payload: headers, encryption and addresses take the rest.
    assert!((240_000..310_000).contains(&queue.carries_bps), "{queue:?}");
    assert!(queue.in_flight_bytes < 25_000, "{queue:?}");
}

#[test]
fn a_way_that_is_wide_again_is_found_so_while_little_is_sent() {
    let mut call = Call::with_video(Condition::default().latency_ms(20));
    call.connect();
    call.film(3, 5_000);
    call.improve(Condition::default().latency_ms(20).carries(300));
    call.film(1, 2_000);
    call.film(6, 800);
    let narrow_bps = *call.bitrates_bps().last().unwrap();
    assert!(narrow_bps < 450_000, "{narrow_bps}");
    call.improve(Condition::default().latency_ms(20));
    // 200 kbit/s, of which no estimate rises beyond 1.5 times as much without probes.
    call.film(6, 800);
    let wide_bps = *call.bitrates_bps().last().unwrap();
    assert!(wide_bps > 1_000_000, "{wide_bps}");
}

#[test]
fn lost_video_packets_are_sent_again() {
    let mut call = Call::with_video(random_loss(5.0).latency_ms(20));
    call.connect();
    call.film(5, 5_000);
    let got = call.server_video().iter().filter(|frame| frame.1).count();
    assert!(
        got >= 145,
        "{got} of 150 frames arrived whole and contiguous"
    );
    assert!(
        call.client_video().len() >= 145,
        "{} of 150",
        call.client_video().len()
    );
}

#[test]
fn keyframe_requests_reach_the_other_side() {
    let mut call = Call::with_video(Condition::default());
    call.connect();
    call.film(1, 1_000);
    assert_eq!(call.keyframe_requests(), (0, 0));
    call.server_asks_for_keyframe();
    call.client_asks_for_keyframe();
    call.pass(Duration::from_secs(1));
    assert_eq!(call.keyframe_requests(), (1, 1));
}

#[test]
fn late_pictures_do_not_part_them_from_their_sound() {
    let mut call = Call::with_video(Condition::default());
    call.connect();
    // The handler has nothing to say at first.
    call.pass(Duration::from_millis(2_500));
    call.play_film(8, |number| match number {
        // The first takes long to encode, and later the machine stalls now and then.
        0 => Duration::from_millis(120),
        _ if number % 15 == 0 => Duration::from_millis(250),
        _ => Duration::from_millis(u64::from(number % 4)),
    });
    let reports = call.client_reports();
    let of = |video: bool| {
        let mine = reports.iter().filter(move |report| report.0 == video);
        let (of_media, before): (Vec<(bool, f64, f64)>, Vec<_>) =
            mine.copied().partition(|report| report.2 > 0.0);
        assert!(of_media.len() >= 7, "{reports:?}");
        let rate_hz = if video { 90_000.0 } else { 48_000.0 };
        assert!(!before.is_empty() && of_media[0].2 * rate_hz / 1e3 > JUMP_TICKS);
        of_media
            .iter()
            .map(|(_, ntp_ms, rtp_ms)| ntp_ms - rtp_ms)
            .collect::<Vec<_>>()
    };
    // Each track has its own beginning of time: what counts is that neither moves.
    let (sound, pictures) = (of(false), of(true));
    let spread = |all: &[f64]| {
        all.iter().fold(f64::MIN, |most, at| most.max(*at))
            - all.iter().fold(f64::MAX, |least, at| least.min(*at))
    };
    assert!(spread(&sound) < 2.0, "{sound:?}");
    assert!(spread(&pictures) < 2.0, "{pictures:?}");
    let first_ms = (1u64 << 30) as f64;
    let apart_ms = (pictures[6] + first_ms / 90.0) - (sound[6] + first_ms / 48.0);
    assert!(
        apart_ms.abs() < 2.0,
        "pictures {apart_ms} ms after the sound"
    );
}
