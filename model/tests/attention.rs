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

/// Numbers between -1 and 1 in no order.
fn spread(shape: &[usize], salt: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let at = |i: usize| ((i + 1) as f32 * 0.618_034 + salt as f32 * 0.37).fract() * 2.0 - 1.0;
    Tensor::from_vec((0..count).map(at).collect::<Vec<_>>(), shape)
}

/// Values, gradients, and gradients of gradients of a few shapes, in blocks of `block` queries.
fn graphs() -> Vec<Vec<Tensor>> {
    // Batch, queries, keys, heads, block; whether causal; axes of a bias and of a mask.
    type Case = ([usize; 5], bool, Option<[bool; 4]>, Option<[bool; 4]>);
    let cases: [Case; 4] = [
        ([2, 7, 5, 2, 3], false, None, None),
        ([4, 9, 9, 2, 4], true, None, Some([true, false, false, true])),
        ([2, 5, 20, 1, 1], false, Some([false, true, true, true]), Some([false, false, true, true])),
        ([4, 16, 33, 3, 5], true, Some([true, false, false, true]), None),
    ];
    let graph = |([b, t, s, h, block], is_causal, bias, mask): Case| {
        let over = |axes: [bool; 4], salt: usize| {
            let shape: Vec<usize> =
                [b, h, t, s].iter().zip(axes).map(|(n, there)| if there { *n } else { 1 }).collect();
            spread(&shape, salt)
        };
        let mut x = vec![spread(&[b, t, h, 4], 1), spread(&[b, s, h, 4], 2), spread(&[b, s, h, 3], 3)];
        x.extend(bias.map(|axes| over(axes, 4)));
        let mask = mask.map(|axes| over(axes, 5).greater_equal(-0.5).to_array().unwrap()).map(Tensor::from_array);
        let how = Attention { bias: x.get(3).cloned(), mask, is_causal, block: Some(block), ..Attention::default() };
        let y = x[0].dot_product_attention(&x[1], &x[2], &how);
        let first = grad(&(&y * y.sin()).sum_all(), &x).unwrap();
        let slope = first.iter().map(|g| g.square().sum_all()).reduce(|a, b| a + b).unwrap();
        let second = grad(&slope, &x[..2]).unwrap();
        std::iter::once(y).chain(first).chain(second).collect()
    };
    cases.into_iter().map(graph).collect()
}

/// The largest first axis is the batch.
fn with_batch(tensors: &[Tensor], rows: usize) -> addax::Result<Vec<Array>> {
    for leaf in topological(tensors, |_| false) {
        if matches!(leaf.node().op(), Op::Leaf) && leaf.shape()?.first() == Some(&rows) {
            let _same = leaf.of_samples();
        }
    }
    tensors.iter().map(Tensor::to_array).collect()
}

/// One test, because the default device is one for the process.
#[test]
fn executors_agree_with_the_reference() {
    for slices in [1, 2] {
        let device = Device::cpu().unwrap();
        device.set_rung(Some(Rung { slices, recompute: slices > 1 }));
        Device::set_default(&device);
        for (n, graph) in graphs().iter().enumerate() {
            let rows = graph[0].shape().unwrap()[0];
            check(graph, |tensors| with_batch(tensors, rows)).unwrap_or_else(|e| panic!("case {n}, {slices}: {e}"));
        }
        let split = device.plan_cache().split;
        assert!((slices > 1) == (split > 0), "{split} graphs were split into {slices}");
    }
    #[cfg(feature = "gpu")]
    if std::env::var("ADDAX_TEST_DEVICES").is_ok_and(|devices| devices.split(',').any(|d| d.trim() == "gpu")) {
        Device::set_default(&Device::by_name("gpu").expect("ADDAX_TEST_DEVICES names gpu, but there is no adapter"));
        for (n, graph) in graphs().iter().enumerate() {
            let run = |tensors: &[Tensor]| tensors.iter().map(Tensor::to_array).collect();
            check(graph, run).unwrap_or_else(|e| panic!("case {n} on the gpu: {e}"));
        }
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
