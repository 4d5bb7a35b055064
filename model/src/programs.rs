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
    pub fn fits(&self, x: &Array, y: Option<&Array>, weighted: bool) -> bool {
        let same_labels = match (&self.y, y) {
            (Some(kin), Some(y)) => kin.fits(y),
            (None, None) => true,
            _ => false,
        };
        self.weighted == weighted && same_labels && self.x.fits(x)
    }
}

/// Most programs kept; each has memory of its own for inputs and outputs. The one not used for longest goes.
const MOST: usize = 8;

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
        program
    }
    /// Lets all go: what they were recorded from has changed.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
