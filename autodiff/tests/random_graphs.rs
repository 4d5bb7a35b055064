//! Gradients of random graphs. Their plans on the CPU agree with the reference, on every primitive, type and view; and where a
//! graph is smooth they are what differences of its values say, first derivatives and second ones.
//! A failure prints as a few lines of Rust that record a small graph.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod common;

use addax_autodiff::grad_or_zeros;
use addax_tensor::{
    Array, DType, Device, Result, Tensor,
    graph::topological,
    reference,
    testing::{self, Graph, Options, check, graphs, to_rust},
};
use common::spread;
use std::collections::HashMap;

/// A graph whose gradient has more nodes than this is not differentiated again.
const MANY: usize = 400;

/// Those that carry gradients.
fn floats(tensors: &[Tensor]) -> Vec<Tensor> {
    let carries = |t: &&Tensor| t.meta().is_ok_and(|meta| meta.dtype.is_float() && meta.shape.numel() > 0);
    tensors.iter().filter(carries).cloned().collect()
}

/// What each element of a result counts for: no two the same.
fn weights(y: &Tensor, salt: usize) -> Tensor {
    Tensor::from_array(spread(y.shape().unwrap(), salt))
}

/// The gradient of the weighted sum of all float results in every float leaf. `None` where there are none of either.
fn gradients(outputs: &[Tensor], leaves: &[Tensor]) -> Option<Vec<Tensor>> {
    let terms = floats(outputs).into_iter().enumerate();
    let terms = terms.map(|(salt, y)| (y.cast(DType::F32) * weights(&y, salt)).sum_all());
    let (loss, leaves) = (terms.reduce(|a, b| a + b)?, floats(leaves));
    (!leaves.is_empty()).then(|| grad_or_zeros(&loss, &leaves).unwrap())
}

fn run(tensors: &[Tensor]) -> Result<Vec<Array>> {
    Tensor::eval(tensors)?;
    tensors.iter().map(Tensor::to_array).collect()
}

/// How many elements of these the reference can bound, and how many there are.
fn bounded(tensors: &[Tensor]) -> [usize; 2] {
    let all = reference::evaluate_with(&HashMap::new(), tensors).unwrap();
    let count = |x: &reference::Ranged| (0..x.value.len()).filter(|&i| x.at(i).is_bounded()).count();
    [all.iter().map(count).sum(), all.iter().map(|x| x.value.len()).sum()]
}

/// The tests of this file share the default device, which is the CPU. `ADDAX_TEST_SEED` asks for other graphs,
/// `ADDAX_TEST_GRAPHS` for more.
#[test]
fn planned_gradients_agree_with_the_reference() {
    Device::set_default(&Device::cpu().unwrap());
    let (seed, count) = (testing::seed(2026), testing::wanted(400));
    let (any, smooth, large) = (Options::all(), Options::differentiable(), Options::large());
    let all = graphs(seed, count, &any).chain(graphs(seed + 1, count, &smooth)).chain(graphs(seed, count / 20, &large));
    let (mut taken, mut known) = (0, [0, 0]);
    for (i, graph) in all.enumerate() {
        let Some(slopes) = gradients(&graph.outputs, &graph.leaves) else { continue };
        check(&slopes, run).unwrap_or_else(|failure| panic!("graph {i} of seed {seed}: {failure}"));
        taken += 1;
        let [finite, all] = bounded(&slopes);
        known = [known[0] + finite, known[1] + all];
    }
    println!(
        "{taken} graphs have gradients; {} of their {} elements have an error that is bounded",
        known[0], known[1]
    );
    // A comparison says something only where there is a bound.
    assert!(taken * 10 >= count * 16 && known[0] * 10 >= known[1] * 9, "{taken} of {}, {known:?}", 2 * count);
}

/// What differences say of a gradient.
#[derive(Debug)]
enum Verdict {
    /// It is the slope, and this large.
    Right(f64),
    /// Differences say nothing here, because of this.
    Silent(&'static str),
    /// It is not the slope.
    Wrong(String),
}

/// Between points of differences.
const STEP: f64 = 2e-4;

/// Compares the derivative of the weighted sum of all results, along one direction through all leaves, with differences of the
/// results in `f64`. Central ones of two widths agree where a graph is smooth, and those of both sides agree where it has no kink.
fn verdict(outputs: &[Tensor], leaves: &[Tensor], slopes: &[Tensor]) -> Verdict {
    let (outputs, leaves) = (floats(outputs), floats(leaves));
    let f64s = |t: &Tensor| t.to_vec::<f64>().unwrap();
    let points: Vec<Vec<f64>> = leaves.iter().map(f64s).collect();
    let along: Vec<Vec<f64>> = leaves.iter().enumerate().map(|(n, x)| f64s(&weights(x, 50 + n))).collect();
    let counts: Vec<f64> = outputs.iter().enumerate().flat_map(|(salt, y)| f64s(&weights(y, salt))).collect();
    let at = |steps: i32| -> Vec<f64> {
        let moved =
            |(x, v): (&Vec<f64>, &Vec<f64>)| x.iter().zip(v).map(|(x, v)| x + f64::from(steps) * STEP * v).collect();
        let given = leaves.iter().map(Tensor::key).zip(points.iter().zip(&along).map(moved)).collect();
        reference::evaluate_with(&given, &outputs).unwrap().into_iter().flat_map(|y| y.value).collect()
    };
    let values: Vec<Vec<f64>> = (-4..=4).map(at).collect();
    if values.iter().flatten().any(|value| !value.is_finite()) {
        return Verdict::Silent("a value is not finite");
    }
    // Differences first, element by element: what did not change cancels exactly.
    let difference = |factors: &[(i32, f64)]| -> Vec<f64> {
        let of = |i: usize| {
            factors.iter().map(|&(steps, by)| by * (values[(4 + steps) as usize][i] - values[4][i])).sum::<f64>()
        };
        (0..counts.len()).map(|i| of(i) * counts[i] / (12.0 * STEP)).collect()
    };
    let near = difference(&[(1, 8.0), (-1, -8.0), (2, -1.0), (-2, 1.0)]);
    let far = difference(&[(2, 4.0), (-2, -4.0), (4, -0.5), (-4, 0.5)]);
    let after = difference(&[(1, 48.0), (2, -36.0), (3, 16.0), (4, -3.0)]);
    let before = difference(&[(-1, -48.0), (-2, 36.0), (-3, -16.0), (-4, 3.0)]);
    let recorded: Vec<f64> =
        reference::evaluate_with(&HashMap::new(), slopes).unwrap().into_iter().flat_map(|g| g.value).collect();
    if recorded.iter().any(|slope| !slope.is_finite()) {
        return Verdict::Silent("the gradient is not finite");
    }
    let terms: Vec<f64> = recorded.iter().zip(along.iter().flatten()).map(|(slope, v)| slope * v).collect();
    let size = |terms: &[f64]| terms.iter().map(|t| t.abs()).sum::<f64>();
    let scale = size(&terms).max(size(&near)).max(1.0);
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>();
    if apart(&near, &far) > 1e-6 * scale || apart(&after, &before) > 1e-5 * scale {
        return Verdict::Silent("it is not smooth here");
    }
    let (measured, recorded) = (near.iter().sum::<f64>(), terms.iter().sum::<f64>());
    match (measured - recorded).abs() <= 1e-5 * scale {
        true => Verdict::Right(size(&terms)),
        false => {
            Verdict::Wrong(format!("the gradient says {recorded}, differences say {measured}, of terms of {scale}"))
        }
    }
}

/// The first node whose own gradient is wrong, as lines of Rust.
fn smallest(outputs: &[Tensor], leaves: &[Tensor]) -> String {
    let alone = |y: &Tensor| {
        let outputs = std::slice::from_ref(y);
        let slopes = gradients(outputs, leaves)?;
        match verdict(outputs, leaves, &slopes) {
            Verdict::Wrong(what) => Some(format!("{what}\n{}", to_rust(outputs))),
            _ => None,
        }
    };
    let every = topological(outputs, |_| false);
    every.iter().filter(|t| t.check().is_ok()).find_map(alone).unwrap_or_else(|| to_rust(outputs))
}

#[derive(Default)]
struct Tally {
    right: usize,
    /// Of them, those with a slope to speak of.
    steep: usize,
    silent: HashMap<&'static str, usize>,
}

impl Tally {
    fn count(&mut self, which: &str, outputs: &[Tensor], leaves: &[Tensor], slopes: &[Tensor]) {
        match verdict(outputs, leaves, slopes) {
            Verdict::Right(slope) => {
                self.right += 1;
                self.steep += usize::from(slope > 1e-3);
            }
            Verdict::Silent(why) => *self.silent.entry(why).or_default() += 1,
            Verdict::Wrong(what) => panic!("{which}: {what}\n{}", smallest(outputs, leaves)),
        }
    }
    fn all(&self) -> usize {
        self.right + self.silent.values().sum::<usize>()
    }
}

/// Graphs of what has a gradient almost everywhere, on points without ties. `ADDAX_TEST_SEED` asks for other graphs,
/// `ADDAX_TEST_GRAPHS` for more.
#[test]
fn gradients_are_what_differences_say() {
    let (seed, count) = (testing::seed(2026), testing::wanted(400));
    let (mut first, mut second) = (Tally::default(), Tally::default());
    for (i, Graph { outputs, leaves }) in graphs(seed, count, &Options::differentiable()).enumerate() {
        let Some(slopes) = gradients(&outputs, &leaves) else { continue };
        first.count(&format!("graph {i} of seed {seed}"), &outputs, &leaves, &slopes);
        if topological(&slopes, |_| false).len() <= MANY
            && let Some(curves) = gradients(&slopes, &leaves)
        {
            second.count(&format!("the gradient of graph {i} of seed {seed}"), &slopes, &leaves, &curves);
        }
    }
    for (what, tally, least) in [("gradients", &first, 8), ("gradients of gradients", &second, 5)] {
        let Tally { right, steep, silent } = tally;
        println!("{what}: {right} of {} were compared, {steep} with a slope; not: {silent:?}", tally.all());
        assert!(tally.all() * 10 >= count * 8, "{what}");
        assert!(right * 10 >= tally.all() * 8 && steep * 10 >= right * least, "{what}");
    }
}
