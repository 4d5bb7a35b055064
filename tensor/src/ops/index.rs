//! Joining, gathering and scattering.

use super::record;
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Meta, Op, Tensor},
    shape::Shape,
};
use std::panic::Location;

impl Tensor {
    /// One after the other along `axis`; the other axes are equal.
    #[track_caller]
    pub fn concat(tensors: &[Tensor], axis: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let first = tensors.first().ok_or_else(|| Error::argument("concat needs at least one tensor"))?;
            if tensors.len() == 1 {
                return Ok(first.clone());
            }
            let axis = first.shape()?.axis(axis)?;
            let mut dims = first.shape()?.to_vec();
            let mut dtype = first.dtype()?;
            for tensor in &tensors[1..] {
                let shape = tensor.shape()?;
                let fits = shape.rank() == dims.len() && (0..dims.len()).all(|a| a == axis || shape[a] == dims[a]);
                if !fits {
                    return Err(Error::shape(format!(
                        "concat along axis {axis}: {} and {shape} do not fit",
                        first.shape()?
                    )));
                }
                dims[axis] += shape[axis];
                dtype = dtype.promote(tensor.dtype()?);
            }
            let inputs = tensors.iter().map(|t| t.cast_at(dtype, origin)).collect();
            Ok(Tensor::record_one(Op::Concat(axis), inputs, Meta::new(dtype, dims), origin))
        })
    }

    /// Along a new axis; all shapes are equal.
    #[track_caller]
    pub fn stack(tensors: &[Tensor], axis: isize) -> Tensor {
        record(Location::caller(), || {
            let wide: Vec<_> = tensors.iter().map(|t| t.expand_dims(axis)).collect();
            Ok(Tensor::concat(&wide, axis))
        })
    }

    /// Slices of `self` along `axis` at `indices` (any shape, integers): the axis is replaced by the shape of `indices`.
    /// An index out of range gives zeros.
    #[track_caller]
    pub fn gather(&self, indices: &Tensor, axis: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let shape = self.shape()?.clone();
            let axis = shape.axis(axis)?;
            let at = indices.shape()?.clone();
            let flat = whole_numbers(indices)?.reshape([at.numel()]);
            let with = |middle: &[usize]| -> Shape {
                shape[..axis].iter().chain(middle).chain(&shape[axis + 1..]).copied().collect()
            };
            let meta = Meta { shape: with(&[at.numel()]), dtype: self.dtype()? };
            let gathered = Tensor::record_one(Op::Gather(axis), vec![self.clone(), flat], meta, origin);
            Ok(gathered.reshape(with(&at)))
        })
    }

    /// [`gather`](Tensor::gather) where negative indices count from the end, as in Keras: -1 is the last slice. What is out of range
    /// even so gives zeros.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([10, 20, 30], [3]);
    /// let at = Tensor::from_vec([-1, 0, 3, -4], [4]);
    /// assert_eq!(x.take(&at, 0).to_vec::<i32>()?, vec![30, 10, 0, 0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn take(&self, indices: &Tensor, axis: isize) -> Tensor {
        record(Location::caller(), || {
            let shape = self.shape()?;
            let n = shape[shape.axis(axis)?] as i64;
            let at = whole_numbers(indices)?;
            Ok(self.gather(&at.less(0i64).select(&at + n, &at), axis))
        })
    }

    /// Zeros with length `len` along `axis`, to which the slices of `self` along `axis` are added at `indices`
    /// (a vector of integers), in order. Indices out of range are left out.
    #[track_caller]
    pub fn scatter_add(&self, indices: &Tensor, axis: isize, len: usize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let axis = self.shape()?.axis(axis)?;
            let [count] = indices.dims()?;
            let mut dims = self.shape()?.to_vec();
            if dims[axis] != count {
                return Err(Error::shape(format!("scatter_add: {count} indices for {} slices", dims[axis])));
            }
            dims[axis] = len;
            let meta = Meta::new(self.dtype()?, dims);
            Ok(Tensor::record_one(Op::ScatterAdd(axis), vec![whole_numbers(indices)?, self.clone()], meta, origin))
        })
    }

    /// 1 where the position along a new last axis of length `classes` equals the element, else 0, as `dtype`.
    #[track_caller]
    pub fn one_hot(&self, classes: usize, dtype: DType) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let wide = whole_numbers(self)?.expand_dims(-1);
            let shape: Shape = self.shape()?.iter().copied().chain([classes]).collect();
            let axis = shape.rank() as isize - 1;
            Ok(wide.equal(Tensor::iota(DType::I32, shape, axis)).cast_at(dtype, origin))
        })
    }
}

pub(super) fn whole_numbers(indices: &Tensor) -> Result<Tensor> {
    match indices.dtype()? {
        DType::I32 => Ok(indices.clone()),
        DType::U8 | DType::U32 => Ok(indices.cast(DType::I32)),
        other => Err(Error::dtype(format!("indices are integers, got {other}; cast them first"))),
    }
}
