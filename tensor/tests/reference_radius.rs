//! The radius against plain `f32`: whatever order a sum is taken in, whatever the standard library's functions give.
#![allow(clippy::unwrap_used)]

use addax_tensor::{
    Tensor,
    graph::{Binary, Unary},
    reference::{Approx, evaluate_with},
};
use proptest::prelude::*;
use std::collections::HashMap;

fn near(tensor: Tensor) -> Vec<Approx> {
    let values = evaluate_with(&HashMap::new(), &[tensor]).unwrap().remove(0);
    (0..values.value.len()).map(|i| values.at(i)).collect()
}
fn holds(got: f32, want: Approx) -> bool {
    want.radius.is_infinite() || (f64::from(got) - want.value).abs() <= want.radius
}
fn vector(values: &[f32]) -> Tensor {
    Tensor::from_vec(values, [values.len()])
}
/// Floats of many sizes, zeros and whole numbers among them.
fn floats(len: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<f32>> {
    let one = prop_oneof![
        -1f32..1.0,
        -1e3f32..1e3,
        (-4i8..5).prop_map(f32::from),
        (-20i32..20).prop_map(|e| 1.3 * 2f32.powi(e))
    ];
    prop::collection::vec(one, len)
}
/// Adds neighbours at random until one is left.
fn sum_in_some_order(mut terms: Vec<f32>, choices: &[prop::sample::Index]) -> f32 {
    let mut choice = choices.iter().cycle();
    while terms.len() > 1 {
        let i = choice.next().unwrap().index(terms.len());
        let x = terms.swap_remove(i);
        let j = choice.next().unwrap().index(terms.len());
        terms[j] += x;
    }
    terms.first().copied().unwrap_or(0.0)
}

fn plain(op: Unary, x: f32) -> Option<f32> {
    Some(match op {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Expm1 => x.exp_m1(),
        Unary::Log1p => x.ln_1p(),
        Unary::Sqrt => x.sqrt(),
        Unary::Rsqrt => 1.0 / x.sqrt(),
        Unary::Reciprocal => 1.0 / x,
        Unary::Square => x * x,
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        Unary::Relu => x.max(0.0),
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::Sign | Unary::Erf | Unary::Erfinv | Unary::Not | Unary::IsFinite => return None,
    })
}

fn plain_pair(op: Binary, x: f32, y: f32) -> Option<f32> {
    Some(match op {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Div => x / y,
        Binary::Rem => x % y,
        Binary::Pow => x.powf(y),
        Binary::Max => x.max(y),
        Binary::Min => x.min(y),
        _ => return None,
    })
}

proptest! {
    /// A sum in any order, and a matrix product, which is a sum of rounded products.
    #[test]
    fn sums_in_any_order(x in floats(0..200), choices in prop::collection::vec(any::<prop::sample::Index>(), 1..50)) {
        let want = near(vector(&x).sum(0))[0];
        prop_assert!(holds(sum_in_some_order(x.clone(), &choices), want), "{want:?}");
        let y: Vec<f32> = x.iter().rev().copied().collect();
        let products = x.iter().zip(&y).map(|(a, b)| a * b).collect();
        let want = near(vector(&x).matmul(&vector(&y)))[0];
        prop_assert!(holds(sum_in_some_order(products, &choices), want), "{want:?}");
    }

    /// Chains of elementwise operations in `f32`.
    #[test]
    fn chains_of_functions(
        x in floats(1),
        steps in prop::collection::vec((any::<prop::sample::Index>(), floats(1)), 1..6),
    ) {
        let (mut tensor, mut value) = (vector(&x), x[0]);
        for (choice, other) in steps {
            let i = choice.index(Unary::ALL.len() + Binary::ALL.len());
            let y = other[0];
            let next = match Unary::ALL.get(i) {
                Some(&op) => plain(op, value).map(|v| (tensor.unary(op), v)),
                None => {
                    let op = Binary::ALL[i - Unary::ALL.len()];
                    let y_tensor = vector(&other);
                    let recorded = match op {
                        Binary::Add => &tensor + &y_tensor,
                        Binary::Sub => &tensor - &y_tensor,
                        Binary::Mul => &tensor * &y_tensor,
                        Binary::Div => &tensor / &y_tensor,
                        Binary::Rem => &tensor % &y_tensor,
                        Binary::Pow => tensor.pow(&y_tensor),
                        Binary::Max => tensor.maximum(&y_tensor),
                        _ => tensor.minimum(&y_tensor),
                    };
                    plain_pair(op, value, y).map(|v| (recorded, v))
                }
            };
            if let Some((recorded, v)) = next {
                (tensor, value) = (recorded, v);
            }
        }
        let want = near(tensor)[0];
        prop_assert!(holds(value, want), "{value} is not {want:?}");
    }

    /// A product of some length stays useful: the bound is far below what is compared.
    #[test]
    fn bounds_are_not_absurd(x in prop::collection::vec(0.1f32..2.0, 64)) {
        let x = vector(&x);
        let want = near((x.matmul(&x) + 1.0).log().tanh())[0];
        prop_assert!(want.radius <= 1e-5 * want.value.abs(), "{want:?}");
    }
}
