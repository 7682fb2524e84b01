//! `resize` and `grayscale`: PNG or JPEG in, the same out, within the memory of the smallest Pi.
//!
//! How large a picture is, its head says; it is refused before it is unpacked.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageEncoder, ImageFormat, ImageReader};

use super::PNG;
use crate::builtin::call::{Answer, Call, Refusal, Reply};

/// The most pixels a picture may have.
const MOST_PIXELS: u64 = 20_000_000;

/// The most memory it may take, unpacked: 20 million pixels with three bytes each.
const MOST_BYTES: u64 = 60_000_000;

/// The most pixels a picture may be given by `resize`.
const MOST_NEW_PIXELS: u64 = 4_000_000;

/// Of what a JPEG keeps, in percent.
const QUALITY: u8 = 85;

/// Does the same with each kind of picture of eight bits, and makes others such. `DynamicImage` would do it with all ten kinds
/// there are, and bring code for each.
macro_rules! with_pixels {
    ($picture:expr, $buffer:ident => $made:expr) => {
        match $picture {
            DynamicImage::ImageLuma8($buffer) => DynamicImage::ImageLuma8($made),
            DynamicImage::ImageLumaA8($buffer) => DynamicImage::ImageLumaA8($made),
            DynamicImage::ImageRgb8($buffer) => DynamicImage::ImageRgb8($made),
            other => {
                let $buffer = other.into_rgba8();
                DynamicImage::ImageRgba8($made)
            }
        }
    };
}

pub(crate) fn resize(call: &Call) -> Reply {
    let width = call.number("width", 0..=4000, 0)?;
    let height = call.number("height", 0..=4000, 0)?;
    let head = read_head(&call.body)?;
    let (old_width, old_height) = head.seen();
    let (width, height) = wanted((old_width, old_height), (width, height))?;
    // Resized as it is stored and turned only then, when it is small.
    let (across, down) = if head.lies() {
        (height, width)
    } else {
        (width, height)
    };
    let picture = unpack(call)?;
    let picture = if width <= old_width && height <= old_height {
        // This way needs no copy in floating point numbers, four times as large.
        with_pixels!(picture, buffer => imageops::thumbnail(&buffer, across, down))
    } else {
        with_pixels!(picture, buffer => imageops::resize(&buffer, across, down, FilterType::Triangle))
    };
    pack(&turned(picture, head.orientation), head.format)
}

pub(crate) fn grayscale(call: &Call) -> Reply {
    let head = read_head(&call.body)?;
    let picture = unpack(call)?;
    let picture = if picture.color().has_alpha() {
        DynamicImage::ImageLumaA8(picture.into_luma_alpha8())
    } else {
        DynamicImage::ImageLuma8(picture.into_luma8())
    };
    pack(&turned(picture, head.orientation), head.format)
}

fn turned(picture: DynamicImage, orientation: Orientation) -> DynamicImage {
    with_pixels!(picture, buffer => match orientation {
        Orientation::NoTransforms => buffer,
        Orientation::Rotate90 => imageops::rotate90(&buffer),
        Orientation::Rotate180 => imageops::rotate180(&buffer),
        Orientation::Rotate270 => imageops::rotate270(&buffer),
        Orientation::FlipHorizontal => imageops::flip_horizontal(&buffer),
        Orientation::FlipVertical => imageops::flip_vertical(&buffer),
        Orientation::Rotate90FlipH => imageops::flip_horizontal(&imageops::rotate90(&buffer)),
        Orientation::Rotate270FlipH => imageops::flip_horizontal(&imageops::rotate270(&buffer)),
    })
}

/// What is known of a picture before it is unpacked.
struct Head {
    format: ImageFormat,
    /// As stored.
    width: u32,
    height: u32,
    /// How it is to be turned, by a note that cameras and phones leave in it and that the answer no longer has.
    orientation: Orientation,
}

impl Head {
    /// Whether it is stored lying on its side.
    fn lies(&self) -> bool {
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        matches!(
            self.orientation,
            Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH
        )
    }

    /// Width and height as people see it.
    fn seen(&self) -> (u32, u32) {
        if self.lies() {
            (self.height, self.width)
        } else {
            (self.width, self.height)
        }
    }
}

/// Width and height to make, of which 0 is what keeps the proportions, or 320 wide if both are.
fn wanted(old: (u32, u32), new: (u32, u32)) -> Result<(u32, u32), Refusal> {
    let in_proportion = |known: u32, from: u32, to: u32| {
        let other = (u64::from(known) * u64::from(to) + u64::from(from) / 2) / u64::from(from);
        u32::try_from(other).unwrap_or(u32::MAX).max(1)
    };
    let (width, height) = match new {
        (0, 0) => (320, in_proportion(320, old.0, old.1)),
        (width, 0) => (width, in_proportion(width, old.0, old.1)),
        (0, height) => (in_proportion(height, old.1, old.0), height),
        both => both,
    };
    let pixels = u64::from(width) * u64::from(height);
    // Between the two sizes there is one of the old width and the new height.
    if pixels.max(u64::from(old.0) * u64::from(height)) > MOST_NEW_PIXELS && (width > old.0 || height > old.1)
        || pixels > MOST_NEW_PIXELS
    {
        return Err(Refusal::new(format!(
            "{width} x {height} is too large: this function makes pictures of up to 4 million pixels."
        )));
    }
    Ok((width, height))
}

fn read_head(file: &[u8]) -> Result<Head, Refusal> {
    if file.is_empty() {
        return Err(Refusal::new(
            "Send a picture, PNG or JPEG, as the body.".to_owned(),
        ));
    }
    let (mut decoder, format) = decoder(file)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(Refusal::with_status(
            413,
            format!("{width} x {height} is too large: this function takes up to 20 million pixels."),
        ));
    }
    if decoder.total_bytes() > MOST_BYTES {
        let mb = decoder.total_bytes() / 1_000_000;
        return Err(Refusal::with_status(
            413,
            format!("{width} x {height} in these colours takes {mb} MB of memory; this function has 60."),
        ));
    }
    Ok(Head {
        format,
        width,
        height,
        orientation: decoder.orientation().unwrap_or(Orientation::NoTransforms),
    })
}

fn decoder(file: &[u8]) -> Result<(impl ImageDecoder + '_, ImageFormat), Refusal> {
    let mut reader = ImageReader::new(Cursor::new(file))
        .with_guessed_format()
        .map_err(|_| no_picture())?;
    // Our own limits are stricter.
    reader.no_limits();
    let format = reader.format().ok_or_else(no_picture)?;
    Ok((reader.into_decoder().map_err(|_| no_picture())?, format))
}

/// The pixels. The head was judged before.
fn unpack(call: &Call) -> Result<DynamicImage, Refusal> {
    DynamicImage::from_decoder(decoder(&call.body)?.0)
        .map_err(|why| Refusal::new(format!("The picture is damaged: {why}.")))
}

fn no_picture() -> Refusal {
    Refusal::new("That is no picture this function knows: send PNG or JPEG.".to_owned())
}

fn pack(picture: &DynamicImage, format: ImageFormat) -> Reply {
    let mut file = Vec::new();
    let failed = |why| Refusal::with_status(500, format!("The picture cannot be packed: {why}."));
    let (width, height, kind) = (picture.width(), picture.height(), picture.color().into());
    if format == ImageFormat::Jpeg {
        JpegEncoder::new_with_quality(&mut file, QUALITY)
            .write_image(picture.as_bytes(), width, height, kind)
            .map_err(failed)?;
        return Ok(Answer::new("image/jpeg", file));
    }
    PngEncoder::new(&mut file)
        .write_image(picture.as_bytes(), width, height, kind)
        .map_err(failed)?;
    Ok(Answer::new(PNG, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(width, height)
            .write_to(&mut file, format)
            .unwrap();
        file.into_inner()
    }

    fn size_of(answer: &Answer) -> (u32, u32) {
        let image = image::load_from_memory(&answer.body).unwrap();
        (image.width(), image.height())
    }

    #[test]
    fn the_side_that_is_not_given_keeps_the_proportions() {
        assert_eq!(wanted((800, 400), (100, 0)).unwrap(), (100, 50));
        assert_eq!(wanted((800, 400), (0, 100)).unwrap(), (200, 100));
        assert_eq!(wanted((800, 400), (0, 0)).unwrap(), (320, 160));
        assert_eq!(wanted((4000, 1), (10, 0)).unwrap(), (10, 1));
        assert!(wanted((1, 1000), (4000, 0)).is_err());
        assert!(wanted((20_000, 1000), (100, 2000)).is_err());
    }

    #[test]
    fn a_picture_stays_of_its_kind() {
        for (format, kind) in [(ImageFormat::Png, "image/png"), (ImageFormat::Jpeg, "image/jpeg")] {
            let answer = resize(&Call::of(&file(64, 32, format), "width=16")).unwrap();
            assert_eq!((answer.content_type.as_str(), size_of(&answer)), (kind, (16, 8)));
            let answer = grayscale(&Call::of(&file(64, 32, format), "")).unwrap();
            assert_eq!((answer.content_type.as_str(), size_of(&answer)), (kind, (64, 32)));
        }
    }

    #[test]
    fn a_picture_that_a_camera_stored_lying_is_stood_up() {
        // An Exif block that says: to be turned right by a quarter.
        let exif = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let jpeg = file(64, 32, ImageFormat::Jpeg);
        let lying = [&jpeg[..2], exif, &jpeg[2..]].concat();
        assert_eq!(size_of(&grayscale(&Call::of(&lying, "")).unwrap()), (32, 64));
        assert_eq!(size_of(&resize(&Call::of(&lying, "width=16")).unwrap()), (16, 32));
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_unpacked() {
        // A head that promises far more than there is.
        let mut png = file(1, 1, ImageFormat::Png);
        png[16..24].copy_from_slice(&[0, 0, 0x80, 0, 0, 0, 0x80, 0]);
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        let refusal = grayscale(&Call::of(&png, "")).unwrap_err();
        assert_eq!(refusal.status, 413);
        assert!(refusal.sentence.contains("32768 x 32768"), "{refusal}");
        assert_eq!(resize(&Call::of(b"GIF89a", "")).unwrap_err().status, 400);
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
            })
        })
    }
}
