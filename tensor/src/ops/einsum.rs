//! Sums of products over named axes, as matrix products.

use super::record;
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::Tensor,
    shape::Shape,
};
use std::{collections::BTreeMap, panic::Location};

impl Tensor {
    /// Einstein summation: every letter names an axis; letters that the result lacks are summed over. `...` stands for any further
    /// axes, which broadcast. Without `->` the result has the letters that occur once, in alphabetical order.
    ///
    /// Operands are taken from left to right, two at a time, each pair by one batched matrix product.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let a = Tensor::from_vec([1.0f32, 2.0, 3.0, 4.0], [2, 2]);
    /// assert_eq!(Tensor::einsum("ij,kj->ik", &[&a, &a])?.to_vec::<f32>()?, vec![5.0, 11.0, 11.0, 25.0]);
    /// assert_eq!(Tensor::einsum("ii", &[&a])?.to_vec::<f32>()?, vec![5.0]);
    /// let error = Tensor::einsum("ij,jk->il", &[&a, &a]).unwrap_err().to_string();
    /// assert!(error.contains("\"ij,jk->il\""));
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn einsum(equation: &str, operands: &[&Tensor]) -> Result<Tensor> {
        let origin = Location::caller();
        let result = contract(equation, operands).map_err(|e| e.at(origin))?;
        result.check()?;
        Ok(result)
    }

    /// Sum of products over the last `axes` axes of `self` and the first `axes` of `other`; `0` is the outer product.
    #[track_caller]
    pub fn tensordot(&self, other: &Tensor, axes: usize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let (a, b) = (self.rank()?, other.rank()?);
            let unfit = || Error::shape(format!("tensordot: {axes} axes of shapes of {a} and {b} axes"));
            let first = a.checked_sub(axes).ok_or_else(unfit)?;
            let left: Vec<isize> = (first..a).map(|i| i as isize).collect();
            let right: Vec<isize> = (0..axes).map(|i| i as isize).collect();
            if axes > b {
                return Err(unfit());
            }
            Ok(self.tensordot_axes(other, &left, &right))
        })
    }

    /// Sum of products over axis `left[i]` of `self` and `right[i]` of `other`, for all i. The other axes of `self` come first.
    #[track_caller]
    pub fn tensordot_axes(&self, other: &Tensor, left: &[isize], right: &[isize]) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let (a, b) = (self.shape()?, other.shape()?);
            let left = left.iter().map(|&i| a.axis(i)).collect::<Result<Vec<_>>>()?;
            let right = right.iter().map(|&i| b.axis(i)).collect::<Result<Vec<_>>>()?;
            let name = |list: &[usize], axis: usize| list.iter().position(|&l| l == axis);
            let mut labels = Labels::default();
            let shared: Vec<Label> = left.iter().map(|_| labels.fresh()).collect();
            let of = |list: &[usize], rank: usize, labels: &mut Labels| -> Vec<Label> {
                (0..rank).map(|axis| name(list, axis).map_or_else(|| labels.fresh(), |i| shared[i])).collect()
            };
            let (first, second) = (of(&left, a.rank(), &mut labels), of(&right, b.rank(), &mut labels));
            let fits = left.len() == right.len() && left.iter().zip(&right).all(|(&l, &r)| a[l] == b[r]);
            if !fits {
                return Err(Error::shape(format!("tensordot: axes {left:?} of {a} and {right:?} of {b} do not fit")));
            }
            let kept: Vec<Label> = first.iter().chain(&second).filter(|l| !shared.contains(l)).copied().collect();
            pair(&Term::new(self.clone(), first), &Term::new(other.clone(), second), &kept)?.into_order(&kept)
        })
    }

    /// Every product of an element of `self` and one of `other`, both taken as vectors: `[n, m]`.
    #[track_caller]
    pub fn outer(&self, other: &Tensor) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let (n, m) = (self.shape()?.numel(), other.shape()?.numel());
            Ok(self.reshape([n, 1]) * other.reshape([1, m]))
        })
    }

    /// Sum of products over the last axis of both; the other axes of `self` come first.
    #[track_caller]
    pub fn inner(&self, other: &Tensor) -> Tensor {
        let origin = Location::caller();
        record(origin, || match self.rank()? == 0 || other.rank()? == 0 {
            true => Ok(self * other),
            false => Ok(self.tensordot_axes(other, &[-1], &[-1])),
        })
    }

    /// NumPy's `dot`: over the last axis of `self` and the last but one of `other` (its only one, if it is a vector).
    #[track_caller]
    pub fn dot(&self, other: &Tensor) -> Tensor {
        let origin = Location::caller();
        record(origin, || match (self.rank()?, other.rank()?) {
            (0, _) | (_, 0) => Ok(self * other),
            (_, 1) => Ok(self.tensordot_axes(other, &[-1], &[-1])),
            _ => Ok(self.tensordot_axes(other, &[-1], &[-2])),
        })
    }
}

/// The name of an axis: a letter, or a number beyond letters for axes under `...`.
type Label = u32;

#[derive(Default)]
struct Labels(u32);

impl Labels {
    fn fresh(&mut self) -> Label {
        self.0 += 1;
        // Beyond every `char`.
        0x11_0000 + self.0
    }
}

/// A tensor with named axes, each name once.
struct Term {
    tensor: Tensor,
    labels: Vec<Label>,
}

impl Term {
    fn new(tensor: Tensor, labels: Vec<Label>) -> Term {
        Term { tensor, labels }
    }
    fn len(&self, label: Label) -> Result<Option<usize>> {
        let shape = self.tensor.shape()?;
        Ok(self.labels.iter().position(|&l| l == label).map(|axis| shape[axis]))
    }
    /// Sums over the axes that are not `kept`.
    fn summed(self, kept: impl Fn(Label) -> bool) -> Term {
        let gone: Vec<isize> = (0..self.labels.len()).filter(|&i| !kept(self.labels[i])).map(|i| i as isize).collect();
        if gone.is_empty() {
            return self;
        }
        Term { tensor: self.tensor.sum(gone), labels: self.labels.into_iter().filter(|&l| kept(l)).collect() }
    }
    /// The axes in this order.
    fn into_order(self, order: &[Label]) -> Result<Tensor> {
        let lost = || Error::argument("einsum: a name of the result is in no operand");
        let place = |l: &Label| self.labels.iter().position(|k| k == l).map(|i| i as isize).ok_or_else(lost);
        Ok(self.tensor.permute(order.iter().map(place).collect::<Result<Vec<_>>>()?))
    }
}

fn contract(equation: &str, operands: &[&Tensor]) -> Result<Tensor> {
    let wrong = |what: String| Error::argument(format!("einsum \"{equation}\": {what}"));
    let compact: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match compact.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (compact.as_str(), None),
    };
    let inputs: Vec<&str> = left.split(',').collect();
    if inputs.len() != operands.len() {
        return Err(wrong(format!("names {} operands, got {}", inputs.len(), operands.len())));
    }
    let letters = |part: &str| part.replace("...", "").chars().filter(|c| c.is_alphabetic()).count();
    for part in inputs.iter().copied().chain(right) {
        let legal = part.replacen("...", "", 1).chars().all(char::is_alphabetic);
        if !legal {
            return Err(wrong(format!("\"{part}\" is no list of letters with at most one \"...\"")));
        }
    }
    // As many axes under `...` as the operand with most of them has.
    let mut spread = 0;
    for (part, operand) in inputs.iter().zip(operands) {
        let (shape, count) = (operand.shape()?, letters(part));
        let fits = if part.contains("...") { count <= shape.rank() } else { count == shape.rank() };
        if !fits {
            return Err(wrong(format!("\"{part}\" names {count} axes, the operand has shape {shape}")));
        }
        spread = spread.max(shape.rank() - count);
    }
    let mut labels = Labels::default();
    let dots: Vec<Label> = (0..spread).map(|_| labels.fresh()).collect();
    let named = |part: &str, under: usize| -> Vec<Label> {
        let mut list = Vec::new();
        let mut rest = part;
        while let Some(c) = rest.chars().next() {
            match rest.strip_prefix("...") {
                Some(after) => {
                    list.extend_from_slice(&dots[spread - under..]);
                    rest = after;
                }
                None => {
                    list.push(u32::from(c));
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        list
    };
    let mut lens: BTreeMap<Label, usize> = BTreeMap::new();
    let mut terms = Vec::new();
    let mut counts: BTreeMap<Label, usize> = BTreeMap::new();
    for (part, operand) in inputs.iter().zip(operands) {
        let list = named(part, operand.rank()? - letters(part));
        for (&label, &n) in list.iter().zip(operand.shape()?.iter()) {
            *counts.entry(label).or_default() += 1;
            let known = lens.entry(label).or_insert(n);
            if *known == 1 {
                *known = n;
            }
            if n != 1 && *known != n {
                let name = char::from_u32(label).map_or("...".into(), |c| c.to_string());
                return Err(wrong(format!(
                    "axis `{name}` has length {known} and {n}, the operand has shape {}",
                    operand.shape()?
                )));
            }
        }
        terms.push((*part, (*operand).clone(), list));
    }
    let order = match right {
        Some(right) => {
            let order = named(right, if right.contains("...") { spread } else { 0 });
            for (i, label) in order.iter().enumerate() {
                let name = char::from_u32(*label).unwrap_or('.');
                if order[..i].contains(label) {
                    return Err(wrong(format!("axis `{name}` is twice in the result")));
                }
                if !lens.contains_key(label) {
                    return Err(wrong(format!("axis `{name}` of the result is in no operand")));
                }
            }
            order
        }
        None => {
            let once = counts.iter().filter(|(label, count)| **count == 1 && !dots.contains(label));
            dots.iter().copied().chain(once.map(|(label, _)| *label)).collect()
        }
    };
    let mut rest = Vec::new();
    for (_, tensor, list) in terms {
        rest.push(distinct(tensor, list, &lens)?);
    }
    let mut rest = rest.into_iter();
    let mut result = rest.next().ok_or_else(|| wrong("has no operand".into()))?;
    let later: Vec<Term> = rest.collect();
    for (i, next) in later.iter().enumerate() {
        let kept: Vec<Label> = lens
            .keys()
            .copied()
            .filter(|label| order.contains(label) || later[i + 1..].iter().any(|t| t.labels.contains(label)))
            .collect();
        result = pair(&result, next, &kept)?;
    }
    result.summed(|label| order.contains(&label)).into_order(&order)
}

/// A term in which each name stands once (a name that stood twice is the diagonal), without axes of length 1 that others repeat.
fn distinct(mut tensor: Tensor, mut labels: Vec<Label>, lens: &BTreeMap<Label, usize>) -> Result<Term> {
    while let Some(second) = (0..labels.len()).find(|&i| labels[..i].contains(&labels[i])) {
        let first = labels.iter().position(|&l| l == labels[second]).unwrap_or(0);
        let label = labels[second];
        // The two axes last, then their diagonal.
        tensor = tensor.move_axis(first as isize, -1).move_axis(second as isize - 1, -1).diagonal(0);
        labels.remove(second);
        labels.remove(first);
        labels.push(label);
    }
    for axis in (0..labels.len()).rev() {
        if tensor.shape()?[axis] == 1 && lens.get(&labels[axis]).is_some_and(|&n| n != 1) {
            tensor = tensor.squeeze(axis as isize);
            labels.remove(axis);
        }
    }
    Ok(Term { tensor, labels })
}

/// The product of two terms, summed over the names that are not `kept`: one batched matrix product.
fn pair(a: &Term, b: &Term, kept: &[Label]) -> Result<Term> {
    let own = |x: &Term, other: &Term| {
        let needed = |l: Label| kept.contains(&l) || other.labels.contains(&l);
        Term::new(x.tensor.clone(), x.labels.clone()).summed(needed)
    };
    let (a, b) = (own(a, b), own(b, a));
    let in_both = |l: &&Label| b.labels.contains(l);
    let batch: Vec<Label> = a.labels.iter().filter(in_both).filter(|l| kept.contains(l)).copied().collect();
    let summed: Vec<Label> = a.labels.iter().filter(in_both).filter(|l| !kept.contains(l)).copied().collect();
    let rows: Vec<Label> = a.labels.iter().filter(|l| !b.labels.contains(l)).copied().collect();
    let columns: Vec<Label> = b.labels.iter().filter(|l| !a.labels.contains(l)).copied().collect();
    let length =
        |x: &Term, list: &[Label]| -> Result<Vec<usize>> { list.iter().map(|&l| Ok(x.len(l)?.unwrap_or(1))).collect() };
    let (batch_dims, sum_dims) = (length(&a, &batch)?, length(&a, &summed)?);
    let (row_dims, column_dims) = (length(&a, &rows)?, length(&b, &columns)?);
    let size = |dims: &[usize]| dims.iter().product::<usize>();
    let (k, m, n) = (size(&sum_dims), size(&row_dims), size(&column_dims));
    let dtype = a.tensor.dtype()?.promote(b.tensor.dtype()?);
    let left = a.into_order(&[batch.clone(), rows.clone(), summed.clone()].concat())?;
    let right = b.into_order(&[batch.clone(), summed.clone(), columns.clone()].concat())?;
    let with = |tail: &[usize]| -> Shape { batch_dims.iter().chain(tail).copied().collect() };
    let product = match dtype.is_float() && !summed.is_empty() {
        true => left.reshape(with(&[m, k])).matmul(&right.reshape(with(&[k, n]))),
        // Nothing to sum, or whole numbers, which stay whole.
        false => {
            let (left, right) = (left.reshape(with(&[m, k, 1])), right.reshape(with(&[1, k, n])));
            let products = left * right;
            products.sum(-2)
        }
    };
    let dims: Shape = batch_dims.iter().chain(&row_dims).chain(&column_dims).copied().collect();
    let product = if dtype == DType::Bool { product } else { product.cast(dtype) };
    Ok(Term { tensor: product.reshape(dims), labels: [batch, rows, columns].concat() })
}
