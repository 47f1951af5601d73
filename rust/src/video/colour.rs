//! Between I420 planes, as video codecs have them, and the pixels that handlers want.
//!
//! Arrays may have any strides: rows that are stored one after the other are read in place, others
//! (a mirrored or turned picture, each second column) are gathered a few rows at a time into a
//! buffer that stays in the cache, so that no second picture is ever made.

use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImage, YuvPlanarImageMut};

use super::layout::{ColourError, Colours, Image, Pixels, Plane, Planes};

/// Rows gathered at a time; even, since two rows share one row of chroma.
const BAND_ROWS: usize = 16;
/// Chroma of a picture without colour.
const NO_COLOUR: u8 = 128;
/// Black of limited range, and its steps from black to white (ITU-R BT.601, section 2.5.3).
const LIMITED_BLACK: u8 = 16;
const LIMITED_STEPS: u32 = 219;

/// Planes to pixels, row after row without gaps.
///
/// # Errors
///
/// [`ColourError`]: the planes or `out` do not fit the size.
pub fn planes_to_pixels(
    planes: &Planes<&[u8]>,
    out: &mut [u8],
    pixels: Pixels,
    colours: Colours,
) -> Result<(), ColourError> {
    planes.check()?;
    let (width, height) = (planes.width, planes.height);
    let line = width * pixels.channels();
    if out.len() != line * height {
        return Err(ColourError::Misfit {
            what: "the array",
            width,
            height,
        });
    }
    if pixels == Pixels::Gray {
        luma_to_gray(&planes.y, out, width, colours.full_range);
        return Ok(());
    }
    let (main, rest) = out.split_at_mut(line * whole_pairs(height));
    if !main.is_empty() {
        read_rows(planes, main, pixels, colours)?;
    }
    let tail = Tail::of(planes);
    read_rows(&tail.planes(), rest, pixels, colours)
}

/// Rows that come before the last pair, which may be a single one: the conversion passes over a
/// row whose memory ends before the next row would begin, and that of a last row may.
const fn whole_pairs(height: usize) -> usize {
    (height - 1) / 2 * 2
}

/// Converts as many rows as `out` holds.
fn read_rows(
    planes: &Planes<&[u8]>,
    out: &mut [u8],
    pixels: Pixels,
    colours: Colours,
) -> Result<(), ColourError> {
    let line = planes.width * pixels.channels();
    let rows = out.len() / line;
    let chroma_rows = rows.div_ceil(2);
    let image = YuvPlanarImage {
        y_plane: &planes.y.data[..planes.y.stride * rows],
        y_stride: planes.y.stride as u32,
        u_plane: &planes.u.data[..planes.u.stride * chroma_rows],
        u_stride: planes.u.stride as u32,
        v_plane: &planes.v.data[..planes.v.stride * chroma_rows],
        v_stride: planes.v.stride as u32,
        width: planes.width as u32,
        height: rows as u32,
    };
    let convert = match pixels {
        Pixels::Rgb => yuv::yuv420_to_rgb,
        _ => yuv::yuv420_to_bgr,
    };
    convert(&image, out, line as u32, colours.range(), colours.matrix())?;
    Ok(())
}

/// The last pair of rows, in memory without gaps.
struct Tail {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Tail {
    fn empty(width: usize, height: usize) -> Self {
        let rows = height - whole_pairs(height);
        Self {
            width,
            height: rows,
            y: vec![0; width * rows],
            u: vec![0; width.div_ceil(2)],
            v: vec![0; width.div_ceil(2)],
        }
    }

    fn of(planes: &Planes<&[u8]>) -> Self {
        let mut tail = Self::empty(planes.width, planes.height);
        let from = whole_pairs(planes.height);
        for (index, row) in tail.y.chunks_exact_mut(planes.width).enumerate() {
            let start = (from + index) * planes.y.stride;
            row.copy_from_slice(&planes.y.data[start..start + planes.width]);
        }
        for (row, plane) in [(&mut tail.u, &planes.u), (&mut tail.v, &planes.v)] {
            let start = from / 2 * plane.stride;
            let end = start + row.len();
            row.copy_from_slice(&plane.data[start..end]);
        }
        tail
    }

    fn planes(&self) -> Planes<&[u8]> {
        Planes {
            width: self.width,
            height: self.height,
            y: Plane {
                data: &self.y,
                stride: self.width,
            },
            u: Plane {
                data: &self.u,
                stride: self.u.len(),
            },
            v: Plane {
                data: &self.v,
                stride: self.v.len(),
            },
        }
    }

    fn planes_mut(&mut self) -> Planes<&mut [u8]> {
        let chroma_width = self.u.len();
        Planes {
            width: self.width,
            height: self.height,
            y: Plane {
                data: &mut self.y,
                stride: self.width,
            },
            u: Plane {
                data: &mut self.u,
                stride: chroma_width,
            },
            v: Plane {
                data: &mut self.v,
                stride: chroma_width,
            },
        }
    }

    fn write_to(&self, planes: &mut Planes<&mut [u8]>) {
        let from = whole_pairs(planes.height);
        for (index, row) in self.y.chunks_exact(self.width).enumerate() {
            let start = (from + index) * planes.y.stride;
            planes.y.data[start..start + self.width].copy_from_slice(row);
        }
        for (row, plane) in [(&self.u, &mut planes.u), (&self.v, &mut planes.v)] {
            let start = from / 2 * plane.stride;
            plane.data[start..start + row.len()].copy_from_slice(row);
        }
    }
}

/// Pixels to planes; chroma is the mean of two by two pixels.
///
/// # Errors
///
/// [`ColourError`]: the planes or the image do not fit the size.
pub fn pixels_to_planes(
    image: &Image<'_>,
    planes: &mut Planes<&mut [u8]>,
    pixels: Pixels,
    colours: Colours,
) -> Result<(), ColourError> {
    planes.check()?;
    image.check(pixels.channels())?;
    if (image.width, image.height) != (planes.width, planes.height) {
        return Err(ColourError::Misfit {
            what: "the array",
            width: planes.width,
            height: planes.height,
        });
    }
    if pixels == Pixels::Gray {
        gray_to_planes(image, planes, colours.full_range);
        return Ok(());
    }
    // `array[..., ::-1]` is the other order of the same bytes.
    if image.channel == -1 {
        let turned = Image {
            first: image.first - 2,
            channel: 1,
            ..*image
        };
        return colour_to_planes(&turned, planes, pixels.reversed(), colours);
    }
    colour_to_planes(image, planes, pixels, colours)
}

fn colour_to_planes(
    image: &Image<'_>,
    planes: &mut Planes<&mut [u8]>,
    pixels: Pixels,
    colours: Colours,
) -> Result<(), ColourError> {
    let (width, height) = (image.width, image.height);
    let line = width * 3;
    let pairs = whole_pairs(height);
    let mut band = vec![0; line * BAND_ROWS.min(height)];
    if image.channel == 1 && image.column == 3 && image.row >= line as isize {
        let stride = image.row as usize;
        let source = &image.data[image.first..][..stride * pairs];
        write_rows(source, stride, planes, 0, pixels, colours)?;
    } else {
        for from in (0..pairs).step_by(BAND_ROWS) {
            let rows = BAND_ROWS.min(pairs - from);
            image.gather(from, rows, 3, &mut band);
            write_rows(&band[..rows * line], line, planes, from, pixels, colours)?;
        }
    }
    let mut tail = Tail::empty(width, height);
    let rows = tail.height;
    image.gather(pairs, rows, 3, &mut band);
    let mut target = tail.planes_mut();
    write_rows(&band[..rows * line], line, &mut target, 0, pixels, colours)?;
    tail.write_to(planes);
    Ok(())
}

/// Converts the rows of `source` to the planes' rows from `from` (even) on.
fn write_rows(
    source: &[u8],
    stride: usize,
    planes: &mut Planes<&mut [u8]>,
    from: usize,
    pixels: Pixels,
    colours: Colours,
) -> Result<(), ColourError> {
    let rows = source.len() / stride;
    if rows == 0 {
        return Ok(());
    }
    let chroma_rows = rows.div_ceil(2);
    let (y, u, v) = (&mut planes.y, &mut planes.u, &mut planes.v);
    let mut image = YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(&mut y.data[from * y.stride..][..rows * y.stride]),
        y_stride: y.stride as u32,
        u_plane: BufferStoreMut::Borrowed(
            &mut u.data[from / 2 * u.stride..][..chroma_rows * u.stride],
        ),
        u_stride: u.stride as u32,
        v_plane: BufferStoreMut::Borrowed(
            &mut v.data[from / 2 * v.stride..][..chroma_rows * v.stride],
        ),
        v_stride: v.stride as u32,
        width: planes.width as u32,
        height: rows as u32,
    };
    let convert = match pixels {
        Pixels::Rgb => yuv::rgb_to_yuv420,
        _ => yuv::bgr_to_yuv420,
    };
    convert(
        &mut image,
        source,
        stride as u32,
        colours.range(),
        colours.matrix(),
        YuvConversionMode::Balanced,
    )?;
    Ok(())
}

/// Copies planes to `out` without gaps: luma, then both chroma planes.
///
/// # Errors
///
/// [`ColourError`]: the planes or `out` do not fit the size.
pub fn pack_planes(planes: &Planes<&[u8]>, out: &mut [u8]) -> Result<(), ColourError> {
    planes.check()?;
    let mut rest = out;
    for (plane, columns, rows) in planes.all() {
        let Some((target, after)) = rest.split_at_mut_checked(columns * rows) else {
            return Err(ColourError::Misfit {
                what: "the array",
                width: planes.width,
                height: planes.height,
            });
        };
        let lines = plane.data.chunks(plane.stride);
        for (to, from) in target.chunks_exact_mut(columns).zip(lines) {
            to.copy_from_slice(&from[..columns]);
        }
        rest = after;
    }
    Ok(())
}

/// Copies luma and both chroma planes, stored one after the other, to planes.
///
/// # Errors
///
/// [`ColourError`]: the planes or `packed` do not fit the size.
pub fn unpack_planes(packed: &[u8], planes: &mut Planes<&mut [u8]>) -> Result<(), ColourError> {
    planes.check()?;
    let (width, height) = (planes.width, planes.height);
    let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
    if packed.len() != width * height + 2 * chroma_width * chroma_height {
        return Err(ColourError::Misfit {
            what: "the array",
            width,
            height,
        });
    }
    let (y, chroma) = packed.split_at(width * height);
    let (u, v) = chroma.split_at(chroma_width * chroma_height);
    for (source, plane, columns) in [
        (y, &mut planes.y, width),
        (u, &mut planes.u, chroma_width),
        (v, &mut planes.v, chroma_width),
    ] {
        let lines = plane.data.chunks_mut(plane.stride);
        for (from, to) in source.chunks_exact(columns).zip(lines) {
            to[..columns].copy_from_slice(from);
        }
    }
    Ok(())
}

fn luma_to_gray(y: &Plane<&[u8]>, out: &mut [u8], width: usize, full_range: bool) {
    let rows = out.chunks_exact_mut(width).zip(y.data.chunks(y.stride));
    for (target, source) in rows {
        let source = &source[..width];
        if full_range {
            target.copy_from_slice(source);
            continue;
        }
        for (gray, luma) in target.iter_mut().zip(source) {
            // 255 / 219 in 16 bits, rounded; luma beyond black and white is cut.
            let above = u16::from(luma.saturating_sub(LIMITED_BLACK));
            *gray = ((above * 149 + 64) >> 7).min(255) as u8;
        }
    }
}

fn gray_to_planes(image: &Image<'_>, planes: &mut Planes<&mut [u8]>, full_range: bool) {
    let (width, height) = (image.width, image.height);
    for row in 0..height {
        let start = row * planes.y.stride;
        let target = &mut planes.y.data[start..start + width];
        image.gather(row, 1, 1, target);
        if !full_range {
            for luma in target {
                // Rounded 219 / 255.
                let above = (u32::from(*luma) * LIMITED_STEPS * 257 + (1 << 15)) >> 16;
                *luma = LIMITED_BLACK + above as u8;
            }
        }
    }
    let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
    for plane in [&mut planes.u, &mut planes.v] {
        for line in plane.data.chunks_mut(plane.stride).take(chroma_height) {
            line[..chroma_width].fill(NO_COLOUR);
        }
    }
}

#[cfg(test)]
#[path = "colour_tests.rs"]
mod tests;
