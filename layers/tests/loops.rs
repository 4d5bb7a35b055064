//! What a recurrent layer costs does not grow with its sequence: nodes of the graph, nodes that are planned, kernels outside of the
//! loops, kernels of a step. Counted in the plan of a whole training step.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_autodiff::grad;
use addax_layers::{Cx, GRU, LSTM, Layer, weights};
use addax_tensor::{
    DType, Device, Program, Tensor, Variable,
    graph::{Op, topological},
    plan::{Core, Plan, Step},
    random,
};
use std::time::Instant;

/// Samples, features and units: of a small layer, and of the standard workload.
const SIZES: [[usize; 3]; 2] = [[2, 5, 4], [64, 28, 128]];

/// What is counted of one training step.
#[derive(Debug, PartialEq)]
struct Counts {
    /// Nodes of the recorded graph, those inside of loops included.
    nodes: usize,
    /// Nodes that the planner was given.
    planned: usize,
    /// Kernels outside of loops, by label.
    once: Vec<String>,
    /// Kernels of each loop, by label.
    each_step: Vec<Vec<String>>,
}

/// The kernels of a plan: those that run once, and those of each loop with its number of trips.
fn kernels(plan: &Plan) -> (Vec<&Step>, Vec<(usize, &[Step])>) {
    let (mut once, mut loops) = (Vec::new(), Vec::new());
    for step in plan.compute.iter().chain(&plan.commit) {
        match step {
            Step::Run { .. } => once.push(step),
            Step::Loop { trips, body } => loops.push((*trips, body.as_slice())),
        }
    }
    (once, loops)
}

fn label(step: &Step) -> String {
    match step {
        Step::Run { kernel, .. } => kernel.label.clone(),
        Step::Loop { .. } => "a loop inside a loop".into(),
    }
}

/// Whether a step is the product of this shape over so many terms.
fn is_product(step: &Step, shape: [usize; 2], terms: usize) -> bool {
    let Step::Run { kernel, .. } = step else { return false };
    matches!(kernel.core, Core::MatMul { k, .. } if k == terms) && kernel.shape == shape
}

/// Nodes that these depend on, and those of the bodies of their loops.
fn graph_nodes(roots: &[Tensor]) -> usize {
    let inside = |t: &Tensor| match t.node().op() {
        Op::Call(body) | Op::Scan(body, _) => graph_nodes(&body.outputs),
        _ => 0,
    };
    topological(roots, |_| false).iter().map(|t| 1 + inside(t)).sum()
}

/// Records a training step of a layer on sequences of this length, plans it, checks its loops, and counts.
fn counts(
    name: &str,
    layer: &dyn Layer<In = Tensor, Out = Tensor>,
    gates: usize,
    x: [usize; 3],
    units: usize,
) -> Counts {
    let [batch, steps, _] = x;
    let x = Tensor::placeholder(0, DType::F32, x);
    let cx = Cx::new(5, random::key(5, 0)).with_training(true);
    let loss = cx.call(layer, x.clone()).unwrap().square().mean_all();
    let variables: Vec<Variable> = weights(layer).iter().map(|w| w.weight.variable().unwrap().clone()).collect();
    let slopes = grad(&loss, &variables).unwrap();
    let updates: Vec<(Variable, Tensor)> =
        variables.iter().zip(&slopes).map(|(v, slope)| (v.clone(), v.value() - slope * 0.1)).collect();
    let mut roots: Vec<Tensor> = updates.iter().map(|(_, new)| new.clone()).collect();
    roots.push(loss.clone());

    let device = Device::cpu().unwrap();
    device.set_memory_limit(None);
    let began = Instant::now();
    let program = Program::capture(&device, &[x], &[loss], &updates, &[]).unwrap();
    let seconds = began.elapsed().as_secs_f64();
    let plan = program.plan();
    let (once, loops) = kernels(&plan);
    println!(
        "{name}, {units} units, {steps} steps: planned in {:.1} ms, {} kernels and {:?} per step",
        seconds * 1e3,
        once.len(),
        loops.iter().map(|(_, body)| body.len()).collect::<Vec<_>>()
    );
    // Forwards and backwards.
    assert_eq!(loops.len(), 2, "{name}, {steps} steps\n{plan}");
    for (trips, body) in &loops {
        assert!(*trips == steps && body.len() <= 2, "{name}, {steps} steps\n{plan}");
        assert!(body.iter().all(|step| matches!(step, Step::Run { .. })), "{name}, {steps} steps\n{plan}");
    }
    assert_eq!(plan.dispatches(), once.len() + loops.iter().map(|(trips, body)| trips * body.len()).sum::<usize>());
    // What the recurrent kernel's gradient adds up, steps and samples, is one sum.
    let recurrent = [units, gates * units];
    let sums = once.iter().filter(|step| is_product(step, recurrent, steps * batch)).count();
    assert_eq!(sums, 1, "{name}, {steps} steps\n{plan}");
    let one_by_one = |(_, body): &(usize, &[Step])| body.iter().any(|step| is_product(step, recurrent, batch));
    assert!(!loops.iter().any(one_by_one), "{name}, {steps} steps\n{plan}");
    Counts {
        nodes: graph_nodes(&roots),
        planned: device.plan_cache().nodes,
        once: once.into_iter().map(label).collect(),
        each_step: loops.iter().map(|(_, body)| body.iter().map(label).collect()).collect(),
    }
}

/// Layers that return their last state, and that return all; from either end.
fn check<L: Layer<In = Tensor, Out = Tensor>>(name: &str, gates: usize, build: impl Fn(usize, bool, bool) -> L) {
    for [batch, features, units] in SIZES {
        for (all, backwards) in [(false, false), (true, false), (true, true)] {
            let name = format!("{name}, all states {all}, from the end {backwards}");
            let of =
                |steps: usize| counts(&name, &build(units, all, backwards), gates, [batch, steps, features], units);
            let [few, some, many] = [28, 500, 5000].map(of);
            assert_eq!(few, some, "{name}");
            assert_eq!(some, many, "{name}");
            assert!(few.planned > 0, "{name}: a plan that is not kept counts no nodes");
        }
    }
}

#[test]
fn an_lstm_of_any_length_is_planned_alike() {
    check("LSTM", 4, |units, all, backwards| LSTM::new(units).return_sequences(all).go_backwards(backwards));
}

#[test]
fn a_gru_of_any_length_is_planned_alike() {
    check("GRU", 3, |units, all, backwards| GRU::new(units).return_sequences(all).go_backwards(backwards));
}
