//! What does a person see in an answer's picture?

use gate::Image;
use plot::{AREA, SIZE};

/// A picture with its pixels.
pub struct Picture {
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// Decodes a PNG. Panics when it is none, or of another size than charts have.
    pub fn of(image: &Image) -> Picture {
        assert_eq!(image.mime, "image/png");
        let mut decoder = png::Decoder::new(std::io::Cursor::new(&image.bytes));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().expect("a PNG");
        assert_eq!((reader.info().width, reader.info().height), SIZE);
        let mut bytes = vec![0; reader.output_buffer_size().expect("a small picture")];
        reader.next_frame(&mut bytes).expect("pixels");
        let (pixels, _) = bytes.as_chunks::<3>();
        Picture { pixels: pixels.to_vec() }
    }

    /// Where a line is highest, as parts of the window's length and of the chart's height; none when it is not drawn.
    pub fn peak(&self, line: usize) -> Option<(f64, f64)> {
        let (x, y) = self.places(line).min_by_key(|it| it.1)?;
        let part = |at: i32, from: i32, to: i32| f64::from(at - from) / f64::from(to - from);
        Some((part(x, AREA.left, AREA.right), part(y, AREA.bottom, AREA.top)))
    }

    /// How many lines are drawn.
    pub fn lines(&self) -> usize {
        (0..plot::LINES_MAX).filter(|it| self.places(*it).next().is_some()).count()
    }

    /// Everything below the title: lines, axes and legend.
    pub fn below_title(&self) -> &[[u8; 3]] {
        const TITLE: usize = 20;
        &self.pixels[TITLE * SIZE.0 as usize..]
    }

    /// Pixels of a line between the axes, row by row.
    fn places(&self, line: usize) -> impl Iterator<Item = (i32, i32)> {
        let colour = plot::colour(line);
        let all = (AREA.top..=AREA.bottom).flat_map(|y| (AREA.left..=AREA.right).map(move |x| (x, y)));
        all.filter(move |(x, y)| {
            self.pixels[y.unsigned_abs() as usize * SIZE.0 as usize + x.unsigned_abs() as usize] == colour
        })
    }
}
