use super::{adversary, *};
use crate::{
    DType, Tensor,
    array::Array,
    error::Result,
    graph::{Op, View, topological},
    reference,
};
use std::collections::HashMap;

fn thousand() -> Vec<Graph> {
    graphs(7, 1000, &Options::all()).collect()
}

#[test]
fn a_thousand_graphs_contain_every_cell() {
    let mut histogram = Histogram::default();
    thousand().iter().for_each(|graph| histogram.count(&graph.outputs));
    assert_eq!(histogram.missing(&Cell::all()), []);
}

#[test]
fn differentiable_graphs_contain_every_differentiable_cell_and_watch_their_leaves() {
    let options = Options::differentiable();
    let mut histogram = Histogram::default();
    for graph in graphs(7, 200, &options) {
        histogram.count(&graph.outputs);
        assert!(graph.leaves.iter().all(|leaf| leaf.is_tracked() || leaf.dtype().unwrap() != DType::F32));
    }
    assert_eq!(histogram.missing(&options.cells), []);
}

/// A comparison says something only where values are bounded.
#[test]
fn most_results_can_be_compared() {
    let (mut bounded, mut all) = (0, 0);
    for graph in thousand() {
        for x in reference::evaluate_with(&HashMap::new(), &graph.outputs).unwrap() {
            all += x.value.len();
            bounded += (0..x.value.len()).filter(|&i| x.at(i).is_bounded()).count();
        }
    }
    assert!(bounded * 100 > all * 95, "{bounded} of {all}");
}

#[test]
fn the_same_seed_gives_the_same_graphs() {
    let print = |seed| graphs(seed, 20, &Options::all()).map(|g| to_rust(&g.outputs)).collect::<Vec<_>>();
    assert_eq!(print(3), print(3));
    assert_ne!(print(3), print(4));
}

/// Inlining and unrolling is what bodies mean.
#[test]
fn expanded_graphs_have_the_same_values() {
    for graph in graphs(11, 300, &Options::all()) {
        let flat = rebuild(&graph.outputs, &HashMap::new(), Bodies::Expand).unwrap();
        assert!(topological(&flat, |_| false).iter().all(|t| !matches!(t.node().op(), Op::Call(_) | Op::Scan(..))));
        let values = |tensors: &[Tensor]| reference::evaluate_with(&HashMap::new(), tensors).unwrap();
        for (a, b) in values(&graph.outputs).iter().zip(values(&flat)) {
            assert_eq!(a.meta, b.meta);
            assert_eq!(format!("{:?}", a.value), format!("{:?}", b.value));
        }
    }
}

/// The law of the radius: operations that err within their own bounds never leave the radius of the whole.
#[test]
fn errors_stay_within_the_radius() {
    for (seed, graph) in (0..).zip(thousand()) {
        check_within(1.0, &graph.outputs, |tensors| adversary::run(tensors, &mut Rng::new(seed))).unwrap();
    }
}

/// An executor that forgets to flip; the check must find it and show little more than the flip.
#[test]
fn a_mistake_is_found_and_made_small() {
    fn wrong(tensors: &[Tensor]) -> Result<Vec<Array>> {
        let mut changed = HashMap::new();
        let flat = rebuild(tensors, &HashMap::new(), Bodies::Expand)?;
        for tensor in topological(&flat, |_| false) {
            if matches!(tensor.node().op(), Op::View(View::Flip(_))) {
                changed.insert(tensor.key(), rebuild(&tensor.node().inputs(), &changed, Bodies::Keep)?.remove(0));
            }
        }
        reference::evaluate(&rebuild(&flat, &changed, Bodies::Keep)?)
    }
    let mut found = 0;
    for graph in graphs(5, 300, &Options::all()) {
        if let Err(failure) = check(&graph.outputs, wrong) {
            found += 1;
            let lines: Vec<_> = failure.program.lines().collect();
            assert!(failure.program.contains(".flip(") && lines.len() <= 4, "{failure}");
        }
    }
    assert!(found > 50, "{found}");
}

#[test]
fn failures_and_panics_of_an_executor_are_reported() {
    let x = Tensor::from_vec([1.0f32, 2.0], [2]) + 1.0;
    let fails = check(std::slice::from_ref(&x), |_| Err(crate::Error::device("none"))).unwrap_err();
    assert!(fails.what.contains("none"), "{fails}");
    let empty = check(&[x], |_| Ok(Vec::new())).unwrap_err();
    assert_eq!(empty.what, "0 results, expected 1");
}

#[test]
fn graphs_print_as_rust() {
    use crate::{graph::*, *};
    let x = Tensor::from_vec([1.0f32, -2.5], [2, 1]);
    let body = Body::new("double", &[Meta::new(DType::F32, [2, 1])], |p| Ok(vec![&p[0] + &p[0]])).unwrap();
    let y = Tensor::call(&body, &[x.flip(0)]).unwrap().remove(0).sum(0).cast(DType::F16);
    assert_eq!(
        to_rust(&[y]),
        "\
let t0 = Tensor::from_vec([1.0f32, -2.5], [2, 1]);
let t1 = t0.flip([0]);
let body2 = Body::new(\"double\", &[Meta::new(DType::F32, [2, 1])], |body2| {
    let t3 = &body2[0] + &body2[0];
    Ok(vec![t3.clone()])
})?;
let t4 = Tensor::call(&body2, &[t1.clone()])?;
let t5 = t4[0].reduce(ReduceOp::Sum, [0]);
let t6 = t5.cast(DType::F16);
[t6]"
    );
    // The lines above are Rust:
    let again = || -> Result<[Tensor; 1]> {
        let t0 = Tensor::from_vec([1.0f32, -2.5], [2, 1]);
        let t1 = t0.flip([0]);
        let body2 = Body::new("double", &[Meta::new(DType::F32, [2, 1])], |body2| {
            let t3 = &body2[0] + &body2[0];
            Ok(vec![t3.clone()])
        })?;
        let t4 = Tensor::call(&body2, std::slice::from_ref(&t1))?;
        let t5 = t4[0].reduce(ReduceOp::Sum, [0]);
        let t6 = t5.cast(DType::F16);
        Ok([t6])
    };
    assert_eq!(again().unwrap()[0].to_vec::<f32>().unwrap(), [-3.0]);
}
