//! Colour conversion on memory that Python owns: planes and pixels come as buffers, are read and
//! written in place, and the GIL is released meanwhile.

use std::slice;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::video::colour::{pack_planes, pixels_to_planes, planes_to_pixels, unpack_planes};
use crate::video::layout::{ColourError, Colours, Image, Pixels, Plane, Planes};

fn refused(error: ColourError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The memory of a buffer from its lowest to its highest byte, and where its first item is.
struct Span {
    lowest: *mut u8,
    length: usize,
    first: usize,
}

// SAFETY: the memory belongs to a buffer that its owner holds for as long as the span is used.
unsafe impl Send for Span {}
// SAFETY: as above; what is written through it is written by one thread.
unsafe impl Sync for Span {}

impl Span {
    fn of(buffer: &PyBuffer<u8>) -> Self {
        let (mut below, mut above) = (0_isize, 0_isize);
        for (count, stride) in buffer.shape().iter().zip(buffer.strides()) {
            let reach = (count.saturating_sub(1)) as isize * stride;
            below += reach.min(0);
            above += reach.max(0);
        }
        let length = if buffer.item_count() == 0 {
            0
        } else {
            (above - below) as usize + 1
        };
        Self {
            lowest: buffer.buf_ptr().cast::<u8>().wrapping_offset(below),
            length,
            first: below.unsigned_abs(),
        }
    }

    /// # Safety
    ///
    /// The buffer of which this is the span is held meanwhile.
    unsafe fn bytes<'a>(&self) -> &'a [u8] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: an exported buffer reaches from its lowest to its highest byte (PEP 3118), and
        // is neither moved nor freed while it is held. That nobody writes to it meanwhile is for
        // the caller in Python to see to, as with every function that releases the GIL.
        unsafe { slice::from_raw_parts(self.lowest, self.length) }
    }

    /// # Safety
    ///
    /// As [`Self::bytes`]; the buffer is writable and no other slice of it exists.
    unsafe fn bytes_mut<'a>(&self) -> &'a mut [u8] {
        if self.length == 0 {
            return &mut [];
        }
        // SAFETY: as in `bytes`.
        unsafe { slice::from_raw_parts_mut(self.lowest, self.length) }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let (start, other_start) = (self.lowest as usize, other.lowest as usize);
        start < other_start + other.length && other_start < start + self.length
    }
}

/// One plane of a picture in Python's memory.
struct PlaneBuffer {
    span: Span,
    stride: usize,
    columns: usize,
    rows: usize,
}

impl PlaneBuffer {
    fn of(buffer: &PyBuffer<u8>, what: &str) -> PyResult<Self> {
        let (shape, strides) = (buffer.shape(), buffer.strides());
        let &[rows, columns] = shape else {
            return Err(PyValueError::new_err(format!(
                "{what} has the shape {shape:?}; a plane is (rows, columns)"
            )));
        };
        // A single row has no next one, and numpy leaves its stride at anything.
        let stride = if rows > 1 {
            strides[0]
        } else {
            columns as isize
        };
        if (columns > 1 && strides[1] != 1) || stride < columns as isize {
            return Err(PyValueError::new_err(format!(
                "{what} has the strides {strides:?}; the columns of a plane follow each other"
            )));
        }
        Ok(Self {
            span: Span::of(buffer),
            stride: stride as usize,
            columns,
            rows,
        })
    }

    /// # Safety
    ///
    /// As [`Span::bytes`].
    unsafe fn read<'a>(&self) -> Plane<&'a [u8]> {
        // SAFETY: the caller's.
        let data = unsafe { self.span.bytes() };
        Plane {
            data,
            stride: self.stride,
        }
    }

    /// # Safety
    ///
    /// As [`Span::bytes_mut`].
    unsafe fn write<'a>(&self) -> Plane<&'a mut [u8]> {
        // SAFETY: the caller's.
        let data = unsafe { self.span.bytes_mut() };
        Plane {
            data,
            stride: self.stride,
        }
    }
}

/// The planes of one picture in Python's memory.
struct PlaneBuffers {
    y: PlaneBuffer,
    u: PlaneBuffer,
    v: PlaneBuffer,
}

/// The planes of one picture, once they agree on its size.
fn planes_of(y: &PyBuffer<u8>, u: &PyBuffer<u8>, v: &PyBuffer<u8>) -> PyResult<PlaneBuffers> {
    let planes = PlaneBuffers {
        y: PlaneBuffer::of(y, "the luma plane")?,
        u: PlaneBuffer::of(u, "the plane u")?,
        v: PlaneBuffer::of(v, "the plane v")?,
    };
    let (width, height) = planes.size();
    let chroma = (width.div_ceil(2), height.div_ceil(2));
    let (u, v) = (&planes.u, &planes.v);
    if (u.columns, u.rows) != chroma || (v.columns, v.rows) != chroma {
        return Err(PyValueError::new_err(format!(
            "chroma planes of {}x{} and {}x{} do not fit a picture of {width}x{height}",
            u.columns, u.rows, v.columns, v.rows
        )));
    }
    Ok(planes)
}

impl PlaneBuffers {
    /// Columns and rows.
    fn size(&self) -> (usize, usize) {
        (self.y.columns, self.y.rows)
    }

    fn spans(&self) -> [&Span; 3] {
        [&self.y.span, &self.u.span, &self.v.span]
    }

    /// # Safety
    ///
    /// As [`Span::bytes`], for all of them.
    unsafe fn read<'a>(&self) -> Planes<&'a [u8]> {
        let (width, height) = self.size();
        // SAFETY: the caller's.
        let (y, u, v) = unsafe { (self.y.read(), self.u.read(), self.v.read()) };
        Planes {
            width,
            height,
            y,
            u,
            v,
        }
    }

    /// # Safety
    ///
    /// As [`Span::bytes_mut`], for all of them; they do not overlap.
    unsafe fn write<'a>(&self) -> Planes<&'a mut [u8]> {
        let (width, height) = self.size();
        // SAFETY: the caller's.
        let (y, u, v) = unsafe { (self.y.write(), self.u.write(), self.v.write()) };
        Planes {
            width,
            height,
            y,
            u,
            v,
        }
    }
}

/// `None` stands for planes as they are.
fn pixels_named(name: &str) -> PyResult<Option<Pixels>> {
    match name {
        "bgr24" => Ok(Some(Pixels::Bgr)),
        "rgb24" => Ok(Some(Pixels::Rgb)),
        "gray8" => Ok(Some(Pixels::Gray)),
        "yuv420p" => Ok(None),
        _ => Err(PyValueError::new_err(format!(
            "unknown pixel format {name:?}; use bgr24, rgb24, gray8 or yuv420p"
        ))),
    }
}

fn writable(buffer: &PyBuffer<u8>, what: &str) -> PyResult<()> {
    if buffer.readonly() {
        return Err(PyValueError::new_err(format!("{what} is read-only")));
    }
    Ok(())
}

#[pyfunction]
#[pyo3(signature = (y, u, v, out, pixel_format, bt709 = false, full_range = false))]
#[allow(clippy::too_many_arguments)]
pub fn planes_to_array(
    py: Python<'_>,
    y: PyBuffer<u8>,
    u: PyBuffer<u8>,
    v: PyBuffer<u8>,
    out: PyBuffer<u8>,
    pixel_format: &str,
    bt709: bool,
    full_range: bool,
) -> PyResult<()> {
    let pixels = pixels_named(pixel_format)?;
    let planes = planes_of(&y, &u, &v)?;
    writable(&out, "the array")?;
    let target = Span::of(&out);
    if !out.is_c_contiguous() || planes.spans().iter().any(|span| target.overlaps(span)) {
        return Err(PyValueError::new_err(
            "the array to write is not contiguous, or is part of the picture",
        ));
    }
    let colours = Colours { bt709, full_range };
    py.detach(|| {
        // SAFETY: all buffers are held by this call; `out` is writable and overlaps no plane.
        let (planes, target) = unsafe { (planes.read(), target.bytes_mut()) };
        match pixels {
            Some(pixels) => planes_to_pixels(&planes, target, pixels, colours),
            None => pack_planes(&planes, target),
        }
    })
    .map_err(refused)
}

#[pyfunction]
#[pyo3(signature = (array, y, u, v, pixel_format, bt709 = false, full_range = false))]
#[allow(clippy::too_many_arguments)]
pub fn array_to_planes(
    py: Python<'_>,
    array: PyBuffer<u8>,
    y: PyBuffer<u8>,
    u: PyBuffer<u8>,
    v: PyBuffer<u8>,
    pixel_format: &str,
    bt709: bool,
    full_range: bool,
) -> PyResult<()> {
    let pixels = pixels_named(pixel_format)?;
    let planes = planes_of(&y, &u, &v)?;
    let (width, height) = planes.size();
    for plane in [&y, &u, &v] {
        writable(plane, "a plane")?;
    }
    let source = Span::of(&array);
    let [y_span, u_span, v_span] = planes.spans();
    let spans = [&source, y_span, u_span, v_span];
    if (0..spans.len()).any(|one| (0..one).any(|other| spans[one].overlaps(spans[other]))) {
        return Err(PyValueError::new_err("the array and the planes overlap"));
    }
    let (shape, strides) = (array.shape(), array.strides());
    let (row, column, channel) = match (pixels, strides) {
        (Some(Pixels::Gray), &[row, column]) if shape == [height, width] => (row, column, 1),
        (Some(Pixels::Bgr | Pixels::Rgb), &[row, column, channel])
            if shape == [height, width, 3] =>
        {
            (row, column, channel)
        }
        (None, _) if array.is_c_contiguous() => (0, 0, 0),
        _ => {
            return Err(PyValueError::new_err(format!(
                "an array of the shape {shape:?} is no {pixel_format} picture of {width}x{height}"
            )));
        }
    };
    let colours = Colours { bt709, full_range };
    py.detach(|| {
        // SAFETY: all buffers are held by this call; the planes are writable and nothing overlaps.
        let (data, mut planes) = unsafe { (source.bytes(), planes.write()) };
        let Some(pixels) = pixels else {
            return unpack_planes(data, &mut planes);
        };
        let image = Image {
            data,
            first: source.first,
            width,
            height,
            row,
            column,
            channel,
        };
        pixels_to_planes(&image, &mut planes, pixels, colours)
    })
    .map_err(refused)
}
