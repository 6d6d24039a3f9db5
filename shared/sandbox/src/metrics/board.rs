//! Where do the numbers of all series stand?

use std::{
    ops::{Index, IndexMut, Range},
    sync::Arc,
};

use super::{Sample, Series};

/// Values of all series, in the order in which they were declared.
///
/// Series of one target are declared in one go, so that a target is a range: what a restart empties, and what is
/// missing while its target does not answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board {
    series: Vec<Arc<Series>>,
    values: Vec<f64>,
}

/// Position of a series on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(usize);

impl Slot {
    /// As a range, to emit this series alone.
    pub(crate) fn alone(self) -> Range<usize> {
        self.0..self.0 + 1
    }
}

/// Labels that all series of a target share.
pub(crate) type Labels = Vec<(&'static str, String)>;

impl Board {
    pub(crate) fn declare(
        &mut self,
        name: &'static str,
        shared: &Labels,
        own: &[(&'static str, &str)],
    ) -> Slot {
        let mut labels = shared.clone();
        labels.extend(own.iter().map(|&(name, value)| (name, value.to_owned())));
        labels.sort_unstable();
        let id = self.series.len();
        self.series.push(Arc::new(Series { id, name, labels }));
        self.values.push(0.0);
        Slot(id)
    }

    /// The next series will be the first of a target.
    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    pub(crate) fn series(&self) -> &[Arc<Series>] {
        &self.series
    }

    /// A process that starts counts from 0.
    pub(crate) fn empty(&mut self, range: Range<usize>) {
        self.values[range].fill(0.0);
    }

    pub(crate) fn emit(&self, range: Range<usize>, at_ms: i64, sink: &mut dyn FnMut(Sample)) {
        for (series, &value) in self.series[range.clone()].iter().zip(&self.values[range]) {
            sink(Sample { series: Arc::clone(series), at_ms, value });
        }
    }
}

impl Index<Slot> for Board {
    type Output = f64;

    fn index(&self, slot: Slot) -> &f64 {
        &self.values[slot.0]
    }
}

impl IndexMut<Slot> for Board {
    fn index_mut(&mut self, slot: Slot) -> &mut f64 {
        &mut self.values[slot.0]
    }
}
