//! Boundaries: where lazy tensors become numbers. Each has a blocking form, and an async one for those who must not wait; the
//! first is the second, waited for.

#[cfg(not(target_arch = "wasm32"))]
use crate::platform::block_on;
use crate::{
    array::Array,
    dtype::Element,
    error::{Error, Result},
    graph::{Origin, Tensor},
    run::{evaluate, no_value, read},
};
use std::{panic::Location, slice};

/// Waiting. A browser's thread must not, so these do not exist there.
#[cfg(not(target_arch = "wasm32"))]
impl Tensor {
    /// Computes these tensors together, so that what they share is computed once. Only submits: reading waits.
    #[track_caller]
    pub fn eval(tensors: &[Tensor]) -> Result<()> {
        block_on(Tensor::eval_async(tensors))
    }
    /// The elements as host data: computes and waits.
    #[track_caller]
    pub fn to_array(&self) -> Result<Array> {
        block_on(self.to_array_async())
    }
    /// The elements in row-major order: computes and waits. Fails if `T` would lose information (see [`Element`]).
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        block_on(self.to_vec_async())
    }
    /// The only element: computes and waits.
    #[track_caller]
    pub fn item<T: Element>(&self) -> Result<T> {
        block_on(self.item_async())
    }
    /// The computed value without its history: no gradient flows through it.
    #[track_caller]
    pub fn detach(&self) -> Result<Tensor> {
        block_on(self.detach_async())
    }
    /// The computed value as a new leaf that gradients can be taken for.
    #[track_caller]
    pub fn watch(&self) -> Result<Tensor> {
        block_on(self.watch_async())
    }
}

/// Awaiting, on every platform: while a device works, the thread does something else. A future that is dropped leaves the device
/// as usable as before; one that was never polled has done nothing.
///
/// ```
/// # fn run<T>(future: impl Future<Output = T>) -> T {
/// #     let mut future = std::pin::pin!(future);
/// #     loop {
/// #         let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// #         if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
/// #             return value;
/// #         }
/// #     }
/// # }
/// use addax_tensor::{Result, Tensor};
/// async fn total(x: &Tensor) -> Result<f32> {
///     x.sum_all().item_async().await
/// }
/// assert_eq!(run(total(&Tensor::ones([3])))?, 3.0);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
impl Tensor {
    /// Computes these tensors together, so that what they share is computed once. The future is done when all is submitted: it waits
    /// for what must come before, such as compiling, not for the results.
    #[track_caller]
    pub fn eval_async(tensors: &[Tensor]) -> impl Future<Output = Result<()>> {
        let origin = Location::caller();
        async move { evaluate(tensors).await.map_err(|e| e.at(origin)) }
    }
    /// The elements as host data.
    #[track_caller]
    pub fn to_array_async(&self) -> impl Future<Output = Result<Array>> {
        let origin = Location::caller();
        async move {
            evaluate(slice::from_ref(self)).await.map_err(|e| e.at(origin))?;
            read(self.value().ok_or_else(no_value)?, self.meta()?).await
        }
    }
    /// The elements in row-major order. Fails if `T` would lose information (see [`Element`]).
    #[track_caller]
    pub fn to_vec_async<T: Element>(&self) -> impl Future<Output = Result<Vec<T>>> {
        let origin = Location::caller();
        let array = self.to_array_async();
        async move { array.await?.to_vec().map_err(|e| e.at(origin)) }
    }
    /// The only element.
    #[track_caller]
    pub fn item_async<T: Element>(&self) -> impl Future<Output = Result<T>> {
        let origin = Location::caller();
        let elements = self.to_vec_async::<T>();
        async move {
            match elements.await?.as_slice() {
                [one] => Ok(*one),
                _ => Err(Error::shape(format!("item needs one element, got shape {}", self.shape()?)).at(origin)),
            }
        }
    }
    /// The computed value without its history: no gradient flows through it.
    #[track_caller]
    pub fn detach_async(&self) -> impl Future<Output = Result<Tensor>> {
        self.leaf_of(false, Location::caller())
    }
    /// The computed value as a new leaf that gradients can be taken for.
    #[track_caller]
    pub fn watch_async(&self) -> impl Future<Output = Result<Tensor>> {
        self.leaf_of(true, Location::caller())
    }
    async fn leaf_of(&self, watched: bool, origin: Origin) -> Result<Tensor> {
        evaluate(slice::from_ref(self)).await.map_err(|e| e.at(origin))?;
        let value = self.value().cloned().ok_or_else(no_value)?;
        Ok(Tensor::leaf(value, self.meta()?.clone(), watched, origin))
    }
}
