//! What a call carries: recorded speech, and frames that look like VP8.

use str0m::config::DtlsCert;

/// For DTLS.
pub fn certificate() -> DtlsCert {
    str0m::crypto::from_feature_flags()
        .dtls_provider
        .generate_certificate()
        .unwrap()
}

/// The recording, 16 kHz mono.
pub fn speech() -> Vec<i16> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/austen-0870.wav");
    let file = std::fs::read(path).unwrap();
    let start = file.windows(4).position(|chunk| chunk == b"data").unwrap() + 8;
    file[start..]
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

/// As much of a VP8 frame as the wire looks at (RFC 6386, section 9.1), with its number inside.
pub fn vp8_frame(number: u32, bytes: usize) -> Vec<u8> {
    let is_delta = !number.is_multiple_of(30);
    let mut frame = vec![0; bytes];
    frame[0] = u8::from(is_delta);
    frame[3..6].copy_from_slice(&[0x9d, 0x01, 0x2a]);
    frame[bytes - 4..].copy_from_slice(&number.to_be_bytes());
    frame
}

/// The number inside.
pub fn number_of(frame: &[u8]) -> u32 {
    u32::from_be_bytes(frame[frame.len() - 4..].try_into().unwrap())
}
