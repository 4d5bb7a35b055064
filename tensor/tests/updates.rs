//! Updates that ride in the kernel of their gradient: same values as apart, only where that takes no more memory, and never where
//! the kernel would read a state that has changed by then.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{
    Array, DType, Device, Program, Tensor, Variable,
    plan::{Core, Kernel, Step},
    reference,
};
use proptest::prelude::*;

fn noise(shape: &[usize], stream: u32) -> Array {
    let numel: usize = shape.iter().product();
    let word = |i: u32| i.wrapping_mul(2_654_435_761).wrapping_add(stream.wrapping_mul(40_503)) >> 8;
    let values: Vec<f32> = (0..numel as u32).map(|i| word(i) as f32 / 16_777_216.0 - 0.5).collect();
    Array::new(shape, &values).unwrap()
}

fn variable(shape: &[usize], stream: u32) -> Variable {
    Variable::new(Tensor::from_array(noise(shape, stream)))
}

#[derive(Clone, Copy, Debug)]
struct Case {
    rows: usize,
    from: usize,
    to: usize,
    /// Somebody wants to see the gradient.
    shown: bool,
    /// The gradient's norm scales the update.
    clipped: bool,
    /// The product behind the gradient reads the weight that is updated.
    own_weight: bool,
    /// The update reads the momentum at other places than it writes.
    turned: bool,
    /// The penalty's gradient is added to the product's.
    decayed: bool,
}

/// A dense layer's weight with momentum, and its bias.
struct Dense {
    case: Case,
    weight: Variable,
    momentum: Variable,
    bias: Variable,
}

impl Dense {
    fn new(case: Case) -> Dense {
        let Case { from, to, .. } = case;
        let (weight, momentum) = (variable(&[from, to], 1), variable(&[from, to], 2));
        Dense { case, weight, momentum, bias: variable(&[to], 3) }
    }
    /// What is shown of a step, and the new states.
    fn step(&self, x: &Tensor) -> (Tensor, Vec<(Variable, Tensor)>) {
        let case = self.case;
        let (w, m, b) = (self.weight.value(), self.momentum.value(), self.bias.value());
        let slope = ((x.matmul(&w) + &b).tanh() * 0.3).square();
        let mut gradient =
            if case.own_weight { w.slice(1, 0..8).matmul(&w.slice(0, 0..8)) } else { x.t().matmul(&slope) };
        if case.decayed {
            gradient = gradient + &w * 0.02;
        }
        let shown = if case.shown { gradient.clone() } else { slope.mean_all() };
        if case.clipped {
            gradient = &gradient * (gradient.square().sum_all() + 1.0).rsqrt();
        }
        let before = if case.turned { m.flip(0) } else { m };
        let after = before * 0.9 + gradient;
        let weight = (self.weight.clone(), w - &after * 0.1);
        let bias = (self.bias.clone(), b - slope.sum(0) * 0.1);
        (shown, vec![weight, (self.momentum.clone(), after), bias])
    }
    fn program(&self) -> Program {
        let x = Tensor::placeholder(0, DType::F32, [self.case.rows, self.case.from]);
        let (shown, updates) = self.step(&x);
        Program::capture(&Device::cpu().unwrap(), &[x], &[shown], &updates, &[]).unwrap()
    }
}

fn kernels(steps: &[Step]) -> impl Iterator<Item = &Kernel> {
    steps.iter().filter_map(|step| match step {
        Step::Run { kernel, .. } => Some(&**kernel),
        Step::Loop { .. } => None,
    })
}

/// Whether the weight's product is part of the commit.
fn rides(program: &Program) -> bool {
    kernels(&program.plan().commit).any(|kernel| matches!(kernel.core, Core::MatMul { .. }))
}

const PLAIN: Case = Case {
    rows: 4,
    from: 600,
    to: 500,
    shown: false,
    clipped: false,
    own_weight: false,
    turned: false,
    decayed: false,
};

#[test]
fn a_wide_layers_gradient_never_lies_in_memory() {
    let program = Dense::new(PLAIN).program();
    assert!(rides(&program));
    let plan = program.plan();
    let gradient = (PLAIN.from * PLAIN.to * 4) as u64;
    assert!(plan.labels.iter().all(|(_, bytes)| *bytes < gradient), "{:?}", plan.labels);
    // What the product reads lives until the commit anyway, so the bias' sum rides for nothing.
    assert!(kernels(&plan.commit).any(|kernel| matches!(kernel.core, Core::Reduce { .. })));
    assert!(rides(&Dense::new(Case { decayed: true, ..PLAIN }).program()));
}

#[test]
fn it_stays_where_it_is_if_somebody_else_reads_it_or_memory_would_grow() {
    for case in [
        Case { shown: true, ..PLAIN },
        Case { clipped: true, ..PLAIN },
        Case { own_weight: true, ..PLAIN },
        // Slopes of many rows are larger than the weight: they would have to live until the commit.
        Case { rows: 700, ..PLAIN },
        // It stays in the cache.
        Case { from: 300, ..PLAIN },
    ] {
        assert!(!rides(&Dense::new(case).program()), "{case:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// One step leaves every state as the reference has it, whatever rides.
    #[test]
    fn states_are_as_if_apart(
        rows in 1usize..9, from in 500usize..650, to in 500usize..650,
        flags in proptest::array::uniform5(any::<bool>()),
    ) {
        let [shown, clipped, own_weight, turned, decayed] = flags;
        let dense = Dense::new(Case { rows, from, to, shown, clipped, own_weight, turned, decayed });
        let x = noise(&[rows, from], 9);
        let (_, updates) = dense.step(&Tensor::from_array(x.clone()));
        let values: Vec<Tensor> = updates.iter().map(|(_, value)| value.clone()).collect();
        let expected = reference::evaluate(&values).unwrap();
        dense.program().run(&[&x]).unwrap();
        for ((state, _), expected) in updates.iter().zip(expected) {
            let (got, want) = (state.value().to_vec::<f32>().unwrap(), expected.to_vec::<f32>().unwrap());
            for (i, (a, b)) in got.iter().zip(&want).enumerate() {
                prop_assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "element {i}: {a} instead of {b}");
            }
        }
    }
}
