//! Captured steps, one for each kind of data that came.

use addax_tensor::{Array, DType, Program, Shape};
use std::sync::{Arc, Mutex, PoisonError};

/// Type and shape of data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kin {
    pub dtype: DType,
    pub shape: Shape,
}

impl Kin {
    pub fn of(array: &Array) -> Kin {
        Kin { dtype: array.dtype(), shape: array.shape().clone() }
    }
    pub fn fits(&self, array: &Array) -> bool {
        self.dtype == array.dtype() && self.shape == *array.shape()
    }
    /// The same for so many samples.
    pub fn with_rows(&self, rows: usize) -> Kin {
        let shape = std::iter::once(rows).chain(self.shape.iter().skip(1).copied()).collect();
        Kin { dtype: self.dtype, shape }
    }
}

/// What a training or testing step takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub x: Kin,
    pub y: Option<Kin>,
    pub weighted: bool,
}

impl Signature {
    pub fn of(x: &Array, y: Option<&Array>, weighted: bool) -> Signature {
        Signature { x: Kin::of(x), y: y.map(Kin::of), weighted }
    }
    /// The same for so many samples.
    pub fn with_rows(&self, rows: usize) -> Signature {
        let y = self.y.as_ref().map(|y| y.with_rows(rows));
        Signature { x: self.x.with_rows(rows), y, weighted: self.weighted }
    }
    pub fn fits(&self, x: &Array, y: Option<&Array>, weighted: bool) -> bool {
        let same_labels = match (&self.y, y) {
            (Some(kin), Some(y)) => kin.fits(y),
            (None, None) => true,
            _ => false,
        };
        self.weighted == weighted && same_labels && self.x.fits(x)
    }
}

/// Most programs kept. The one not used for longest goes.
const MOST: usize = 8;
/// Most bytes that programs keep for their inputs and outputs, beside the one used last. Those not used for longest let go of theirs;
/// when the device's memory is short, all do.
const MOST_BYTES: u64 = 256 << 20;

/// Programs by what they take, most recently used last.
pub(crate) struct Programs<K>(Mutex<Vec<(K, Arc<Program>)>>);

impl<K> Default for Programs<K> {
    fn default() -> Self {
        Programs(Mutex::default())
    }
}

impl<K> Programs<K> {
    /// The program whose key says yes, if it was captured.
    pub fn find(&self, fits: impl Fn(&K) -> bool) -> Option<Arc<Program>> {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = list.iter().rposition(|(key, _)| fits(key))?;
        let found = list.get(at)?.1.clone();
        if at + 1 < list.len() {
            let used = list.remove(at);
            list.push(used);
            bound(&list, MOST_BYTES);
        }
        Some(found)
    }
    /// Keeps a program.
    pub fn insert(&self, key: K, program: Program) -> Arc<Program> {
        let program = Arc::new(program);
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() >= MOST {
            list.remove(0);
        }
        list.push((key, program.clone()));
        bound(&list, MOST_BYTES);
        program
    }
    /// Lets all go: what they were recorded from has changed.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Lets those that were not used for longest let go of what they keep, so that all but the last keep at most so many bytes.
fn bound<K>(list: &[(K, Arc<Program>)], most: u64) {
    let mut kept = 0;
    for (_, program) in list.iter().rev().skip(1) {
        kept += program.kept_bytes();
        if kept > most {
            program.let_go();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use addax_tensor::{Device, Tensor};

    #[test]
    fn programs_not_used_for_longest_let_go_of_their_bytes() {
        let device = Device::cpu().unwrap();
        let row = Array::new([100], &[1.0f32; 100]).unwrap();
        let list: Vec<(usize, Arc<Program>)> = (0..4)
            .map(|n| {
                let x = Tensor::placeholder(0, DType::F32, [100]);
                let program =
                    Program::capture(&device, std::slice::from_ref(&x), &[&x * (n as f64)], &[], &[]).unwrap();
                program.run(&[&row]).unwrap();
                (n, Arc::new(program))
            })
            .collect();
        let kept = || list.iter().map(|(_, program)| program.kept_bytes()).collect::<Vec<_>>();
        assert_eq!(kept(), [800; 4]);
        bound(&list, 2400);
        assert_eq!(kept(), [800; 4]);
        bound(&list, 1600);
        assert_eq!(kept(), [0, 800, 800, 800]);
        bound(&list, 0);
        assert_eq!(kept(), [0, 0, 0, 800]);
        // What let go is as good as before.
        for (n, program) in &list {
            assert_eq!(program.run(&[&row]).unwrap()[0].to_vec::<f32>().unwrap(), [*n as f32; 100]);
        }
        assert_eq!(kept(), [800; 4]);
    }
}
