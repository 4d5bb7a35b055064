//! Attention block by block: equal to the formula with all scores at once, in values, gradients and gradients of gradients, and
//! never with all scores in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod common;

use addax_autodiff::{
    grad,
    gradcheck::{Options, gradcheck},
};
use addax_tensor::{
    DType, Tensor,
    graph::{Op, topological},
    ops::Attention,
    reference,
};
use common::spread;
use proptest::prelude::*;
use std::collections::HashMap;

/// Lengths and options.
#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    queries: usize,
    keys: usize,
    /// Heads of the keys, and of the queries for each of those.
    heads: [usize; 2],
    width: usize,
    depth: usize,
    block: usize,
    /// Which axes of `[b, h, t, s]` a bias and a mask have; the others are broadcast.
    bias: Option<[bool; 4]>,
    mask: Option<[bool; 4]>,
    is_causal: bool,
    scale: Option<f64>,
}

fn cases() -> impl Strategy<Value = Case> {
    let lengths = (1usize..3, 1usize..8, 1usize..6, [1usize..3, 1usize..3], 1usize..4, 1usize..4);
    let over = || prop::option::of(any::<[bool; 4]>());
    let options = (over(), over(), any::<bool>(), prop::option::of(-1.5f64..1.5));
    (lengths, 1usize..8, options).prop_map(|(lengths, block, (bias, mask, is_causal, scale))| {
        let (batch, queries, keys, heads, width, depth) = lengths;
        Case { batch, queries, keys, heads, width, depth, block, bias, mask, is_causal, scale }
    })
}

impl Case {
    /// A tensor over the scores.
    fn over(&self, axes: [bool; 4], salt: usize) -> Tensor {
        let all = [self.batch, self.heads[0] * self.heads[1], self.queries, self.keys];
        let shape: Vec<usize> = all.iter().zip(axes).map(|(n, there)| if there { *n } else { 1 }).collect();
        Tensor::from_array(spread(shape, salt))
    }

    /// Queries, keys, values, and a bias if there is one.
    fn operands(&self) -> Vec<Tensor> {
        let [few, each] = self.heads;
        let mut operands = vec![
            Tensor::from_array(spread([self.batch, self.queries, few * each, self.width], 0)),
            Tensor::from_array(spread([self.batch, self.keys, few, self.width], 1)),
            Tensor::from_array(spread([self.batch, self.keys, few, self.depth], 2)),
        ];
        operands.extend(self.bias.map(|axes| self.over(axes, 3)));
        operands
    }

    fn attention(&self, x: &[Tensor], block: usize) -> Tensor {
        let mask = self.mask.map(|axes| self.over(axes, 4).greater_equal(-0.4));
        let Case { is_causal, scale, .. } = *self;
        let how = Attention { bias: x.get(3).cloned(), mask, scale, is_causal, block: Some(block) };
        x[0].dot_product_attention(&x[1], &x[2], &how)
    }

    /// The result, its gradients, and the gradients of the squares of those.
    fn all(&self, x: &[Tensor], block: usize) -> Vec<Tensor> {
        let y = self.attention(x, block);
        let first = grad(&(&y * y.sin()).sum_all(), x).unwrap();
        let slope = first.iter().map(|g| g.square().sum_all()).reduce(|a, b| a + b).unwrap();
        let second = grad(&slope, x).unwrap();
        std::iter::once(y).chain(first).chain(second).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the lengths, the block, the masks and the bias.
    #[test]
    fn blocks_give_what_all_at_once_gives(case in cases()) {
        let x = case.operands();
        let values = |block: usize| reference::evaluate_with(&HashMap::new(), &case.all(&x, block)).unwrap();
        let (plain, blocked) = (values(case.queries), values(case.block));
        for (i, (a, b)) in plain.iter().zip(&blocked).enumerate() {
            prop_assert_eq!(&a.meta, &b.meta);
            for (a, b) in a.value.iter().zip(&b.value) {
                prop_assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0), "result {}: {} at once, {} in blocks", i, a, b);
            }
        }
    }
}

#[test]
fn gradients_of_gradients_are_right() {
    let case = Case {
        batch: 2,
        queries: 5,
        keys: 3,
        heads: [1, 2],
        width: 2,
        depth: 3,
        block: 2,
        bias: Some([false, true, true, true]),
        mask: Some([true, false, false, true]),
        is_causal: true,
        scale: None,
    };
    let inputs: Vec<_> = case.operands().iter().map(|x| x.to_array().unwrap()).collect();
    let slope = |x: &[Tensor]| {
        let y = case.attention(x, case.block);
        let gradients = grad(&(&y * y.sin()).sum_all(), x).unwrap();
        gradients.iter().map(|g| g.square().sum_all()).reduce(|a, b| a + b).unwrap()
    };
    gradcheck(|x| case.attention(x, case.block).sin(), &inputs, Options::default()).unwrap();
    gradcheck(slope, &inputs, Options { tolerance: 1e-6, ..Options::default() }).unwrap();
}

/// The most elements of any value, within loops too, views aside.
fn largest(tensors: &[Tensor]) -> usize {
    let mut most = 0;
    for tensor in topological(tensors, |_| false) {
        let node = tensor.node();
        if let Op::Call(body) | Op::Scan(body, _) = node.op() {
            most = most.max(largest(&body.outputs));
        }
        if !matches!(node.op(), Op::View(_) | Op::Scalar(_)) {
            most = most.max(node.metas().iter().map(|meta| meta.shape.numel()).max().unwrap_or(0));
        }
    }
    most
}

/// The scores of 40 queries and 30 keys exist 8 queries at a time, in the gradients of the gradients too.
#[test]
fn the_scores_never_exist_as_a_whole() {
    let case = Case {
        batch: 1,
        queries: 40,
        keys: 30,
        heads: [2, 1],
        width: 2,
        depth: 2,
        block: 8,
        bias: Some([false, true, false, true]),
        mask: Some([false, false, false, true]),
        is_causal: true,
        scale: None,
    };
    let x = case.operands();
    assert_eq!(largest(&case.all(&x, 8)), 2 * 8 * 30);
    assert_eq!(largest(&case.all(&x, 40)), 2 * 40 * 30);
}

/// The default takes small scores at once and large ones in blocks.
#[test]
fn large_scores_are_cut_by_default() {
    let attention = |queries: usize, keys: usize, width: usize| {
        let [q, k] = [queries, keys].map(|n| Tensor::placeholder(n, DType::F32, [1, n, 4, width]));
        largest(&[q.dot_product_attention(&k, &k, &Attention::default())])
    };
    assert_eq!(attention(1023, 1024, 8), 4 * 1023 * 1024);
    assert_eq!(attention(1024, 1024, 8), 4 * 256 * 1024);
    // Few keys: their scores are about as large as what they are made of.
    assert_eq!(attention(32768, 255, 8), 4 * 32768 * 255);
    assert_eq!(attention(32768, 256, 8), 4 * 1024 * 256);
}
