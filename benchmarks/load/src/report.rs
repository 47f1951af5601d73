//! From arrival times to figures. Pure.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use crate::driver::Call;
use crate::link::Session;
use crate::process::Snapshot;
use crate::session::{Arrival, SpokenCall};

const FRAME_MS: f64 = 20.0;
const FIRST_SECOND: usize = 50;
const TICKS_PER_MS: f64 = 48.0;
/// A session counts as held when this share of its frames came on time.
pub const HELD: f64 = 0.995;
const LONGEST_ROUND_TRIP: Duration = Duration::from_millis(900);

/// The spread of a measured quantity.
#[derive(Debug, Clone, Copy, Serialize, PartialEq)]
pub struct Spread {
    /// How many values there are.
    pub count: usize,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// None for no values.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        Some(Self {
            count: values.len(),
            max: *values.last()?,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
        })
    }
}

/// What one session got within the measured time.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// From posting the offer to the answer.
    pub answer_ms: Option<f64>,
    /// From posting the offer to the first sound.
    pub first_sound_ms: Option<f64>,
    /// Packets that came, duplicates not counted.
    pub received: usize,
    /// Packets that should have come.
    pub expected: usize,
    /// Share of those that came no later than the limit after their time.
    pub on_time: f64,
    /// Time between packets.
    pub gap_ms: Option<Spread>,
    /// From saying a mark to hearing it; only for sessions that carry marks.
    pub round_trip_ms: Option<Spread>,
    /// Why it ended early.
    pub failure: Option<String>,
    #[serde(skip)]
    gaps_ms: Vec<f64>,
    #[serde(skip)]
    round_trips_ms: Vec<f64>,
}

/// Looks at one call between two moments.
pub fn line(call: &Call<SpokenCall>, from: Instant, to: Instant, limit: Duration) -> Line {
    let session = &call.session;
    let within: Vec<Arrival> = session
        .arrivals
        .iter()
        .filter(|arrival| (from..to).contains(&arrival.at))
        .copied()
        .collect();
    let expected = (milliseconds(to - from) / FRAME_MS).round() as usize;
    let distinct: HashSet<u64> = within.iter().map(|arrival| arrival.sequence).collect();
    let gaps_ms: Vec<f64> = within
        .windows(2)
        .map(|pair| milliseconds(pair[1].at.saturating_duration_since(pair[0].at)))
        .collect();
    let round_trips_ms = round_trips_ms(&session.marks_sent, &session.marks_heard, from, to);
    let since_post =
        |at: Option<Instant>| Some(milliseconds(at?.saturating_duration_since(call.posted?)));
    Line {
        answer_ms: since_post(call.answered),
        first_sound_ms: since_post(session.first_sound),
        received: distinct.len(),
        expected,
        on_time: on_time(&within, from, expected, limit),
        gap_ms: Spread::of(gaps_ms.clone()),
        round_trip_ms: Spread::of(round_trips_ms.clone()),
        failure: session.link().failure.clone(),
        gaps_ms,
        round_trips_ms,
    }
}

/// What the server's process used between two looks; null when nobody looked. The cost of a frame
/// is left null where frames are not counted.
pub fn server(
    idle: Option<Snapshot>,
    before: Option<Snapshot>,
    after: Option<Snapshot>,
    seconds: f64,
    frames: Option<usize>,
) -> Value {
    let (Some(idle), Some(before), Some(after)) = (idle, before, after) else {
        return Value::Null;
    };
    let cpu_s = after.cpu_s - before.cpu_s;
    json!({
        "idle": idle,
        "loaded": after,
        "core_share": cpu_s / seconds,
        "cpu_us_per_frame": frames.map(|frames| cpu_s * 1e6 / frames.max(1) as f64),
    })
}

/// All sessions' lines as one.
#[derive(Debug, Serialize)]
pub struct Sum {
    /// Sessions that were heard at all.
    pub connected: usize,
    /// Sessions of which at least [`HELD`] of the frames came on time.
    pub held: usize,
    /// Share of all frames that came on time.
    pub on_time: f64,
    /// The worst session's share.
    pub on_time_worst: f64,
    /// See [`Line`].
    pub answer_ms: Option<Spread>,
    /// See [`Line`].
    pub first_sound_ms: Option<Spread>,
    /// See [`Line`].
    pub gap_ms: Option<Spread>,
    /// See [`Line`].
    pub round_trip_ms: Option<Spread>,
    /// Packets that came back in the measured time.
    pub received: usize,
}

/// Adds lines up.
pub fn sum(lines: &[Line]) -> Sum {
    let all = |pick: &dyn Fn(&Line) -> Vec<f64>| Spread::of(lines.iter().flat_map(pick).collect());
    let shares: Vec<f64> = lines.iter().map(|line| line.on_time).collect();
    Sum {
        connected: lines
            .iter()
            .filter(|line| line.first_sound_ms.is_some())
            .count(),
        held: shares.iter().filter(|share| **share >= HELD).count(),
        on_time: shares.iter().sum::<f64>() / shares.len() as f64,
        on_time_worst: shares.iter().copied().fold(1.0, f64::min),
        answer_ms: all(&|line| line.answer_ms.into_iter().collect()),
        first_sound_ms: all(&|line| line.first_sound_ms.into_iter().collect()),
        gap_ms: all(&|line| line.gaps_ms.clone()),
        round_trip_ms: all(&|line| line.round_trips_ms.clone()),
        received: lines.iter().map(|line| line.received).sum(),
    }
}

/// Share of expected frames that came at most `limit` after their time. A frame's time is its place
/// in the sound, counted from whichever of the frames before it, or of the first second, came
/// earliest for its place; a frame that did not come is not on time. Frames after it do not count:
/// a server that skips ahead, to make up for a stall, does not make the frames before that late.
fn on_time(arrivals: &[Arrival], origin: Instant, expected: usize, limit: Duration) -> f64 {
    let Some(first) = arrivals.first() else {
        return 0.0;
    };
    let mut seen = HashSet::new();
    let transits: Vec<f64> = arrivals
        .iter()
        .filter(|arrival| seen.insert(arrival.sequence))
        .map(|arrival| {
            let place_ms = (arrival.ticks as f64 - first.ticks as f64) / TICKS_PER_MS;
            milliseconds(arrival.at.saturating_duration_since(origin)) - place_ms
        })
        .collect();
    let mut earliest = transits
        .iter()
        .take(FIRST_SECOND)
        .copied()
        .fold(f64::INFINITY, f64::min);
    let good = transits
        .iter()
        .filter(|transit| {
            earliest = earliest.min(**transit);
            **transit - earliest <= milliseconds(limit)
        })
        .count();
    // One frame may fall on either side of the measured time's two ends.
    let due = expected.saturating_sub(1).max(transits.len());
    (good as f64 / due.max(1) as f64).min(1.0)
}

fn round_trips_ms(sent: &[Instant], heard: &[Instant], from: Instant, to: Instant) -> Vec<f64> {
    sent.iter()
        .filter(|sent| (from..to).contains(*sent))
        .filter_map(|sent| {
            let back = heard.iter().find(|heard| *heard > sent)?;
            let trip = back.duration_since(*sent);
            (trip < LONGEST_ROUND_TRIP).then(|| milliseconds(trip))
        })
        .collect()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(30);

    fn at(origin: Instant, times_ms: &[(u64, u64)]) -> Vec<Arrival> {
        times_ms
            .iter()
            .map(|(number, ms)| Arrival {
                at: origin + Duration::from_millis(*ms),
                ticks: number * 960,
                sequence: *number,
            })
            .collect()
    }

    #[test]
    fn frames_at_their_time_are_on_time() {
        let origin = Instant::now();
        let even: Vec<_> = (0..50).map(|number| (number, number * 20 + 5)).collect();
        assert_eq!(on_time(&at(origin, &even), origin, 50, LIMIT), 1.0);
    }

    #[test]
    fn late_and_missing_frames_are_not() {
        let origin = Instant::now();
        let mut frames: Vec<_> = (0..51).map(|number| (number, number * 20)).collect();
        frames[10].1 += 31;
        frames[11].1 += 29;
        frames.remove(40);
        assert_eq!(
            on_time(&at(origin, &frames), origin, 51, LIMIT),
            49.0 / 50.0
        );
    }

    #[test]
    fn a_server_that_slows_down_for_good_is_late_from_then_on() {
        let origin = Instant::now();
        let frames: Vec<_> = (0..100)
            .map(|number| (number, number * 20 + if number < 50 { 0 } else { 200 }))
            .collect();
        assert_eq!(on_time(&at(origin, &frames), origin, 100, LIMIT), 0.5);
    }

    #[test]
    fn a_server_that_skips_ahead_is_on_time_before_and_after() {
        let origin = Instant::now();
        let frames: Vec<_> = (0..200)
            .map(|number| (number, number * 20 + if number < 100 { 60 } else { 0 }))
            .collect();
        assert_eq!(on_time(&at(origin, &frames), origin, 200, LIMIT), 1.0);
    }

    #[test]
    fn duplicates_are_counted_once() {
        let origin = Instant::now();
        let frames: Vec<_> = (0..25)
            .flat_map(|number| [(number, number * 20); 2])
            .collect();
        assert_eq!(on_time(&at(origin, &frames), origin, 51, LIMIT), 0.5);
    }

    #[test]
    fn nothing_received_is_nothing_on_time() {
        assert_eq!(on_time(&[], Instant::now(), 50, LIMIT), 0.0);
    }

    #[test]
    fn percentiles_are_of_the_sorted_values() {
        let spread = Spread::of((0..=100).rev().map(f64::from).collect()).unwrap();
        assert_eq!(
            (spread.p50, spread.p90, spread.p99, spread.max),
            (50.0, 90.0, 99.0, 100.0)
        );
        assert_eq!(Spread::of(vec![]), None);
    }
}
