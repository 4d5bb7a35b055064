//! Nodes and the `Tensor` handle.

use super::op::Op;
use crate::{
    array::Array,
    dtype::DType,
    error::{Error, ErrorKind, Result},
    memory::Storage,
    shape::Shape,
};
use std::{
    cell::{Cell, RefCell},
    fmt,
    panic::Location,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

/// The line of the user's program that recorded a node.
pub type Origin = &'static Location<'static>;

/// Shape and type of one result of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Lengths of the axes.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
}

impl Meta {
    /// From its parts.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Self {
        Meta { shape: shape.into(), dtype }
    }
    /// Bytes on the host.
    pub fn bytes(&self) -> u64 {
        self.shape.numel() as u64 * self.dtype.size() as u64
    }
}

/// Where the elements of a computed node are.
#[derive(Clone, Debug)]
pub enum Value {
    /// In host memory; any device can read it.
    Host(Arc<Array>),
    /// On a device.
    Device(Storage),
}

/// One recorded operation.
#[derive(Debug)]
pub struct Node {
    id: u64,
    op: Op,
    metas: Box<[Meta]>,
    inputs: Mutex<Vec<Tensor>>,
    values: Box<[OnceLock<Value>]>,
    tracked: bool,
    samples: AtomicBool,
    scope: Option<Arc<str>>,
    origin: Origin,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// A lazy value: a cheap handle to a node of the graph. Reading it plans and runs what it needs.
///
/// Operations never panic: a mistake becomes an error node that carries the caller's line, and every boundary (`check`,
/// `shape`, `eval`, `to_vec`, `grad`, …) returns it.
#[derive(Clone)]
#[must_use = "a tensor is lazy: unused, it computes nothing"]
pub struct Tensor {
    node: Arc<Node>,
    out: u16,
}

impl Node {
    /// Position in recording order; inputs have smaller ones.
    pub fn id(&self) -> u64 {
        self.id
    }
    /// The primitive.
    pub fn op(&self) -> &Op {
        &self.op
    }
    /// Shapes and types of its results.
    pub fn metas(&self) -> &[Meta] {
        &self.metas
    }
    /// What it is computed from; empty once an untracked node has its value.
    pub fn inputs(&self) -> Vec<Tensor> {
        lock(&self.inputs).clone()
    }
    /// Whether it depends on a watched leaf.
    pub fn tracked(&self) -> bool {
        self.tracked
    }
    /// The line that recorded it.
    pub fn origin(&self) -> Origin {
        self.origin
    }
    /// Whether axis 0 counts samples; see [`Tensor::of_samples`].
    pub fn holds_samples(&self) -> bool {
        self.samples.load(Ordering::Relaxed)
    }
    /// Its values, if they are all there is: it is a leaf, or has let its inputs go.
    pub fn leaf_values(&self) -> Option<Vec<&Value>> {
        match lock(&self.inputs).is_empty() {
            true => self.values.iter().map(OnceLock::get).collect(),
            false => None,
        }
    }
    /// The layer that recorded it, such as `encoder/dense`.
    pub fn scope(&self) -> Option<&Arc<str>> {
        self.scope.as_ref()
    }
    /// Gives a result its value; an untracked node lets its inputs go once all results have theirs. The first call wins.
    pub(crate) fn set_value(&self, out: usize, value: Value) {
        if let Some(cell) = self.values.get(out) {
            // A second value would be the same numbers: the first stays.
            let _ = cell.set(value);
        }
        if !self.tracked && self.values.iter().all(|v| v.get().is_some()) {
            let inputs = std::mem::take(&mut *lock(&self.inputs));
            drop_iteratively(inputs);
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Node {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
        let inputs = std::mem::take(self.inputs.get_mut().unwrap_or_else(PoisonError::into_inner));
        if !inputs.is_empty() {
            drop_iteratively(inputs);
        }
    }
}

/// Drops a chain of any length without recursion.
fn drop_iteratively(mut stack: Vec<Tensor>) {
    while let Some(tensor) = stack.pop() {
        if let Some(mut node) = Arc::into_inner(tensor.node) {
            stack.append(node.inputs.get_mut().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Tensor {
    /// Records a node with these results. Callers have checked shapes and types.
    pub fn record(op: Op, inputs: Vec<Tensor>, metas: Vec<Meta>, origin: Origin) -> Vec<Tensor> {
        let tracked = !matches!(op, Op::StopGradient) && inputs.iter().any(Tensor::is_tracked);
        let count = metas.len();
        let node = Node::new(op, inputs, metas, tracked, origin);
        (0..count).map(|out| Tensor { node: node.clone(), out: out as u16 }).collect()
    }
    /// Records a node with one result.
    pub fn record_one(op: Op, inputs: Vec<Tensor>, meta: Meta, origin: Origin) -> Tensor {
        let tracked = !matches!(op, Op::StopGradient) && inputs.iter().any(Tensor::is_tracked);
        Tensor { node: Node::new(op, inputs, vec![meta], tracked, origin), out: 0 }
    }
    /// A node that holds a mistake.
    pub fn error(error: Error, origin: Origin) -> Tensor {
        let origin = outermost(origin);
        let meta = Meta::new(DType::F32, ());
        Tensor::record_one(Op::Error(error.at(origin)), Vec::new(), meta, origin)
    }
    /// A node that has its value already. `watched` leaves get gradients.
    pub(crate) fn leaf(value: Value, meta: Meta, watched: bool, origin: Origin) -> Tensor {
        let node = Node::new(Op::Leaf, Vec::new(), vec![meta], watched, origin);
        node.set_value(0, value);
        Tensor { node, out: 0 }
    }
    /// This leaf with its value somewhere else, on a device: the same leaf to whoever asks for [`key`](Tensor::key), as a graph may be
    /// recorded from it before and its gradient taken after.
    pub(crate) fn moved(&self, value: Value, meta: Meta) -> Tensor {
        let node = Node::with_id(self.node.id, Op::Leaf, Vec::new(), vec![meta], self.node.tracked, self.node.origin);
        node.set_value(0, value);
        Tensor { node, out: 0 }
    }
    /// A placeholder of a body or program. Reading it is an error.
    #[track_caller]
    pub fn placeholder(index: usize, dtype: DType, shape: impl Into<Shape>) -> Tensor {
        Tensor::record_one(Op::Param(index), Vec::new(), Meta::new(dtype, shape), Location::caller())
    }
    /// A placeholder whose gradient can be taken.
    #[track_caller]
    pub fn watched_placeholder(index: usize, dtype: DType, shape: impl Into<Shape>) -> Tensor {
        let metas = vec![Meta::new(dtype, shape)];
        let node = Node::new(Op::Param(index), Vec::new(), metas, true, Location::caller());
        Tensor { node, out: 0 }
    }

    /// Says of data or of a placeholder that its axis 0 counts the samples of a batch: a step that does not fit into memory is
    /// then computed in slices along it, with the same result.
    pub fn of_samples(self) -> Tensor {
        self.node.samples.store(true, Ordering::Relaxed);
        self
    }

    /// The node behind the handle.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }
    /// Which of the node's results this is.
    pub fn output_index(&self) -> usize {
        usize::from(self.out)
    }
    /// Result `index` of the same node.
    pub(crate) fn sibling(&self, index: usize) -> Tensor {
        Tensor { node: self.node.clone(), out: index as u16 }
    }
    /// The recorded mistake, if this node is one.
    pub fn check(&self) -> Result<()> {
        match &self.node.op {
            Op::Error(error) => Err(error.clone()),
            _ => Ok(()),
        }
    }
    /// Shape and type, or the recorded mistake.
    pub fn meta(&self) -> Result<&Meta> {
        self.check()?;
        self.node
            .metas
            .get(self.output_index())
            .ok_or_else(|| Error::new(ErrorKind::Argument("a node has no such output".into())))
    }
    /// Lengths of the axes, or the recorded mistake.
    pub fn shape(&self) -> Result<&Shape> {
        Ok(&self.meta()?.shape)
    }
    /// Element type, or the recorded mistake.
    pub fn dtype(&self) -> Result<DType> {
        Ok(self.meta()?.dtype)
    }
    /// Number of axes, or the recorded mistake.
    pub fn rank(&self) -> Result<usize> {
        Ok(self.shape()?.rank())
    }
    /// The lengths of exactly `N` axes.
    #[track_caller]
    pub fn dims<const N: usize>(&self) -> Result<[usize; N]> {
        let (shape, origin) = (self.shape()?, outermost(Location::caller()));
        <[usize; N]>::try_from(shape.dims())
            .map_err(|_| Error::shape(format!("expected {N} axes, got shape {shape}")).at(origin))
    }
    /// Whether a gradient flows through this node.
    pub fn is_tracked(&self) -> bool {
        self.node.tracked
    }
    /// Whether both handles mean the same result of the same node.
    pub fn same(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.node, &other.node) && self.out == other.out
    }
    /// Identity of this result, for maps.
    pub fn key(&self) -> (u64, u16) {
        (self.node.id, self.out)
    }
    /// The line that recorded it.
    pub fn origin(&self) -> Origin {
        self.node.origin
    }
    /// The computed value of this result.
    pub fn value(&self) -> Option<&Value> {
        self.node.values.get(self.output_index())?.get()
    }
    /// How many nodes are alive in this process: flat in steady training.
    pub fn live_nodes() -> usize {
        LIVE.load(Ordering::Relaxed)
    }
    /// Gives the node away if this is its only handle.
    pub(crate) fn only_handle(&self) -> bool {
        Arc::strong_count(&self.node) == 1
    }
}

impl Node {
    fn new(op: Op, inputs: Vec<Tensor>, metas: Vec<Meta>, tracked: bool, origin: Origin) -> Arc<Node> {
        Node::with_id(NEXT_ID.fetch_add(1, Ordering::Relaxed), op, inputs, metas, tracked, origin)
    }
    fn with_id(id: u64, op: Op, inputs: Vec<Tensor>, metas: Vec<Meta>, tracked: bool, origin: Origin) -> Arc<Node> {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Arc::new(Node {
            id,
            op,
            values: metas.iter().map(|_| OnceLock::new()).collect(),
            metas: metas.into_boxed_slice(),
            inputs: Mutex::new(inputs),
            tracked,
            samples: AtomicBool::new(false),
            scope: SCOPE.with(|scope| scope.borrow().clone()),
            origin: outermost(origin),
        })
    }
}

thread_local! {
    static SCOPE: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
    static ORIGIN: Cell<Option<Origin>> = const { Cell::new(None) };
}

/// Runs `f`, a composite operation: what it records, and what goes wrong in it, belongs to the line `origin` of its caller.
/// Composites nest; the outermost one's line counts.
///
/// ```
/// use addax_tensor::{Tensor, graph::recorded_at};
/// use std::panic::Location;
///
/// #[track_caller]
/// fn total(parts: &[Tensor]) -> Tensor {
///     recorded_at(Location::caller(), || parts.iter().map(|part| part.sum(1)).fold(Tensor::scalar(0.0), |a, b| a + b))
/// }
/// let error = total(&[Tensor::ones([2])]).check().unwrap_err();
/// assert_eq!(error.origin().map(|at| at.line()), Some(line!() - 1));
/// ```
pub fn recorded_at<R>(origin: Origin, f: impl FnOnce() -> R) -> R {
    let outer = ORIGIN.get();
    ORIGIN.set(outer.or(Some(origin)));
    let restore = RestoreOrigin(outer);
    let result = f();
    drop(restore);
    result
}

/// [`recorded_at`] for a composite that may fail: the mistake gets the line, too.
pub fn try_recorded_at<T>(origin: Origin, f: impl FnOnce() -> Result<T>) -> Result<T> {
    recorded_at(origin, || f().map_err(|e| e.at(outermost(origin))))
}

/// The line of the composite that is recorded now, or else this one.
pub(crate) fn outermost(origin: Origin) -> Origin {
    ORIGIN.get().unwrap_or(origin)
}

/// Puts the outer composite's line back, also when the recording panics.
struct RestoreOrigin(Option<Origin>);

impl Drop for RestoreOrigin {
    fn drop(&mut self) {
        ORIGIN.set(self.0);
    }
}

/// Runs `f` inside a named scope: what it records is labelled with the path of scopes, such as `encoder/dense`.
pub fn scope<R>(name: &str, f: impl FnOnce() -> R) -> R {
    let outer = SCOPE.with(|scope| scope.borrow().clone());
    let path = match &outer {
        Some(outer) => format!("{outer}/{name}"),
        None => name.to_string(),
    };
    SCOPE.with(|scope| scope.replace(Some(path.into())));
    let restore = Restore(outer);
    let result = f();
    drop(restore);
    result
}

/// Runs `f` in the scope that recorded this node: what belongs to a layer, such as its gradient, carries its name.
pub fn scope_of<R>(node: &Node, f: impl FnOnce() -> R) -> R {
    let restore = Restore(SCOPE.with(|scope| scope.replace(node.scope.clone())));
    let result = f();
    drop(restore);
    result
}

/// Puts the outer scope back, also when the recording panics.
struct Restore(Option<Arc<str>>);

impl Drop for Restore {
    fn drop(&mut self) {
        SCOPE.with(|scope| scope.replace(self.0.take()));
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.meta() {
            Ok(meta) => write!(f, "Tensor({} {} {})", self.node.op.name(), meta.dtype, meta.shape),
            Err(error) => write!(f, "Tensor(error: {error})"),
        }
    }
}
