use super::super::AudioError;
use super::super::opus::{
    Decoder, Encoder, MAX_PACKET_TICKS, Mode, NATIVE_RATES_HZ, fec_ticks, is_celt, packet_ticks,
};
use super::{all_speech_at, packets, rms, speech, tone};

#[test]
fn round_trip_keeps_duration_and_level() {
    for rate_hz in NATIVE_RATES_HZ {
        for channels in [1, 2] {
            let pcm = tone(440.0, rate_hz, channels, rate_hz as usize / 5);
            let mut decoder = Decoder::new(48_000, channels).unwrap();
            let mut out = vec![0; MAX_PACKET_TICKS * usize::from(channels)];
            let mut level = 0.0;
            for packet in packets(&pcm, rate_hz, channels, Mode::Clean) {
                assert_eq!(packet_ticks(&packet).unwrap(), 960);
                assert!(is_celt(&packet), "{rate_hz} Hz");
                assert_eq!(decoder.decode(&packet, &mut out).unwrap(), 960);
                level = rms(&out[..960 * usize::from(channels)]);
            }
            assert!(
                (level / rms(&pcm) - 1.0).abs() < 0.1,
                "{rate_hz} Hz: {level}"
            );
        }
    }
}

#[test]
fn speech_stays_celt_until_loss_is_announced() {
    let pcm = speech("austen-0880.wav");
    assert!(
        packets(&pcm, 16_000, 1, Mode::Clean)
            .iter()
            .all(|packet| is_celt(packet))
    );
    let lossy = packets(&pcm, 16_000, 1, Mode::Lossy { loss_percent: 10 });
    assert!(lossy.iter().all(|packet| !is_celt(packet)));
}

#[test]
fn lossy_packets_carry_a_copy_of_speech() {
    for rate_hz in [16_000, 24_000, 48_000] {
        let pcm = all_speech_at(rate_hz);
        let packets = packets(&pcm, rate_hz, 1, Mode::Lossy { loss_percent: 10 });
        let frames = pcm.chunks_exact(rate_hz as usize / 50);
        let mut speech = 0;
        let mut copied = 0;
        for (frame, next) in frames.zip(&packets[1..]) {
            if rms(frame) > 300.0 {
                speech += 1;
                copied += u32::from(fec_ticks(next) == 960);
            }
        }
        assert!(speech > 200, "{speech}");
        assert!(
            copied * 100 >= speech * 80,
            "{rate_hz} Hz: {copied} of {speech}"
        );
    }
}

#[test]
fn fec_sounds_like_the_lost_frame() {
    // The decoder that lost every 5th packet, against the one that lost none.
    let packets = packets(
        &speech("austen-0930.wav"),
        16_000,
        1,
        Mode::Lossy { loss_percent: 20 },
    );
    let mut whole = Decoder::new(16_000, 1).unwrap();
    let mut lossy = Decoder::new(16_000, 1).unwrap();
    let mut concealing = Decoder::new(16_000, 1).unwrap();
    let (mut expected, mut got, mut guessed) = ([0; 320], [0; 320], [0; 320]);
    let (mut fec_error, mut plc_error) = (0.0, 0.0);
    for (n, (packet, next)) in packets.iter().zip(&packets[1..]).enumerate() {
        whole.decode(packet, &mut expected).unwrap();
        if n % 5 == 4 && fec_ticks(next) > 0 {
            lossy.decode_fec(next, &mut got).unwrap();
            concealing.conceal(&mut guessed).unwrap();
            let error = |other: &[i16]| {
                let difference: Vec<i16> = expected
                    .iter()
                    .zip(other)
                    .map(|(a, b)| a.saturating_sub(*b))
                    .collect();
                rms(&difference).powi(2)
            };
            fec_error += error(&got);
            plc_error += error(&guessed);
        } else {
            lossy.decode(packet, &mut got).unwrap();
            concealing.decode(packet, &mut guessed).unwrap();
        }
    }
    assert!(
        fec_error < plc_error / 2.0,
        "FEC {fec_error}, PLC {plc_error}"
    );
}

#[test]
fn wrong_arguments_and_packets_are_errors() {
    assert!(matches!(
        Decoder::new(44_100, 1),
        Err(AudioError::Rate {
            rate_hz: 44_100,
            ..
        })
    ));
    assert!(matches!(
        Encoder::new(48_000, 3, 48_000),
        Err(AudioError::Channels { channels: 3 })
    ));
    let mut decoder = Decoder::new(48_000, 1).unwrap();
    let mut out = vec![0; MAX_PACKET_TICKS];
    assert!(decoder.decode(&[], &mut out).is_err());
    // Code 3 without the byte that counts its frames.
    let error = decoder.decode(&[0xff], &mut out).unwrap_err();
    assert!(
        matches!(error, AudioError::Opus { code: -4, .. }),
        "{error}"
    );
    assert!(packet_ticks(&[0xff]).is_err());
    assert!(packet_ticks(&[]).is_err());
    assert_eq!(fec_ticks(&[]), 0);
}
