//! How do marks become a picture? Inks on pixels, then a PNG with a palette.

use std::{convert::Infallible, fmt};

use embedded_graphics::{
    Drawable, Pixel,
    draw_target::DrawTarget,
    geometry::{OriginDimensions, Point, Size},
    mono_font::{MonoTextStyle, iso_8859_1::FONT_7X13},
    pixelcolor::{PixelColor, raw::RawU8},
    primitives::{Line, Primitive, PrimitiveStyle},
    text::{Baseline, Text},
};

use crate::{LINES_MAX, SIZE};

/// Width of every letter in pixels.
pub(crate) const LETTER_WIDTH: i32 = 7;
pub(crate) const INK_TEXT: u8 = 1;
pub(crate) const INK_AXIS: u8 = 2;
pub(crate) const INK_GRID: u8 = 3;
/// Ink of the first line.
const INK_LINES: u8 = 4;

/// Colours by ink: paper, text, axis, grid, then lines that people with any eyesight tell apart (Okabe and Ito).
pub(crate) const PALETTE: [[u8; 3]; INK_LINES as usize + LINES_MAX] = [
    [255, 255, 255],
    [34, 34, 34],
    [110, 110, 110],
    [226, 226, 226],
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [230, 159, 0],
    [86, 180, 233],
    [122, 79, 191],
    [120, 94, 60],
];

/// Pixels, each with its ink.
pub(crate) struct Canvas(Vec<u8>);

/// An ink, as the drawing library wants its colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ink(u8);

impl PixelColor for Ink {
    type Raw = RawU8;
}

impl Canvas {
    pub(crate) fn white() -> Canvas {
        Canvas(vec![0; SIZE.0 as usize * SIZE.1 as usize])
    }

    /// Writes one line of text; what does not fit on the canvas is cut off.
    pub(crate) fn text(&mut self, x: i32, y: i32, text: &str, ink: u8) {
        let style = MonoTextStyle::new(&FONT_7X13, Ink(ink));
        let Ok(_) = Text::with_baseline(text, Point::new(x, y), style, Baseline::Top).draw(self);
    }

    pub(crate) fn line(&mut self, from: (i32, i32), to: (i32, i32), width: u32, ink: u8) {
        let line = Line::new(Point::new(from.0, from.1), Point::new(to.0, to.1));
        let Ok(()) = line.into_styled(PrimitiveStyle::with_stroke(Ink(ink), width)).draw(self);
    }

    /// As a PNG, two pixels in a byte.
    pub(crate) fn png(&self) -> Vec<u8> {
        let packed: Vec<u8> = self.0.chunks(2).map(|it| it[0] << 4 | it.get(1).unwrap_or(&0)).collect();
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, SIZE.0, SIZE.1);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Four);
        encoder.set_palette(PALETTE.as_flattened());
        encoder.set_compression(png::Compression::Balanced);
        let mut writer = encoder.write_header().expect("size and palette are valid");
        writer.write_image_data(&packed).expect("as many bytes as the size says, into memory");
        writer.finish().expect("a vector takes everything");
        bytes
    }
}

/// The ink of a line; after the last it begins again.
pub(crate) fn ink_of_line(line: usize) -> u8 {
    let place = u8::try_from(line % LINES_MAX).unwrap_or(0);
    INK_LINES + place
}

/// How many letters fit.
pub(crate) fn letters(width: i32) -> usize {
    usize::try_from(width / LETTER_WIDTH).unwrap_or(0)
}

/// A text as the font can write it on one line, shortened to `most` letters.
pub(crate) fn shown(text: &str, most: usize) -> String {
    let letter = |it: char| match it {
        ' '..='~' | '\u{a1}'..='\u{ff}' => it,
        it if it.is_whitespace() => ' ',
        _ => '?',
    };
    let shown: String = text.chars().take(most + 1).map(letter).collect();
    match shown.chars().count() > most {
        true => shown.chars().take(most.saturating_sub(3)).chain("...".chars()).take(most).collect(),
        false => shown,
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(SIZE.0, SIZE.1)
    }
}

impl DrawTarget for Canvas {
    type Color = Ink;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Ink>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, ink) in pixels {
            let place = |it: i32, most: u32| usize::try_from(it).ok().filter(|it| *it < most as usize);
            if let (Some(x), Some(y)) = (place(at.x, SIZE.0), place(at.y, SIZE.1)) {
                self.0[y * SIZE.0 as usize + x] = ink.0;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Canvas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canvas").finish_non_exhaustive()
    }
}
