//! Whether audio sounds as it did before, so that it may wait while nobody speaks.
//!
//! Pure. A frame is as loud as usual if its power and that of its differences, which a rumble does
//! not hide a voice in, are near their averages over the last second or so.

use crate::audio::Pcm;

/// A frame with so many times the usual power (3 dB) is something else. Frames of steady noise
/// stray by a tenth.
const RATIO: f32 = 2.0;
/// How much a new frame counts in what is usual.
const PACE: f32 = 0.04;
/// Power of each sample below which there is nothing to hear: a digital silence that is dithered.
const FLOOR: f32 = 4.0;

/// Power per sample: of the sound, and of the differences between its samples.
type Levels = [f32; 2];

/// What one session sounds like while nobody speaks.
#[derive(Debug, Default)]
pub struct Lull {
    usual: Option<Levels>,
}

impl Lull {
    /// Takes the next frame; whether it is no louder than those before. The first one is not.
    pub fn goes_on(&mut self, pcm: &Pcm) -> bool {
        let levels = levels(&pcm.samples, usize::from(pcm.channels.max(1)));
        let Some(usual) = &mut self.usual else {
            self.usual = Some(levels);
            return false;
        };
        let mut goes_on = true;
        for (usual, level) in usual.iter_mut().zip(levels) {
            goes_on &= level <= RATIO * *usual;
            // One knock, however loud, lifts it by no more than a frame that is barely louder.
            *usual += PACE * (level.min(RATIO * *usual) - *usual);
        }
        goes_on
    }
}

fn levels(samples: &[i16], channels: usize) -> Levels {
    let power = |sum: i64, count: usize| sum as f32 / count.max(1) as f32 + FLOOR;
    let square = |value: i32| i64::from(value) * i64::from(value);
    let sound = samples.iter().map(|&sample| square(sample.into())).sum();
    let later = samples.get(channels..).unwrap_or_default();
    let differences = samples
        .iter()
        .zip(later)
        .map(|(&a, &b)| square(i32::from(b) - i32::from(a)))
        .sum();
    [power(sound, samples.len()), power(differences, later.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(sample: impl Fn(f32) -> f32) -> Pcm {
        Pcm {
            samples: (0..960)
                .map(|i| sample(i as f32 / 48_000.0) as i16)
                .collect(),
            rate_hz: 48_000,
            channels: 1,
        }
    }

    /// Noise that is the same each time.
    fn noise(seed: u32, amplitude: i32) -> Pcm {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let samples = (0..960)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((state >> 16) as i32 % (2 * amplitude) - amplitude) as i16
            })
            .collect();
        Pcm {
            samples,
            rate_hz: 48_000,
            channels: 1,
        }
    }

    #[test]
    fn steady_noise_goes_on_and_digital_silence_too() {
        let mut lull = Lull::default();
        assert!(!lull.goes_on(&noise(0, 300)));
        assert!((1..500).all(|seed| lull.goes_on(&noise(seed, 300))));
        let mut lull = Lull::default();
        lull.goes_on(&frame(|_| 0.0));
        assert!((0..100).all(|seed| lull.goes_on(&noise(seed, 2))));
    }

    #[test]
    fn a_louder_frame_ends_it_and_what_stays_becomes_usual() {
        let mut lull = Lull::default();
        for seed in 0..100 {
            lull.goes_on(&noise(seed, 100));
        }
        assert!(!lull.goes_on(&noise(100, 200)));
        let loud = (101..200)
            .take_while(|&seed| !lull.goes_on(&noise(seed, 200)))
            .count();
        assert!(loud < 50, "{loud} frames");
    }

    #[test]
    fn a_knock_hides_no_voice() {
        let mut lull = Lull::default();
        for seed in 0..100 {
            lull.goes_on(&noise(seed, 100));
        }
        assert!(!lull.goes_on(&noise(100, 20_000)));
        assert!((101..150).all(|seed| !lull.goes_on(&noise(seed, 1_000))));
    }

    #[test]
    fn a_rumble_hides_no_voice() {
        let rumble = |t: f32| 4000.0 * (std::f32::consts::TAU * 50.0 * t).sin();
        let voice = |t: f32| 600.0 * (std::f32::consts::TAU * 800.0 * t).sin();
        let mut lull = Lull::default();
        for _ in 0..100 {
            lull.goes_on(&frame(rumble));
        }
        assert!(lull.goes_on(&frame(rumble)));
        assert!(!lull.goes_on(&frame(|t| rumble(t) + voice(t))));
    }

    #[test]
    fn empty_frames_and_stereo_are_taken() {
        let mut lull = Lull::default();
        for samples in [vec![], vec![1], [i16::MIN, i16::MAX].repeat(960)] {
            lull.goes_on(&Pcm {
                samples,
                rate_hz: 48_000,
                channels: 2,
            });
        }
    }
}
