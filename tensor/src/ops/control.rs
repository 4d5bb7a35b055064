//! Control of the flow: functions over rows, counted loops, running combinations, choices. A graph has no loop whose end depends on
//! data, and no branch that is not computed: `while_loop` has no counterpart, and `cond` is [`Tensor::select`].

use super::record;
use crate::{
    error::{Error, Result},
    graph::{Body, Meta, ScanSpec, Tensor, try_recorded_at},
    shape::Shape,
};
use std::panic::Location;

impl Tensor {
    /// `f` of every row: it gets the slices along axis 0 of `rows`, which are equally many, and then the `shared` tensors as they
    /// are, and its results are stacked. A loop whose body is recorded once; what `f` reads comes through its arguments only.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1.0f32, 2.0, 3.0, 4.0], [2, 2]);
    /// let y = Tensor::map(&[x], &[Tensor::scalar(10.0)], |p| Ok(vec![p[0].sum(..) * &p[1]]))?;
    /// assert_eq!(y[0].to_vec::<f32>()?, vec![30.0, 70.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[doc(alias = "vectorized_map")]
    #[track_caller]
    pub fn map(
        rows: &[Tensor],
        shared: &[Tensor],
        f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
    ) -> Result<Vec<Tensor>> {
        let origin = Location::caller();
        try_recorded_at(origin, || {
            let none = || Error::argument("map needs tensors with equally many rows, at least one");
            let steps = rows.first().ok_or_else(none)?.shape()?.first().copied().unwrap_or(0);
            let mut metas = Vec::new();
            for x in rows {
                let meta = x.meta()?;
                let (_, row) = meta.shape.split_first().filter(|(n, _)| **n == steps && steps > 0).ok_or_else(none)?;
                metas.push(Meta::new(meta.dtype, Shape::from(row)));
            }
            for x in shared {
                metas.push(x.meta()?.clone());
            }
            let body = Body::new("map", &metas, f)?;
            let inputs: Vec<Tensor> = rows.iter().chain(shared).cloned().collect();
            Tensor::scan(&body, ScanSpec { steps, carries: 0, inputs: rows.len(), reverse: false }, &inputs)
        })
    }

    /// The values that are left after `f` was applied for each number from `lower` to before `upper`: it gets the number (`I32`), the
    /// values so far, and then the `shared` tensors, and returns new values of the same shapes and types. What `f` reads comes
    /// through its arguments only.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1.0f32], [1]);
    /// let y = Tensor::fori_loop(1, 5, &[x], &[], |p| Ok(vec![&p[1] * &p[0]]))?;
    /// assert_eq!(y[0].to_vec::<f32>()?, vec![24.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn fori_loop(
        lower: i32,
        upper: i32,
        init: &[Tensor],
        shared: &[Tensor],
        f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
    ) -> Result<Vec<Tensor>> {
        let origin = Location::caller();
        try_recorded_at(origin, || {
            let Some(steps) = upper.checked_sub(lower).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0) else {
                return Ok(init.to_vec());
            };
            let numbers = Tensor::arange(steps) + i64::from(lower);
            let mut metas = init.iter().map(|x| x.meta().cloned()).collect::<Result<Vec<_>>>()?;
            metas.push(Meta::new(numbers.dtype()?, ()));
            for x in shared {
                metas.push(x.meta()?.clone());
            }
            let carries = init.len();
            let body = Body::new("fori_loop", &metas, |p| {
                // The number comes first for the caller, the carries first for the loop.
                let mut given = p.to_vec();
                given[..=carries].rotate_right(1);
                let next = f(&given)?;
                match next.len() == carries {
                    true => Ok(next),
                    false => Err(Error::argument(format!("fori_loop: {carries} values became {}", next.len()))),
                }
            })?;
            let inputs: Vec<Tensor> = init.iter().chain([&numbers]).chain(shared).cloned().collect();
            Tensor::scan(&body, ScanSpec { steps, carries, inputs: 1, reverse: false }, &inputs)
        })
    }

    /// The running combination along `axis` by an associative `f` of two lists of slices: `y[i] = f(… f(x[0], x[1]) …, x[i])`, from the
    /// other end with `reverse`. Not a loop: the logarithm of the length many turns, each over all elements.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1.0f32, 2.0, 3.0, 4.0], [4]);
    /// let y = Tensor::associative_scan(&[x], 0, false, |a, b| Ok(vec![&a[0] * &b[0]]))?;
    /// assert_eq!(y[0].to_vec::<f32>()?, vec![1.0, 2.0, 6.0, 24.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn associative_scan(
        elements: &[Tensor],
        axis: isize,
        reverse: bool,
        f: impl Fn(&[Tensor], &[Tensor]) -> Result<Vec<Tensor>>,
    ) -> Result<Vec<Tensor>> {
        let origin = Location::caller();
        try_recorded_at(origin, || {
            let lengths =
                elements.iter().map(|x| Ok(x.shape()?[x.shape()?.axis(axis)?])).collect::<Result<Vec<_>>>()?;
            let n = lengths.first().copied().unwrap_or(0);
            if lengths.iter().any(|&len| len != n) {
                return Err(Error::shape(format!("associative_scan: axis {axis} has lengths {lengths:?}")));
            }
            let turned = |list: &[Tensor]| -> Vec<Tensor> {
                list.iter().map(|x| if reverse { x.flip(axis) } else { x.clone() }).collect()
            };
            let mut y = turned(elements);
            // Each turn doubles how far back an element reaches.
            let mut reach = 1;
            while reach < n {
                let part = |from: usize, to: usize| y.iter().map(|x| x.slice(axis, from..to)).collect::<Vec<_>>();
                let joined = f(&part(0, n - reach), &part(reach, n))?;
                if joined.len() != y.len() {
                    return Err(Error::argument(format!(
                        "associative_scan: {} values became {}",
                        y.len(),
                        joined.len()
                    )));
                }
                let first = part(0, reach);
                y = first.into_iter().zip(joined).map(|(first, rest)| Tensor::concat(&[first, rest], axis)).collect();
                reach *= 2;
            }
            Ok(turned(&y))
        })
    }

    /// The branch of this number: `self` is an integer without axes, and all branches, which broadcast, are computed. Numbers out of
    /// range take the first or the last one. (Keras' `cond` is [`select`](Tensor::select) by a `Bool`.)
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let branches = [Tensor::zeros([2]), Tensor::ones([2])];
    /// assert_eq!(Tensor::scalar(5i64).switch(&branches).to_vec::<f32>()?, vec![1.0, 1.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn switch(&self, branches: &[Tensor]) -> Tensor {
        record(Location::caller(), || {
            let number = super::index::whole_numbers(self)?;
            let [] = number.dims()?;
            let Some((last, others)) = branches.split_last() else {
                return Err(Error::argument("switch needs a branch"));
            };
            let chosen = |rest: Tensor, (i, branch): (usize, &Tensor)| number.less_equal(i as i64).select(branch, rest);
            Ok(others.iter().enumerate().rev().fold(last.clone(), chosen))
        })
    }
}
