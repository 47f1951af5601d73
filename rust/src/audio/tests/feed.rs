use super::super::feed::{Feed, Format, Supply};
use super::super::{AudioError, FRAME_TICKS, Pcm};
use super::{rms, tone};

fn pcm(samples: Vec<i16>, rate_hz: u32, channels: u8) -> Pcm {
    Pcm {
        samples,
        rate_hz,
        channels,
    }
}

/// Takes everything there is; returns the samples and the user's ticks.
fn drain(feed: &mut Feed) -> (Vec<i16>, u64) {
    let (mut samples, mut frame, mut ticks) = (Vec::new(), Vec::new(), 0);
    while !feed.is_drained() {
        ticks += u64::from(feed.take(&mut frame));
        samples.extend_from_slice(&frame);
    }
    (samples, ticks)
}

#[test]
fn opus_rates_pass_untouched_in_pieces_of_any_length() {
    for (rate_hz, channels) in [(8_000, 1), (24_000, 1), (48_000, 2)] {
        let sound = tone(440.0, rate_hz, channels, rate_hz as usize / 4 + 7);
        for piece in [1, 113, 100_000] {
            let mut feed = Feed::new(2).unwrap();
            for piece in sound.chunks(piece * usize::from(channels)) {
                feed.push(pcm(piece.to_vec(), rate_hz, channels)).unwrap();
            }
            let frames = rate_hz as u64 / 4 + 7;
            let due = frames * 48_000 / u64::from(rate_hz);
            assert_eq!(feed.queued_ticks(), due);
            assert_eq!(feed.format(), Some(Format { rate_hz, channels }));
            let (samples, ticks) = drain(&mut feed);
            assert_eq!(samples[..sound.len()], sound);
            assert!(samples[sound.len()..].iter().all(|&sample| sample == 0));
            assert_eq!((ticks, feed.queued_ticks()), (due, 0));
        }
    }
}

#[test]
fn other_rates_become_48_khz_and_every_tick_is_accounted_for() {
    for rate_hz in [11_025, 12_345, 22_050, 44_100] {
        let mut feed = Feed::new(1).unwrap();
        let sound = tone(1_000.0, rate_hz, 1, rate_hz as usize);
        for piece in sound.chunks(777) {
            feed.push(pcm(piece.to_vec(), rate_hz, 1)).unwrap();
        }
        assert!(
            feed.queued_ticks().abs_diff(48_000) <= 30,
            "{}",
            feed.queued_ticks()
        );
        let (samples, ticks) = drain(&mut feed);
        assert_eq!((ticks, feed.queued_ticks()), (48_000, 0));
        assert!((rms(&samples[2_000..46_000]) - 7_071.0).abs() < 80.0);
        assert_eq!(
            rms(&samples[48_400..]),
            0.0,
            "nothing follows the filter's tail"
        );
    }
}

#[test]
fn a_change_of_format_loses_nothing() {
    let mut feed = Feed::new(2).unwrap();
    let formats = [
        (16_000, 1),
        (48_000, 1),
        (22_050, 1),
        (44_100, 2),
        (24_000, 2),
        (24_000, 1),
    ];
    let mut due = 0;
    for (rate_hz, channels) in formats {
        // 90 ms: the last frame of each is half empty.
        feed.push(pcm(
            tone(400.0, rate_hz, channels, rate_hz as usize * 9 / 100),
            rate_hz,
            channels,
        ))
        .unwrap();
        due += 4_320;
    }
    assert!(feed.queued_ticks().abs_diff(due) <= 2);
    let (mut frame, mut ticks, mut seen) = (Vec::new(), 0, Vec::new());
    while !feed.is_drained() {
        let format = feed.format().unwrap();
        ticks += u64::from(feed.take(&mut frame));
        assert_eq!(frame.len(), format.frame_samples());
        if seen.last() != Some(&format) {
            seen.push(format);
        }
    }
    assert!(ticks.abs_diff(due) <= 2, "{ticks}");
    let as_format = |(rate_hz, channels)| Format { rate_hz, channels };
    assert_eq!(
        seen,
        [
            (16_000, 1),
            (48_000, 1),
            (48_000, 2),
            (24_000, 2),
            (24_000, 1)
        ]
        .map(as_format)
    );
}

#[test]
fn stereo_is_mixed_down_where_it_is_not_wanted() {
    let mut feed = Feed::new(1).unwrap();
    feed.push(pcm(
        vec![i16::MAX, i16::MAX, 100, -300, i16::MIN, i16::MIN],
        48_000,
        2,
    ))
    .unwrap();
    assert_eq!(feed.queued_ticks(), 3);
    let (samples, ticks) = drain(&mut feed);
    assert_eq!(samples[..4], [i16::MAX, -100, i16::MIN, 0]);
    assert_eq!(ticks, 3);
}

#[test]
fn supply_tells_frames_from_pieces() {
    let mut feed = Feed::new(1).unwrap();
    let mut frame = Vec::new();
    assert_eq!(feed.supply(), Supply::Empty);
    feed.push(pcm(vec![1; 500], 48_000, 1)).unwrap();
    assert_eq!(feed.supply(), Supply::Partial);
    feed.push(pcm(vec![1; 500], 48_000, 1)).unwrap();
    assert_eq!(feed.supply(), Supply::Frame);
    assert_eq!(feed.take(&mut frame), FRAME_TICKS);
    assert_eq!(feed.supply(), Supply::Partial);
    // What another format follows can never become a whole frame.
    feed.push(pcm(vec![1; 50], 16_000, 1)).unwrap();
    assert_eq!(feed.supply(), Supply::Frame);
    assert_eq!(feed.take(&mut frame), 40);
    assert_eq!(feed.supply(), Supply::Partial);
    feed.clear();
    assert_eq!((feed.supply(), feed.queued_ticks()), (Supply::Empty, 0));
}

#[test]
fn clear_takes_the_resamplers_tail_along() {
    let mut feed = Feed::new(1).unwrap();
    feed.push(pcm(tone(400.0, 22_050, 1, 22_050), 22_050, 1))
        .unwrap();
    feed.clear();
    assert!(feed.is_drained());
    feed.push(pcm(vec![0; 2_205], 22_050, 1)).unwrap();
    assert_eq!(rms(&drain(&mut feed).0), 0.0);
}

#[test]
fn audio_that_makes_no_sense_is_refused() {
    let mut feed = Feed::new(2).unwrap();
    let refused = feed.push(pcm(vec![0; 3], 48_000, 2)).unwrap_err();
    assert_eq!(
        refused,
        AudioError::Interleaving {
            samples: 3,
            channels: 2
        }
    );
    assert!(matches!(
        feed.push(pcm(vec![0], 0, 1)),
        Err(AudioError::Rate { rate_hz: 0, .. })
    ));
    assert!(matches!(
        feed.push(pcm(vec![0], 48_000, 0)),
        Err(AudioError::Channels { channels: 0 })
    ));
    assert!(Feed::new(0).is_err());
    feed.push(pcm(Vec::new(), 48_000, 2)).unwrap();
    assert!(feed.is_drained());
}
