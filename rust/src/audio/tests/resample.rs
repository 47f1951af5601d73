use super::super::resample::Resampler;
use super::{rms, tone};

/// Converts in pieces of `piece` samples per channel, then flushes.
fn convert(from_hz: u32, to_hz: u32, channels: u8, pcm: &[i16], piece: usize) -> Vec<i16> {
    let mut resampler = Resampler::new(from_hz, to_hz, channels).unwrap();
    let mut out = Vec::new();
    for piece in pcm.chunks(piece * usize::from(channels)) {
        resampler.push(piece, &mut out);
    }
    resampler.flush(&mut out);
    assert_eq!(resampler.owed_frames(), 0);
    out
}

/// Level of one frequency in mono samples, by correlation.
fn level_at(frequency_hz: f64, rate_hz: u32, samples: &[i16]) -> f64 {
    let step = std::f64::consts::TAU * frequency_hz / f64::from(rate_hz);
    let (mut re, mut im) = (0.0, 0.0);
    for (n, &sample) in samples.iter().enumerate() {
        re += f64::from(sample) * (n as f64 * step).cos();
        im += f64::from(sample) * (n as f64 * step).sin();
    }
    re.hypot(im) * 2.0 / samples.len() as f64
}

#[test]
fn twenty_milliseconds_in_give_twenty_milliseconds_out() {
    for rate_hz in [4_000, 8_050, 11_050, 16_050, 22_050, 32_000, 44_100, 96_000] {
        for (from_hz, to_hz) in [(48_000, rate_hz), (rate_hz, 48_000)] {
            let mut resampler = Resampler::new(from_hz, to_hz, 1).unwrap();
            for _ in 0..10 {
                let mut out = Vec::new();
                resampler.push(&vec![0; from_hz as usize / 50], &mut out);
                assert_eq!(out.len(), to_hz as usize / 50, "{from_hz} to {to_hz} Hz");
            }
        }
    }
}

#[test]
fn the_delay_is_what_it_says_and_short() {
    for (from_hz, to_hz) in [
        (48_000, 44_100),
        (22_050, 48_000),
        (48_000, 32_000),
        (12_345, 48_000),
    ] {
        let resampler = Resampler::new(from_hz, to_hz, 1).unwrap();
        let delay_ms = resampler.delay_ms();
        assert!(delay_ms <= 5.5, "{from_hz} to {to_hz} Hz: {delay_ms} ms");
        let mut click = vec![0; from_hz as usize / 5];
        click[0] = 30_000;
        let out = convert(from_hz, to_hz, 1, &click, 100);
        let peak = (0..out.len()).max_by_key(|&n| out[n]).unwrap();
        let peak_ms = peak as f64 * 1e3 / f64::from(to_hz);
        assert!(
            (peak_ms - delay_ms).abs() < 0.1,
            "{from_hz} to {to_hz} Hz: {peak_ms} ms"
        );
    }
}

#[test]
fn tones_keep_their_frequency_and_level_in_pieces_of_any_length() {
    for (from_hz, to_hz) in [
        (44_100, 48_000),
        (48_000, 22_050),
        (11_025, 48_000),
        (12_345, 48_000),
    ] {
        let pcm = tone(1_000.0, from_hz, 1, from_hz as usize);
        for piece in [1, 97, 480, 50_000] {
            let out = convert(from_hz, to_hz, 1, &pcm, piece);
            let delay_ms = Resampler::new(from_hz, to_hz, 1).unwrap().delay_ms();
            let due = f64::from(to_hz) * (1.0 + delay_ms / 1e3);
            assert!((out.len() as f64 - due).abs() <= 1.0, "{}", out.len());
            let middle = &out[to_hz as usize / 4..to_hz as usize * 3 / 4];
            let level = level_at(1_000.0, to_hz, middle);
            assert!(
                (level - 10_000.0).abs() < 100.0,
                "{from_hz} to {to_hz} Hz: {level}"
            );
        }
    }
}

#[test]
fn what_the_new_rate_cannot_hold_is_filtered_out() {
    let pcm = tone(15_000.0, 48_000, 1, 48_000);
    let out = convert(48_000, 22_050, 1, &pcm, 960);
    assert!(
        rms(&out[2_000..20_000]) < 10.0,
        "{}",
        rms(&out[2_000..20_000])
    );
}

#[test]
fn channels_stay_apart() {
    let mut pcm = tone(1_000.0, 44_100, 2, 44_100);
    pcm.iter_mut()
        .skip(1)
        .step_by(2)
        .for_each(|right| *right = 0);
    let out = convert(44_100, 48_000, 2, &pcm, 441);
    let left: Vec<i16> = out.iter().copied().step_by(2).collect();
    let right: Vec<i16> = out.iter().copied().skip(1).step_by(2).collect();
    assert!(rms(&left) > 6_500.0);
    assert_eq!(rms(&right), 0.0);
}

#[test]
fn reset_forgets_the_past() {
    let mut resampler = Resampler::new(22_050, 48_000, 1).unwrap();
    let mut out = Vec::new();
    resampler.push(&tone(500.0, 22_050, 1, 1_000), &mut out);
    resampler.reset();
    assert_eq!(resampler.owed_frames(), 0);
    out.clear();
    resampler.push(&[0; 4_410], &mut out);
    assert!(out.len() > 9_000 && out.iter().all(|&sample| sample == 0));
}

#[test]
fn impossible_rates_and_layouts_are_errors() {
    assert!(Resampler::new(0, 48_000, 1).is_err());
    assert!(Resampler::new(48_000, 1_000_000, 1).is_err());
    assert!(Resampler::new(48_000, 44_100, 0).is_err());
}
