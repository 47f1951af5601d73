use super::*;

const LIMITED: Colours = Colours {
    bt709: false,
    full_range: false,
};

/// Bytes that look random but are the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 24) as u8
        })
        .collect()
}

fn packed(data: &[u8], width: usize, height: usize) -> Image<'_> {
    Image {
        data,
        first: 0,
        width,
        height,
        row: 3 * width as isize,
        column: 3,
        channel: 1,
    }
}

/// The planes of an image, without gaps.
fn planes_of(image: &Image<'_>, pixels: Pixels, colours: Colours) -> [Vec<u8>; 3] {
    let (width, height) = (image.width, image.height);
    let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
    let mut y = vec![0; width * height];
    let mut u = vec![0; chroma_width * chroma_height];
    let mut v = u.clone();
    let mut planes = Planes {
        width,
        height,
        y: Plane {
            data: y.as_mut_slice(),
            stride: width,
        },
        u: Plane {
            data: u.as_mut_slice(),
            stride: chroma_width,
        },
        v: Plane {
            data: v.as_mut_slice(),
            stride: chroma_width,
        },
    };
    pixels_to_planes(image, &mut planes, pixels, colours).unwrap();
    [y, u, v]
}

fn borrowed(planes: &[Vec<u8>; 3], width: usize, height: usize) -> Planes<&[u8]> {
    let [y, u, v] = planes;
    Planes {
        width,
        height,
        y: Plane {
            data: y,
            stride: width,
        },
        u: Plane {
            data: u,
            stride: width.div_ceil(2),
        },
        v: Plane {
            data: v,
            stride: width.div_ceil(2),
        },
    }
}

#[test]
fn primary_colours_have_the_values_of_bt_601() {
    for ([blue, green, red], luma, u, v) in [
        ([0, 0, 0], 16, 128, 128),
        ([255, 255, 255], 235, 128, 128),
        ([0, 0, 255], 81, 90, 240),
        ([0, 255, 0], 145, 54, 34),
        ([255, 0, 0], 41, 240, 110),
    ] {
        let data = [blue, green, red].repeat(40 * 6);
        let planes = planes_of(&packed(&data, 40, 6), Pixels::Bgr, LIMITED);
        for (plane, expected) in planes.iter().zip([luma, u, v]) {
            assert!(
                plane.iter().all(|sample| sample.abs_diff(expected) <= 1),
                "{blue} {green} {red}: {} instead of {expected}",
                plane[0]
            );
        }
        let mut back = vec![0; data.len()];
        planes_to_pixels(&borrowed(&planes, 40, 6), &mut back, Pixels::Bgr, LIMITED).unwrap();
        assert!(back.iter().zip(&data).all(|(a, b)| a.abs_diff(*b) <= 3));
    }
}

#[test]
fn any_strides_give_the_planes_of_a_copy() {
    for (width, height) in [(1, 1), (2, 2), (7, 5), (64, 48), (33, 35), (130, 17)] {
        let data = noise(width * height * 3);
        let line = 3 * width;
        let (last_row, last_column) = ((height - 1) * line, 3 * (width - 1));
        let upside_down: Vec<u8> = data.chunks(line).rev().flatten().copied().collect();
        let mirrored: Vec<u8> = data
            .chunks(line)
            .flat_map(|row| row.chunks(3).rev().flatten())
            .copied()
            .collect();
        let swapped: Vec<u8> = data
            .chunks(3)
            .flat_map(|pixel| pixel.iter().rev())
            .copied()
            .collect();
        let plain = || packed(&data, width, height);
        for (view, copy) in [
            (
                Image {
                    first: last_row,
                    row: -(line as isize),
                    ..plain()
                },
                &upside_down,
            ),
            (
                Image {
                    first: last_column,
                    column: -3,
                    ..plain()
                },
                &mirrored,
            ),
            (
                Image {
                    first: 2,
                    channel: -1,
                    ..plain()
                },
                &swapped,
            ),
        ] {
            assert_eq!(
                planes_of(&view, Pixels::Rgb, LIMITED),
                planes_of(&packed(copy, width, height), Pixels::Rgb, LIMITED),
                "{width}x{height}"
            );
        }
    }
}

#[test]
fn rows_may_be_padded_and_the_last_one_need_not_be() {
    for (width, height) in [(1, 1), (2, 2), (15, 4), (33, 35), (64, 48)] {
        let data = noise(width * height * 3);
        let expected = planes_of(&packed(&data, width, height), Pixels::Bgr, LIMITED);
        let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
        let (stride, chroma_stride) = (width + 9, chroma_width + 5);
        let mut y = vec![0; stride * (height - 1) + width];
        let mut u = vec![0; chroma_stride * (chroma_height - 1) + chroma_width];
        let mut v = u.clone();
        let mut planes = Planes {
            width,
            height,
            y: Plane {
                data: y.as_mut_slice(),
                stride,
            },
            u: Plane {
                data: u.as_mut_slice(),
                stride: chroma_stride,
            },
            v: Plane {
                data: v.as_mut_slice(),
                stride: chroma_stride,
            },
        };
        let image = packed(&data, width, height);
        pixels_to_planes(&image, &mut planes, Pixels::Bgr, LIMITED).unwrap();
        let padded = Planes {
            width,
            height,
            y: Plane { data: &*y, stride },
            u: Plane {
                data: &*u,
                stride: chroma_stride,
            },
            v: Plane {
                data: &*v,
                stride: chroma_stride,
            },
        };
        let mut without_gaps = vec![0; width * height + 2 * chroma_width * chroma_height];
        pack_planes(&padded, &mut without_gaps).unwrap();
        assert_eq!(without_gaps, expected.concat(), "{width}x{height}");

        let (mut one, mut other) = (vec![0; data.len()], vec![1; data.len()]);
        planes_to_pixels(&padded, &mut one, Pixels::Rgb, LIMITED).unwrap();
        let gapless = borrowed(&expected, width, height);
        planes_to_pixels(&gapless, &mut other, Pixels::Rgb, LIMITED).unwrap();
        assert_eq!(one, other, "{width}x{height}");
    }
}

#[test]
fn gray_is_exact_there_and_back() {
    let data: Vec<u8> = (0..=255).collect();
    let image = Image {
        data: &data,
        first: 0,
        width: 32,
        height: 8,
        row: 32,
        column: 1,
        channel: 1,
    };
    for full_range in [false, true] {
        let colours = Colours {
            bt709: false,
            full_range,
        };
        let planes = planes_of(&image, Pixels::Gray, colours);
        for (gray, luma) in data.iter().zip(&planes[0]) {
            let expected = if full_range {
                f64::from(*gray)
            } else {
                16.0 + f64::from(*gray) * 219.0 / 255.0
            };
            assert_eq!(f64::from(*luma), expected.round());
        }
        assert!(
            planes[1]
                .iter()
                .chain(&planes[2])
                .all(|&chroma| chroma == 128)
        );
        let mut back = vec![0; 256];
        planes_to_pixels(&borrowed(&planes, 32, 8), &mut back, Pixels::Gray, colours).unwrap();
        assert!(back.iter().zip(&data).all(|(a, b)| a.abs_diff(*b) <= 1));
    }
}

#[test]
fn packing_keeps_every_sample() {
    let (width, height) = (7, 5);
    let [y, u, v] = [noise(9 * height), noise(6 * 3), noise(4 * 3)];
    let planes = Planes {
        width,
        height,
        y: Plane {
            data: y.as_slice(),
            stride: 9,
        },
        u: Plane {
            data: u.as_slice(),
            stride: 6,
        },
        v: Plane {
            data: v.as_slice(),
            stride: 4,
        },
    };
    let mut out = vec![0; 35 + 2 * 12];
    pack_planes(&planes, &mut out).unwrap();
    assert_eq!(out[8], y[10]);
    assert_eq!(out[35 + 4], u[6]);
    assert_eq!(out[35 + 12 + 11], v[11]);
    let mut copies = [y, u, v];
    for copy in &mut copies {
        copy.fill(0);
    }
    let [y, u, v] = &mut copies;
    let mut target = Planes {
        width,
        height,
        y: Plane {
            data: y.as_mut_slice(),
            stride: 9,
        },
        u: Plane {
            data: u.as_mut_slice(),
            stride: 6,
        },
        v: Plane {
            data: v.as_mut_slice(),
            stride: 4,
        },
    };
    unpack_planes(&out, &mut target).unwrap();
    let again = Planes {
        width,
        height,
        y: Plane {
            data: &*target.y.data,
            stride: 9,
        },
        u: Plane {
            data: &*target.u.data,
            stride: 6,
        },
        v: Plane {
            data: &*target.v.data,
            stride: 4,
        },
    };
    let mut twice = vec![0; out.len()];
    pack_planes(&again, &mut twice).unwrap();
    assert_eq!(out, twice);
}

#[test]
fn memory_that_does_not_fit_is_refused() {
    let data = noise(3 * 8 * 8);
    let planes = planes_of(&packed(&data, 8, 8), Pixels::Bgr, LIMITED);
    let view = borrowed(&planes, 8, 8);
    let mut short = vec![0; 3 * 8 * 8 - 1];
    assert!(matches!(
        planes_to_pixels(&view, &mut short, Pixels::Bgr, LIMITED),
        Err(ColourError::Misfit { .. })
    ));
    assert!(matches!(
        pack_planes(&borrowed(&planes, 8, 10), &mut [0; 200]),
        Err(ColourError::Misfit { .. })
    ));
    let outside = Image {
        first: 1,
        ..packed(&data, 8, 8)
    };
    assert!(matches!(outside.check(3), Err(ColourError::Misfit { .. })));
    assert_eq!(
        packed(&data, 0, 8).check(3),
        Err(ColourError::Empty {
            width: 0,
            height: 8
        })
    );
}
