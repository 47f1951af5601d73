//! Encoded pictures in files: what filmed calls show, and what came back of it (IVF,
//! <https://wiki.multimedia.cx/index.php/Duck_IVF>).

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 12;

/// The frames of a VP8 clip, the first of them a keyframe.
pub fn read(path: &Path) -> Result<Vec<Arc<[u8]>>, String> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    if bytes.get(..4) != Some(b"DKIF") || bytes.get(8..12) != Some(b"VP80") {
        return Err(format!("{name} is not an IVF file with VP8 in it"));
    }
    let (mut at, mut frames) = (HEADER, Vec::new());
    while let Some(size) = bytes.get(at..at + 4) {
        let size = u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize;
        let frame = bytes
            .get(at + FRAME_HEADER..at + FRAME_HEADER + size)
            .ok_or_else(|| format!("{name} ends within a frame"))?;
        frames.push(Arc::from(frame));
        at += FRAME_HEADER + size;
    }
    if frames.is_empty() {
        return Err(format!("{name} has no frames"));
    }
    Ok(frames)
}

/// Writes frames with their times in microseconds.
pub fn write<'a>(path: &Path, frames: impl Iterator<Item = (u64, &'a [u8])>) -> Result<(), String> {
    let written = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(b"DKIF");
        header[6] = HEADER as u8;
        header[8..12].copy_from_slice(b"VP80");
        header[16..20].copy_from_slice(&1_000_000_u32.to_le_bytes());
        header[20] = 1;
        file.write_all(&header)?;
        for (at_us, frame) in frames {
            file.write_all(&(frame.len() as u32).to_le_bytes())?;
            file.write_all(&at_us.to_le_bytes())?;
            file.write_all(frame)?;
        }
        file.flush()
    };
    written().map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let path = std::env::temp_dir().join(format!("clip-{}.ivf", std::process::id()));
        write(&path, [(0, &b"first"[..]), (33_333, b"second")].into_iter()).unwrap();
        let frames = read(&path).unwrap();
        assert_eq!(&*frames[0], b"first");
        assert_eq!(&*frames[1], b"second");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_is_no_clip_is_named() {
        let error = read(Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/Cargo.toml"
        )));
        assert!(error.err().unwrap().contains("Cargo.toml"));
    }
}
