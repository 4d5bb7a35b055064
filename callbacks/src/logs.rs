//! What training hands to callbacks: names and numbers, some of which the device is still computing.

use crate::text;
use addax_tensor::{Error, Result, Tensor, error::near_names};
use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, PoisonError, TryLockError},
};

/// A number that may still be on its way, such as a running metric on the device.
///
/// `get` may be asked several times and then says the same each time.
pub trait LogValue: Any + Send + Sync {
    /// The number if it can be had at once. Never waits; `None` while it is computed, and when computing it failed.
    fn try_get(&self) -> Option<f64>;
    /// The number; waits for it. Fails as the computation failed.
    fn get(&self) -> Result<f64>;
}

/// What a train step of your own returns, such as `logs! { "d_loss" => d_loss }`: a tensor with one element.
///
/// Asking for it computes. The trainer finds it with [`Value::downcast_ref`], computes it together with the step, and
/// hands callbacks the mean over the epoch so far.
impl LogValue for Tensor {
    fn try_get(&self) -> Option<f64> {
        None
    }
    fn get(&self) -> Result<f64> {
        self.item()
    }
}

/// One value of the [`Logs`]: a number, or a [`LogValue`] that becomes one. A clone is cheap and is the same value.
#[derive(Clone)]
pub struct Value(Inner);

#[derive(Clone)]
enum Inner {
    Number(f64),
    Lazy(Arc<dyn LogValue>),
}

impl Value {
    /// A value that `wait` computes when somebody first asks for it; until then [`Value::try_get`] is `None`.
    pub fn waiting(wait: impl FnOnce() -> Result<f64> + Send + 'static) -> Self {
        Waiting(Mutex::new(State::Pending(Box::new(wait)))).into()
    }
    /// The number if it can be had at once.
    pub fn try_get(&self) -> Option<f64> {
        match &self.0 {
            Inner::Number(number) => Some(*number),
            Inner::Lazy(value) => value.try_get(),
        }
    }
    /// The number; waits for it. Fails as the computation failed.
    pub fn get(&self) -> Result<f64> {
        match &self.0 {
            Inner::Number(number) => Ok(*number),
            Inner::Lazy(value) => value.get(),
        }
    }
    /// The [`LogValue`] behind it, if it is a `T`.
    pub fn downcast_ref<T: LogValue>(&self) -> Option<&T> {
        match &self.0 {
            Inner::Number(_) => None,
            Inner::Lazy(value) => {
                let any: &dyn Any = &**value;
                any.downcast_ref()
            }
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value(Inner::Number(number))
    }
}

impl From<f32> for Value {
    fn from(number: f32) -> Self {
        Value(Inner::Number(number.into()))
    }
}

impl<T: LogValue> From<T> for Value {
    fn from(value: T) -> Self {
        Value(Inner::Lazy(Arc::new(value)))
    }
}

/// `0.25`, or `…` while it is computed.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.try_get().map_or_else(|| "…".into(), text::metric))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_get() {
            Some(number) => number.fmt(f),
            None => f.write_str("…"),
        }
    }
}

struct Waiting(Mutex<State>);

enum State {
    Pending(Box<dyn FnOnce() -> Result<f64> + Send>),
    Done(Result<f64>),
}

impl LogValue for Waiting {
    fn try_get(&self) -> Option<f64> {
        // Another thread may hold the lock for as long as it waits for the device, so this one only tries.
        let state = match self.0.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        match &*state {
            State::Done(Ok(number)) => Some(*number),
            _ => None,
        }
    }
    fn get(&self) -> Result<f64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Stands only if `wait` panics: whoever asks again then gets this error.
        let interrupted = || State::Done(Err(Error::data("the computation of this log value was interrupted")));
        let result = match std::mem::replace(&mut *state, interrupted()) {
            State::Pending(wait) => wait(),
            State::Done(result) => result,
        };
        *state = State::Done(result.clone());
        result
    }
}

/// Names and values of one moment of training, in a fixed order: `loss`, metrics, `val_loss`, …
///
/// Values may be lazy, so that training does not wait for the device after every batch: [`Logs::get`] waits,
/// [`Logs::try_get`] does not. A callback may insert values of its own in `on_epoch_end`; callbacks after it, the
/// history and the progress bar then see them.
///
/// ```
/// use addax_callbacks::{Logs, logs};
/// let mut logs = logs! { "loss" => 0.5, "accuracy" => 0.75 };
/// logs.insert("learning_rate", 1e-3);
/// assert_eq!(logs.get("accuracy")?, 0.75);
/// assert_eq!(logs.to_string(), "loss: 0.5000 - accuracy: 0.7500 - learning_rate: 1.0000e-03");
/// let error = logs.get("acuracy").unwrap_err().to_string();
/// assert_eq!(error, "no log \"acuracy\"; did you mean \"accuracy\"? The logs are: loss, accuracy, learning_rate");
/// # Ok::<(), addax_callbacks::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Logs(Vec<(Arc<str>, Value)>);

impl Logs {
    /// Empty logs.
    pub fn new() -> Self {
        Self::default()
    }
    /// Sets a value; a new name goes to the end, a known one keeps its place.
    pub fn insert(&mut self, name: impl Into<Arc<str>>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }
    /// Takes a value out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(n, _)| &**n == name)?;
        Some(self.0.remove(at).1)
    }
    /// The value of `name`; waits for the device if it must. A wrong name fails and lists the names.
    pub fn get(&self, name: &str) -> Result<f64> {
        self.value(name).ok_or_else(|| self.no_such(name))?.get()
    }
    /// The value of `name` if it exists and can be had without waiting.
    pub fn try_get(&self, name: &str) -> Option<f64> {
        self.value(name)?.try_get()
    }
    /// The value of `name`, lazy or not.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }
    /// The tensor of this name: the outputs of a batch, in [`on_predict_batch_end`](crate::Callback::on_predict_batch_end).
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        let value = self.value(name).ok_or_else(|| self.no_such(name))?;
        value
            .downcast_ref()
            .ok_or_else(|| Error::argument(format!("the log \"{name}\" is a number, not a tensor; use `get`")))
    }
    /// Whether there is a value of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.value(name).is_some()
    }
    /// Names in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }
    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }
    /// Names and numbers in order; waits for the device. Fails with the first value that failed.
    pub fn numbers(&self) -> Result<Vec<(&str, f64)>> {
        self.iter().map(|(name, value)| Ok((name, value.get()?))).collect()
    }
    /// The same values under names with `prefix` in front, such as `"val_"`.
    pub fn prefixed(&self, prefix: &str) -> Logs {
        Logs(self.0.iter().map(|(name, value)| (format!("{prefix}{name}").into(), value.clone())).collect())
    }
    /// Number of values.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// `; did you mean "accuracy"? The logs are: loss, accuracy`: the end of an error about the name `name`.
    pub(crate) fn suggestion(&self, name: &str) -> String {
        let near: Vec<_> = near_names(name, self.keys()).iter().map(|n| format!("\"{n}\"")).collect();
        let near = if near.is_empty() { ".".into() } else { format!("; did you mean {}?", near.join(" or ")) };
        if self.is_empty() {
            return format!("{near} There are no logs here");
        }
        format!("{near} The logs are: {}", self.keys().collect::<Vec<_>>().join(", "))
    }
    fn no_such(&self, name: &str) -> Error {
        Error::argument(format!("no log \"{name}\"{}", self.suggestion(name)))
    }
}

impl<N: Into<Arc<str>>, V: Into<Value>> Extend<(N, V)> for Logs {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, values: I) {
        for (name, value) in values {
            self.insert(name, value);
        }
    }
}

impl<N: Into<Arc<str>>, V: Into<Value>> FromIterator<(N, V)> for Logs {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(values: I) -> Self {
        let mut logs = Logs::new();
        logs.extend(values);
        logs
    }
}

impl IntoIterator for Logs {
    type Item = (Arc<str>, Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// `loss: 0.5000 - accuracy: 0.7500`; never waits.
impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}: {value}", if i == 0 { "" } else { " - " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// [`Logs`](crate::Logs) from names and values: `logs! { "loss" => 0.5, "accuracy" => 0.75 }`.
#[macro_export]
macro_rules! logs {
    ($($name:expr => $value:expr),* $(,)?) => {{
        #[allow(unused_mut, reason = "no value is inserted into empty logs")]
        let mut logs = $crate::Logs::new();
        $(logs.insert($name, $value);)*
        logs
    }};
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_tensor_is_handed_out_whole() {
        let outputs = Tensor::from_array(addax_tensor::Array::new([2, 2], &[1.0f32, 2.0, 3.0, 4.0]).unwrap());
        let logs = logs! { "outputs" => outputs, "loss" => 0.5 };
        assert_eq!(logs.tensor("outputs").unwrap().to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0]);
        let number = logs.tensor("loss").unwrap_err().to_string();
        assert_eq!(number, "the log \"loss\" is a number, not a tensor; use `get`");
        assert!(logs.tensor("output").unwrap_err().to_string().contains("did you mean \"outputs\"?"));
    }

    #[test]
    fn a_waiting_value_is_computed_once_and_only_when_asked() {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let value = Value::waiting(|| {
            CALLS.fetch_add(1, Ordering::SeqCst);
            Ok(2.0)
        });
        let logs = logs! { "loss" => value };
        assert_eq!((logs.try_get("loss"), logs.to_string().as_str()), (None, "loss: …"));
        assert_eq!(CALLS.load(Ordering::SeqCst), 0);
        assert_eq!((logs.get("loss").unwrap(), logs.get("loss").unwrap()), (2.0, 2.0));
        assert_eq!(logs.try_get("loss"), Some(2.0));
        assert_eq!(CALLS.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failed_value_fails_each_time() {
        let logs = logs! { "loss" => Value::waiting(|| Err(Error::device("the device was lost"))) };
        for _ in 0..2 {
            assert_eq!(logs.get("loss").unwrap_err().to_string(), "the device was lost");
        }
        assert_eq!(logs.try_get("loss"), None);
        assert!(logs.numbers().is_err());
    }

    #[test]
    fn try_get_does_not_wait_for_a_thread_that_waits() {
        let (asked, is_asked) = std::sync::mpsc::channel();
        let (go, may_go) = std::sync::mpsc::channel::<()>();
        let value = Value::waiting(move || {
            asked.send(()).unwrap();
            may_go.recv().unwrap();
            Ok(1.0)
        });
        let other = value.clone();
        let thread = std::thread::spawn(move || other.get());
        is_asked.recv().unwrap();
        assert_eq!(value.try_get(), None);
        go.send(()).unwrap();
        assert_eq!(thread.join().unwrap().unwrap(), 1.0);
        assert_eq!(value.try_get(), Some(1.0));
    }

    #[test]
    fn names_keep_their_place() {
        let mut logs = logs! { "loss" => 1.0, "mae" => 2.0f32 };
        logs.insert("loss", 3.0);
        logs.extend(logs.prefixed("val_"));
        assert_eq!(logs.keys().collect::<Vec<_>>(), ["loss", "mae", "val_loss", "val_mae"]);
        assert_eq!(logs.get("val_loss").unwrap(), 3.0);
        assert_eq!(logs.remove("mae").unwrap().get().unwrap(), 2.0);
        assert_eq!(logs.len(), 3);
        assert_eq!(logs! {}.get("loss").unwrap_err().to_string(), "no log \"loss\". There are no logs here");
    }

    #[test]
    fn tensors_are_values() {
        let loss = Tensor::scalar(0.25f32);
        let logs = logs! { "loss" => loss.clone(), "mae" => 1.0 };
        assert_eq!((logs.try_get("loss"), logs.get("loss").ok()), (None, loss.item().ok()));
        assert!(logs.value("loss").unwrap().downcast_ref::<Tensor>().is_some());
    }

    #[test]
    fn a_lazy_value_can_be_recognised() {
        struct Step(u32);
        impl LogValue for Step {
            fn try_get(&self) -> Option<f64> {
                None
            }
            fn get(&self) -> Result<f64> {
                Ok(self.0.into())
            }
        }
        let logs = logs! { "step" => Step(7), "loss" => 1.0 };
        assert_eq!(logs.value("step").unwrap().downcast_ref::<Step>().unwrap().0, 7);
        assert!(logs.value("loss").unwrap().downcast_ref::<Step>().is_none());
    }
}
