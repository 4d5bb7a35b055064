//! Attention on the executors, and in a model: long sequences train without a matrix of scores in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax::{
    autodiff::grad,
    layers::*,
    prelude::*,
    tensor::{
        graph::{Op, topological},
        ops::Attention,
        plan::split::Rung,
        testing::check,
    },
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

/// Numbers between -1 and 1 in no order.
fn spread(shape: &[usize], salt: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let at = |i: usize| ((i + 1) as f32 * 0.618_034 + salt as f32 * 0.37).fract() * 2.0 - 1.0;
    Tensor::from_vec((0..count).map(at).collect::<Vec<_>>(), shape)
}

/// Lengths and options.
#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    block: usize,
    is_causal: bool,
    /// Which axes of `[b, h, t, s]` a bias and a mask have; the others are broadcast.
    bias: Option<[bool; 4]>,
    mask: Option<[bool; 4]>,
}

fn cases() -> impl Strategy<Value = Case> {
    let lengths = (prop::sample::select(vec![2usize, 4]), 1usize..18, 1usize..34, 1usize..4, 1usize..9);
    let over = || prop::option::of(any::<[bool; 4]>());
    (lengths, any::<bool>(), over(), over()).prop_map(|(lengths, is_causal, bias, mask)| {
        let (batch, queries, keys, heads, block) = lengths;
        Case { batch, queries, keys, heads, block, is_causal, bias, mask }
    })
}

impl Case {
    /// Values, gradients, and gradients of gradients.
    fn graph(&self) -> Vec<Tensor> {
        let Case { batch: b, queries: t, keys: s, heads: h, .. } = *self;
        let over = |axes: [bool; 4], salt: usize| {
            let shape: Vec<usize> =
                [b, h, t, s].iter().zip(axes).map(|(n, there)| if there { *n } else { 1 }).collect();
            spread(&shape, salt)
        };
        let mut x = vec![spread(&[b, t, h, 4], 1), spread(&[b, s, h, 4], 2), spread(&[b, s, h, 3], 3)];
        x.extend(self.bias.map(|axes| over(axes, 4)));
        let mask = self.mask.map(|axes| over(axes, 5).greater_equal(-0.5).to_array().unwrap()).map(Tensor::from_array);
        let (is_causal, block) = (self.is_causal, Some(self.block));
        let how = Attention { bias: x.get(3).cloned(), mask, is_causal, block, ..Attention::default() };
        let y = x[0].dot_product_attention(&x[1], &x[2], &how);
        let first = grad(&(&y * y.sin()).sum_all(), &x).unwrap();
        let slope = first.iter().map(|g| g.square().sum_all()).reduce(|a, b| a + b).unwrap();
        let second = grad(&slope, &x[..2]).unwrap();
        std::iter::once(y).chain(first).chain(second).collect()
    }

    /// On the default device, against the reference; one result after the other, as a graph is split as a whole or not at all.
    fn agrees(&self) -> Result<(), TestCaseError> {
        let run = |tensors: &[Tensor]| {
            for leaf in topological(tensors, |_| false) {
                if matches!(leaf.node().op(), Op::Leaf) && leaf.shape()?.first() == Some(&self.batch) {
                    let _same = leaf.of_samples();
                }
            }
            tensors.iter().map(Tensor::to_array).collect()
        };
        check(&self.graph(), run).map_err(|failure| TestCaseError::fail(failure.to_string()))
    }
}

/// Random cases on the default device.
fn agree(count: u32) {
    TestRunner::new(Config::with_cases(count)).run(&cases(), |case| case.agrees()).unwrap_or_else(|e| panic!("{e}"));
}

/// Blocks are the formula with all scores at once in the reference (`autodiff/tests/attention.rs`), and executors are the
/// reference. One test, because the default device is one for the process.
#[test]
fn executors_agree_with_the_reference() {
    for slices in [1, 2] {
        let device = Device::cpu().unwrap();
        device.set_rung(Some(Rung { slices, recompute: slices > 1, lean: false }));
        Device::set_default(&device);
        agree(32);
        let split = device.plan_cache().split;
        assert!((slices > 1) == (split > 32), "{split} graphs were split into {slices}");
    }
    if let Some(gpu) = addax::tensor::testing::gpu().expect("ADDAX_TEST_DEVICES names gpu") {
        Device::set_default(&gpu);
        agree(6);
    }
}

/// Attention of a sequence to itself, with a way around it.
#[derive(Fields)]
#[fields(package = "attention")]
struct Attending {
    attention: MultiHeadAttention,
}

impl Layer for Attending {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> addax::Result<Tensor> {
        Ok(cx.call(&self.attention, [&x, &x])? + x)
    }
}

fn model(length: usize, device: &Device) -> Sequential {
    let attending = || Attending { attention: MultiHeadAttention::new(4, 16) };
    let mut model = Sequential::new()
        .input([length, 32])
        .seed(3)
        .add(attending())
        .add(attending())
        .add(GlobalAveragePooling1D::new())
        .add(Dense::new(10));
    model.set_device(device);
    model.compile(Compile::new(Adam::new(1e-3)).loss(SparseCategoricalCrossentropy::from_logits())).unwrap();
    model
}

/// 4 heads, 4096 steps: the scores of one layer would take 256 MB.
#[test]
fn a_long_sequence_trains_without_large_values() {
    let device = Device::cpu().unwrap();
    let report = model(4096, &device).memory_report(1).unwrap();
    let (label, bytes) = &report.largest[0];
    assert!(*bytes < 32_000_000, "{label} takes {bytes} bytes");
    assert!(report.phases[0].peak < 64_000_000, "{report}");
    // Twice the length is twice the memory, not four times.
    let twice = model(8192, &device).memory_report(1).unwrap();
    assert!(twice.phases[0].peak < report.phases[0].peak * 21 / 10, "{report}\n{twice}");
}
