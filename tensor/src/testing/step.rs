//! One random node of a wanted cell.

use super::{
    cells::{Cell, Primitive},
    generate::Maker,
    rng::Rng,
};
use crate::{
    dtype::{DType, Scalar},
    error::{Error, Result},
    graph::{Binary, Body, Conv2d, Cumulate, MatMul, Meta, Pool2d, ReduceOp, ScanSpec, Tensor},
    ops::random,
};
use std::panic::Location;

impl Maker<'_> {
    /// The results of a new node.
    pub fn step(&mut self, cell: Cell) -> Result<Vec<Tensor>> {
        let free = [0, 4];
        Ok(vec![match cell.primitive {
            Primitive::Unary(op) => self.free_subject(cell, free)?.unary(op),
            Primitive::Binary(op) => self.binary(op, cell)?,
            Primitive::Select => {
                let a = self.free_subject(cell, free)?;
                let shape = a.shape()?.to_vec();
                let condition = self.value(DType::Bool, &shape)?;
                condition.select(a, self.value(cell.dtype, &shape)?)
            }
            Primitive::Cast => {
                let x = self.free_subject(cell, free)?;
                let others: Vec<_> = DType::ALL.into_iter().filter(|&d| d != cell.dtype).collect();
                x.cast(self.rng.pick(&others).unwrap_or(DType::F32))
            }
            Primitive::View(kind) => {
                let shape = self.likely_shape([0, 4]);
                let lens = self.lens(kind, &shape, cell.dtype)?;
                lens.apply(&self.subject(cell, &lens.source)?)
            }
            Primitive::Concat => self.concat(cell)?,
            Primitive::Reduce(op) => self.reduce(op, cell)?,
            Primitive::MatMul => self.matmul(cell)?,
            Primitive::Conv2d | Primitive::Conv2dInputGrad | Primitive::Conv2dFilterGrad => self.conv2d(cell)?,
            Primitive::MaxPool
            | Primitive::MaxPoolGrad
            | Primitive::MaxPoolGather
            | Primitive::AvgPool
            | Primitive::AvgPoolGrad => self.pool2d(cell)?,
            Primitive::Gather => self.gather(cell)?,
            Primitive::ScatterAdd => self.scatter_add(cell)?,
            Primitive::Cumulate(op) => {
                let x = self.free_subject(cell, [1, 4])?;
                let how = Cumulate { op, reverse: self.rng.chance(40), exclusive: self.rng.chance(40) };
                x.cumulate(how, self.rng.below(x.rank()?) as isize)
            }
            Primitive::ArgSort => {
                let x = self.free_subject(cell, [1, 4])?;
                x.argsort(self.rng.below(x.rank()?) as isize, self.rng.chance(50))
            }
            Primitive::TakeAlong => {
                let data = self.free_subject(cell, [1, 4])?;
                let axis = self.rng.below(data.rank()?);
                let mut shape = data.shape()?.to_vec();
                let len = std::mem::replace(&mut shape[axis], self.rng.between(1, 6));
                data.take_along_axis(&self.indices(&shape, len)?, axis as isize)
            }
            Primitive::AddAlong => {
                let updates = self.free_subject(cell, [1, 4])?;
                let axis = self.rng.below(updates.rank()?);
                let len = self.rng.between(1, 6);
                let shape = updates.shape()?.to_vec();
                updates.add_along_axis(&self.indices(&shape, len)?, axis as isize, len)
            }
            Primitive::RandomBits => {
                let key = self.value(DType::U32, &[3])?;
                let shape = self.shape(free);
                random::bits(&key, self.rng.bits() as u32, shape)
            }
            Primitive::Iota => {
                let shape = self.shape([1, 4]);
                let axis = self.rng.below(shape.len()) as isize;
                Tensor::iota(cell.dtype, shape, axis)
            }
            Primitive::StopGradient => self.free_subject(cell, free)?.stop_gradient(),
            Primitive::Call => return self.call(cell),
            Primitive::Scan => return self.scan(cell),
        }])
    }

    fn free_subject(&mut self, cell: Cell, ranks: [usize; 2]) -> Result<Tensor> {
        let shape = self.likely_shape(ranks);
        self.subject(cell, &shape)
    }

    fn binary(&mut self, op: Binary, cell: Cell) -> Result<Tensor> {
        let a = self.free_subject(cell, [0, 4])?;
        let mut shape = a.shape()?.to_vec();
        if self.rng.chance(20) {
            let b = Tensor::full(cell.dtype, (), self.number(cell.dtype));
            return Ok(Tensor::binary(op, (&a).into(), (&b).into(), Location::caller()));
        }
        if self.rng.chance(30) {
            shape.iter_mut().for_each(|len| *len = if self.rng.chance(50) { 1 } else { *len });
            shape.drain(..self.rng.below(shape.len() + 1));
        }
        let b = self.value(cell.dtype, &shape)?;
        Ok(Tensor::binary(op, a.into(), b.into(), Location::caller()))
    }

    fn concat(&mut self, cell: Cell) -> Result<Tensor> {
        let first = self.free_subject(cell, [1, 4])?;
        let axis = self.rng.below(first.rank()?);
        let mut parts = vec![first];
        for _ in 0..self.rng.between(1, 3) {
            let mut shape = parts[0].shape()?.to_vec();
            shape[axis] = self.rng.between(1, 4);
            parts.push(self.value(cell.dtype, &shape)?);
        }
        Ok(Tensor::concat(&parts, axis as isize))
    }

    fn reduce(&mut self, op: ReduceOp, cell: Cell) -> Result<Tensor> {
        let x = self.free_subject(cell, [1, 4])?;
        let rank = x.rank()?;
        let one = self.rng.below(rank);
        let single = matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin);
        let axes: Vec<isize> =
            (0..rank).filter(|&a| a == one || (!single && self.rng.chance(40))).map(|a| a as isize).collect();
        Ok(x.reduce(op, axes))
    }

    fn matmul(&mut self, cell: Cell) -> Result<Tensor> {
        let how = MatMul { transpose_a: self.rng.chance(40), transpose_b: self.rng.chance(40) };
        let large = self.options.is_large();
        let mut len = |long: usize| match self.rng.chance(8) {
            _ if large => self.rng.pick(&[1, 7, 16, 31, 65, 100]).unwrap_or(1),
            true => long,
            false => self.rng.pick(&[1, 2, 3, 4, 5, 8]).unwrap_or(1),
        };
        let (m, k, n) = (len(17), len(65), len(33));
        let batch = self.shape([0, 2]);
        let batch = if batch.iter().product::<usize>() > 7 { Vec::new() } else { batch };
        let with = |rows: usize, cols: usize, transposed: bool, batch: &[usize]| {
            let tail = if transposed { [cols, rows] } else { [rows, cols] };
            [batch, &tail].concat()
        };
        let a = self.subject(cell, &with(m, k, how.transpose_a, &batch))?;
        let kept = if self.rng.chance(30) { &[] } else { batch.as_slice() };
        let b = self.value(cell.dtype, &with(k, n, how.transpose_b, kept))?;
        Ok(a.matmul_with(&b, how))
    }

    fn conv2d(&mut self, cell: Cell) -> Result<Tensor> {
        let large = self.options.is_large();
        let rng = &mut self.rng;
        let mut pair = |low: usize, high: usize| [rng.between(low, high), rng.between(low, high)];
        let (kernel, image) = (pair(1, 3), if large { pair(9, 20) } else { pair(3, 6) });
        let (strides, dilation) = (pair(1, 2), pair(1, 2));
        let (before, after) = (pair(0, 2), pair(0, 2));
        let [channels, filters] = if large { pair(1, 18) } else { pair(1, 3) };
        let groups = self.rng.pick(&[1, 1, 2, 3]).unwrap_or(1);
        let batch = self.rng.between(1, 3);
        let conv = Conv2d { strides, pads: [(before[0], after[0]), (before[1], after[1])], dilation, groups };
        let x = [batch, image[0], image[1], channels * groups];
        let w = [kernel[0], kernel[1], channels, filters * groups];
        let y = [batch, conv.output_len(0, x[1], w[0]), conv.output_len(1, x[2], w[1]), w[3]];
        if y.contains(&0) {
            return Err(Error::argument("the window does not fit"));
        }
        match cell.primitive {
            Primitive::Conv2dInputGrad => {
                let dy = self.subject(cell, &y)?;
                Ok(dy.conv2d_input_grad(&self.value(cell.dtype, &w)?, x, conv))
            }
            Primitive::Conv2dFilterGrad => {
                let x = self.subject(cell, &x)?;
                Ok(x.conv2d_filter_grad(&self.value(cell.dtype, &y)?, w, conv))
            }
            _ => {
                let x = self.subject(cell, &x)?;
                Ok(x.conv2d(&self.value(cell.dtype, &w)?, conv))
            }
        }
    }

    fn pool2d(&mut self, cell: Cell) -> Result<Tensor> {
        let large = self.options.is_large();
        let rng = &mut self.rng;
        let mut pair = |low: usize, high: usize| [rng.between(low, high), rng.between(low, high)];
        let (window, strides, image) = (pair(1, 3), pair(1, 3), if large { pair(9, 30) } else { pair(2, 6) });
        let pads = window.map(|w| (rng.below(w), rng.below(w)));
        let pool = Pool2d { window, strides, pads };
        let x = [rng.between(1, 2), image[0], image[1], if large { rng.between(5, 20) } else { rng.between(1, 3) }];
        let y = [x[0], pool.output_len(0, x[1]), pool.output_len(1, x[2]), x[3]];
        if y.contains(&0) {
            return Err(Error::argument("the window does not fit"));
        }
        match cell.primitive {
            Primitive::MaxPool => Ok(self.subject(cell, &x)?.max_pool2d(pool)),
            Primitive::AvgPool => Ok(self.subject(cell, &x)?.avg_pool2d(pool)),
            Primitive::AvgPoolGrad => Ok(self.subject(cell, &y)?.avg_pool2d_grad(x, pool)),
            Primitive::MaxPoolGrad => {
                let x = self.subject(cell, &x)?;
                Ok(x.max_pool2d_grad(&self.value(cell.dtype, &y)?, pool))
            }
            _ => {
                let values = self.value(cell.dtype, &x)?;
                Ok(self.subject(cell, &x)?.max_pool2d_gather(&values, pool))
            }
        }
    }

    /// Indices into an axis, some of them out of range.
    fn indices(&mut self, shape: &[usize], len: usize) -> Result<Tensor> {
        let any = self.value(DType::I32, shape)?;
        Ok(match self.rng.chance(70) {
            true => any.abs() % (len.max(1) as i64),
            false => any % (len as i64 + 2),
        })
    }

    fn gather(&mut self, cell: Cell) -> Result<Tensor> {
        let data = self.free_subject(cell, [1, 4])?;
        let axis = self.rng.below(data.rank()?);
        let shape = self.shape([0, 2]);
        if shape.iter().product::<usize>() * data.shape()?.numel() > 30 * self.options.numel {
            return Err(Error::argument("that would be large"));
        }
        let indices = self.indices(&shape, data.shape()?[axis])?;
        Ok(data.gather(&indices, axis as isize))
    }

    fn scatter_add(&mut self, cell: Cell) -> Result<Tensor> {
        let updates = self.free_subject(cell, [1, 4])?;
        let axis = self.rng.below(updates.rank()?);
        let len = self.rng.between(1, 6);
        let indices = self.indices(&[updates.shape()?[axis]], len)?;
        Ok(updates.scatter_add(&indices, axis as isize, len))
    }

    /// A maker for the inside of a body.
    fn inside<R>(&self, params: &[Tensor], seed: u64, build: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        build(&mut Maker::of_body(Rng::new(seed), self.options, params, self.depth.saturating_sub(1)))
    }

    fn call(&mut self, cell: Cell) -> Result<Vec<Tensor>> {
        let mut inputs = vec![self.free_subject(cell, [0, 3])?];
        for _ in 0..self.rng.below(3) {
            let dtype = self.some_dtype();
            let shape = self.likely_shape([0, 3]);
            inputs.push(self.value(dtype, &shape)?);
        }
        let metas = inputs.iter().map(|t| t.meta().cloned()).collect::<Result<Vec<_>>>()?;
        let (seed, steps) = (self.rng.bits(), self.rng.between(1, 3));
        let body = Body::new("composite", &metas, |params| {
            self.inside(params, seed, |maker| {
                maker.grow_some(steps);
                Ok(maker.pool.iter().rev().take(2).cloned().collect())
            })
        })?;
        Tensor::call(&body, &inputs)
    }

    fn scan(&mut self, cell: Cell) -> Result<Vec<Tensor>> {
        let spec = ScanSpec {
            steps: self.rng.between(1, 4),
            carries: self.rng.between(1, 2),
            inputs: self.rng.below(3),
            reverse: self.rng.chance(40),
        };
        let mut inputs = vec![self.free_subject(cell, [0, 3])?];
        let mut metas = vec![inputs[0].meta()?.clone()];
        let invariants = self.rng.below(2);
        for i in 1..spec.carries + spec.inputs + invariants {
            let dtype = self.some_dtype();
            let shape = self.likely_shape([0, 2]);
            let stacked = (spec.carries..spec.carries + spec.inputs).contains(&i);
            let whole = if stacked { [&[spec.steps], shape.as_slice()].concat() } else { shape.clone() };
            inputs.push(self.value(dtype, &whole)?);
            metas.push(Meta::new(dtype, shape));
        }
        let (seed, steps, stacked) = (self.rng.bits(), self.rng.between(1, 3), self.rng.below(3));
        let body = Body::new("loop", &metas, |params| {
            self.inside(params, seed, |maker| {
                maker.grow_some(steps);
                let mut outputs = Vec::new();
                for param in params.iter().take(spec.carries) {
                    let meta = param.meta()?;
                    let next = maker.value(meta.dtype, &meta.shape)?;
                    // Halves a float, so that a loop does not run away.
                    let next = if meta.dtype.is_float() { next * 0.5 + param * Scalar::Float(0.25) } else { next };
                    outputs.push(next);
                }
                outputs.extend(maker.pool.iter().rev().take(stacked).cloned());
                Ok(outputs)
            })
        })?;
        Tensor::scan(&body, spec, &inputs)
    }

    fn grow_some(&mut self, steps: usize) {
        for _ in 0..steps {
            if let Some(cell) = self.any_cell() {
                self.grow(cell);
            }
        }
    }

    fn some_dtype(&mut self) -> DType {
        let cells = self.options.cells.clone();
        self.rng.pick(&cells).map_or(DType::F32, |cell| cell.dtype)
    }
}
