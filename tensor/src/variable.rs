//! State: named values that survive a step.

#[cfg(not(target_arch = "wasm32"))]
use crate::platform;
use crate::{
    array::Array,
    dtype::DType,
    error::{Error, Result},
    graph::{Meta, Origin, Tensor, Value, lock},
    run,
    shape::Shape,
};
use std::{
    fmt,
    panic::Location,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A value that can be assigned: a weight, an optimizer slot, a counter. A cheap handle; clones mean the same variable.
///
/// [`value`](Variable::value) is a snapshot: it keeps what it saw. Storage that nobody else holds is updated in place.
///
/// ```
/// use addax_tensor::{Tensor, Variable};
/// let w = Variable::new(Tensor::ones([2]));
/// let before = w.value();
/// w.assign(&(w.value() * 3.0))?;
/// assert_eq!(w.value().to_vec::<f32>()?, vec![3.0, 3.0]);
/// assert_eq!(before.to_vec::<f32>()?, vec![1.0, 1.0]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Clone)]
pub struct Variable(Arc<Inner>);

struct Inner {
    id: u64,
    name: Mutex<String>,
    trainable: AtomicBool,
    meta: Result<Meta>,
    current: Mutex<Tensor>,
}

impl Variable {
    /// A trainable variable with this first value, which is computed now. A mistake in it is returned by every later use.
    #[cfg(not(target_arch = "wasm32"))]
    #[track_caller]
    pub fn new(initial: Tensor) -> Variable {
        platform::block_on(Variable::new_async(initial))
    }
    /// A variable that gradients are not taken for: statistics, counters, optimizer slots.
    #[cfg(not(target_arch = "wasm32"))]
    #[track_caller]
    pub fn state(initial: Tensor) -> Variable {
        platform::block_on(Variable::state_async(initial))
    }
    /// A trainable variable with this first value, awaited. A mistake in it is returned by every later use.
    #[track_caller]
    pub fn new_async(initial: Tensor) -> impl Future<Output = Variable> {
        Variable::with_trainable(initial, true, Location::caller())
    }
    /// A variable that gradients are not taken for, awaited.
    #[track_caller]
    pub fn state_async(initial: Tensor) -> impl Future<Output = Variable> {
        Variable::with_trainable(initial, false, Location::caller())
    }
    async fn with_trainable(initial: Tensor, trainable: bool, origin: Origin) -> Variable {
        let computed = run::evaluate(std::slice::from_ref(&initial))
            .await
            .map_err(|e| e.at(origin))
            .and_then(|()| Ok((initial.meta()?.clone(), initial.value().cloned().ok_or_else(no_value)?)));
        let (meta, current) = match computed {
            Ok((meta, value)) => (Ok(meta.clone()), Tensor::leaf(value, meta, trainable, origin)),
            Err(error) => (Err(error.clone()), Tensor::error(error, origin)),
        };
        Variable(Arc::new(Inner {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name: Mutex::new(String::new()),
            trainable: AtomicBool::new(trainable),
            meta,
            current: Mutex::new(current),
        }))
    }
    /// Gives it a name, such as `kernel`.
    pub fn named(self, name: impl Into<String>) -> Variable {
        *lock(&self.0.name) = name.into();
        self
    }
    /// Its name; empty if none was given.
    pub fn name(&self) -> String {
        lock(&self.0.name).clone()
    }
    /// Identity, for maps.
    pub fn id(&self) -> u64 {
        self.0.id
    }
    /// Shape, or the mistake in its first value.
    pub fn shape(&self) -> Result<&Shape> {
        Ok(&self.meta()?.shape)
    }
    /// Element type, or the mistake in its first value.
    pub fn dtype(&self) -> Result<DType> {
        Ok(self.meta()?.dtype)
    }
    /// Shape and type, or the mistake in its first value.
    pub fn meta(&self) -> Result<&Meta> {
        self.0.meta.as_ref().map_err(Clone::clone)
    }
    /// Whether gradients are taken for it.
    pub fn is_trainable(&self) -> bool {
        self.0.trainable.load(Ordering::Relaxed)
    }
    /// Freezes or unfreezes it. Graphs recorded before keep what they saw.
    pub fn set_trainable(&self, trainable: bool) {
        let mut current = lock(&self.0.current);
        if self.0.trainable.swap(trainable, Ordering::Relaxed) != trainable
            && let (Ok(meta), Some(value)) = (&self.0.meta, current.value().cloned())
        {
            *current = Tensor::leaf(value, meta.clone(), trainable, current.origin());
        }
    }
    /// A snapshot of its value. Operations on it are tracked if the variable is trainable.
    pub fn value(&self) -> Tensor {
        lock(&self.0.current).clone()
    }
    /// Computes `value` and makes it the variable's. On failure the variable stays as it was.
    #[cfg(not(target_arch = "wasm32"))]
    #[track_caller]
    pub fn assign(&self, value: &Tensor) -> Result<()> {
        platform::block_on(self.assign_async(value))
    }
    /// [`assign`](Variable::assign), awaited: the future is done when the work is submitted.
    #[track_caller]
    pub fn assign_async(&self, value: &Tensor) -> impl Future<Output = Result<()>> + use<> {
        let origin = Location::caller();
        let updates = vec![(self.clone(), value.clone())];
        async move { run::step_async(&[], updates).await.map(drop).map_err(|e| e.at(origin)) }
    }
    /// Makes host data its value, wherever the old one lies: for going on after the device that held it was lost. The next step
    /// that uses the variable takes it to its device. Fails unless shape and type are the variable's.
    pub fn place(&self, array: &Array) -> Result<()> {
        let value = Tensor::from_array(Arc::new(array.clone()));
        self.check_fits(&value)?;
        if let Some(value) = value.value() {
            self.hold().replace(value.clone());
        }
        Ok(())
    }
    /// Fails unless `value` has the variable's shape and type.
    pub(crate) fn check_fits(&self, value: &Tensor) -> Result<()> {
        let (want, got) = (self.meta()?, value.meta()?);
        match want == got {
            true => Ok(()),
            false => Err(Error::shape(format!(
                "variable \"{}\" is {} {}, cannot assign {} {}",
                self.name(),
                want.dtype,
                want.shape,
                got.dtype,
                got.shape
            ))),
        }
    }
    /// Keeps others from reading or assigning while a step runs.
    pub(crate) fn hold(&self) -> Held<'_> {
        Held { variable: self, current: lock(&self.0.current) }
    }
}

/// A variable that only the holder can read or assign.
pub(crate) struct Held<'v> {
    variable: &'v Variable,
    current: MutexGuard<'v, Tensor>,
}

impl Held<'_> {
    /// The current value.
    pub(crate) fn current(&self) -> &Tensor {
        &self.current
    }
    /// Puts the same value elsewhere: what was recorded from it was recorded from this.
    pub(crate) fn moved(&mut self, value: Value) {
        if let Ok(meta) = self.variable.meta() {
            *self.current = self.current.moved(value, meta.clone());
        }
    }
    /// Replaces the value's storage.
    pub(crate) fn replace(&mut self, value: Value) {
        if let Ok(meta) = self.variable.meta() {
            *self.current = Tensor::leaf(value, meta.clone(), self.variable.is_trainable(), self.current.origin());
        }
    }
}

fn no_value() -> Error {
    Error::argument("the first value of a variable could not be computed")
}

impl PartialEq for Variable {
    fn eq(&self, other: &Variable) -> bool {
        self.0.id == other.0.id
    }
}
impl Eq for Variable {}
impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.meta {
            Ok(meta) => write!(f, "Variable(\"{}\" {} {})", self.name(), meta.dtype, meta.shape),
            Err(error) => write!(f, "Variable(error: {error})"),
        }
    }
}
