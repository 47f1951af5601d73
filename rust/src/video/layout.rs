//! How pictures lie in memory, and what their numbers stand for; nothing is converted here.

use thiserror::Error;
use yuv::{YuvError, YuvRange, YuvStandardMatrix};

/// Why a picture cannot be converted.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ColourError {
    /// A picture has no rows or no columns.
    #[error("a picture of {width}x{height} has no pixels")]
    Empty {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// Memory that is too short for the size it is said to have.
    #[error("{what} does not fit a picture of {width}x{height}")]
    Misfit {
        /// Which memory.
        what: &'static str,
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// The conversion itself refused.
    #[error("the conversion refused: {0}")]
    Refused(String),
}

impl From<YuvError> for ColourError {
    fn from(error: YuvError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// How the bytes of one pixel follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// Blue, green, red.
    Bgr,
    /// Red, green, blue.
    Rgb,
    /// Brightness alone, 0 to 255.
    Gray,
}

impl Pixels {
    /// Bytes of one pixel.
    #[must_use]
    pub const fn channels(self) -> usize {
        match self {
            Self::Bgr | Self::Rgb => 3,
            Self::Gray => 1,
        }
    }

    pub(super) const fn reversed(self) -> Self {
        match self {
            Self::Bgr => Self::Rgb,
            Self::Rgb => Self::Bgr,
            Self::Gray => Self::Gray,
        }
    }
}

/// What the numbers in the planes stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colours {
    /// BT.709 instead of BT.601.
    pub bt709: bool,
    /// Luma from 0 to 255 instead of 16 to 235.
    pub full_range: bool,
}

impl Colours {
    pub(super) const fn range(self) -> YuvRange {
        if self.full_range {
            YuvRange::Full
        } else {
            YuvRange::Limited
        }
    }

    pub(super) const fn matrix(self) -> YuvStandardMatrix {
        if self.bt709 {
            YuvStandardMatrix::Bt709
        } else {
            YuvStandardMatrix::Bt601
        }
    }
}

/// One plane: rows of bytes, each `stride` bytes after the one before.
#[derive(Debug)]
pub struct Plane<Bytes> {
    /// From the first byte of the first row to the last byte of the last row, or further.
    pub data: Bytes,
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// The planes of one I420 picture; chroma has half the columns and rows, rounded up.
#[derive(Debug)]
pub struct Planes<Bytes> {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Luma.
    pub y: Plane<Bytes>,
    /// Blue-difference chroma.
    pub u: Plane<Bytes>,
    /// Red-difference chroma.
    pub v: Plane<Bytes>,
}

impl<Bytes: AsRef<[u8]>> Planes<Bytes> {
    pub(super) fn check(&self) -> Result<(), ColourError> {
        let (width, height) = (self.width, self.height);
        if width == 0 || height == 0 {
            return Err(ColourError::Empty { width, height });
        }
        let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
        for (what, plane, columns, rows) in [
            ("the luma plane", &self.y, width, height),
            ("a chroma plane", &self.u, chroma_width, chroma_height),
            ("a chroma plane", &self.v, chroma_width, chroma_height),
        ] {
            let needed = plane.stride * (rows - 1) + columns;
            if plane.stride < columns || plane.data.as_ref().len() < needed {
                return Err(ColourError::Misfit {
                    what,
                    width,
                    height,
                });
            }
        }
        Ok(())
    }

    pub(super) fn all(&self) -> [(&Plane<Bytes>, usize, usize); 3] {
        let (chroma_width, chroma_height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        [
            (&self.y, self.width, self.height),
            (&self.u, chroma_width, chroma_height),
            (&self.v, chroma_width, chroma_height),
        ]
    }
}

/// Pixels in memory, in any order that strides can tell.
#[derive(Debug)]
pub struct Image<'a> {
    /// All of the memory.
    pub data: &'a [u8],
    /// Where in it the first byte of the upper left pixel is.
    pub first: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Bytes from one row to the next.
    pub row: isize,
    /// Bytes from one pixel to the next in a row.
    pub column: isize,
    /// Bytes from one channel to the next in a pixel.
    pub channel: isize,
}

impl Image<'_> {
    pub(super) fn check(&self, channels: usize) -> Result<(), ColourError> {
        let (width, height) = (self.width, self.height);
        if width == 0 || height == 0 {
            return Err(ColourError::Empty { width, height });
        }
        let misfit = ColourError::Misfit {
            what: "the array",
            width,
            height,
        };
        let (mut lowest, mut highest) = (self.first as i128, self.first as i128);
        for (count, stride) in [
            (height, self.row),
            (width, self.column),
            (channels, self.channel),
        ] {
            let reach = (count as i128 - 1) * stride as i128;
            lowest += reach.min(0);
            highest += reach.max(0);
        }
        if lowest < 0 || highest >= self.data.len() as i128 {
            return Err(misfit);
        }
        Ok(())
    }

    /// Writes rows `from..from + rows` into `band`, pixel after pixel, row after row.
    pub(super) fn gather(&self, from: usize, rows: usize, channels: usize, band: &mut [u8]) {
        let line = self.width * channels;
        let packed = self.column == channels as isize && (channels == 1 || self.channel == 1);
        for (index, target) in band.chunks_exact_mut(line).take(rows).enumerate() {
            let start = self.first as isize + (from + index) as isize * self.row;
            if packed {
                target.copy_from_slice(&self.data[start as usize..start as usize + line]);
                continue;
            }
            let mut at = start;
            for pixel in target.chunks_exact_mut(channels) {
                for (channel, byte) in pixel.iter_mut().enumerate() {
                    *byte = self.data[(at + channel as isize * self.channel) as usize];
                }
                at += self.column;
            }
        }
    }
}
