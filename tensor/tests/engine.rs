//! Scenarios of the engine: long graphs, lineage, plans, snapshots, budgets. Each uses a device of its own, so counts are exact.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{
    Array, DType, Device, ErrorKind, Program, Tensor, Variable,
    graph::{Body, Meta, ScanSpec, SliceAxis},
    run,
};

/// A leaf that lies on this device, so that what is computed from it runs there.
fn on(device: &Device, values: &[f32], shape: &[usize]) -> Tensor {
    let x = Tensor::placeholder(0, DType::F32, shape);
    let program = Program::capture(device, std::slice::from_ref(&x), &[&x * 1.0], &[], &[]).unwrap();
    program.run(&[&Array::new(shape, values).unwrap()]).unwrap().remove(0)
}

#[test]
fn a_chain_of_100_000_nodes_builds_plans_runs_and_drops() {
    let device = Device::cpu().unwrap();
    let mut x = on(&device, &[0.0; 4], &[4]);
    for _ in 0..100_000 {
        x = x + 1.0;
    }
    assert_eq!(x.to_vec::<f32>().unwrap(), vec![100_000.0; 4]);
}

#[test]
fn numbers_make_no_new_plans() {
    let device = Device::cpu().unwrap();
    let x = on(&device, &[1.0, 2.0], &[2]);
    let made = |rate: f64| (&x * rate + 1.0).to_vec::<f32>().unwrap();
    assert_eq!(made(2.0), vec![3.0, 5.0]);
    let before = device.plan_cache();
    assert_eq!(made(3.0), vec![4.0, 7.0]);
    let after = device.plan_cache();
    assert_eq!((after.misses, after.plans), (before.misses, before.plans));
    assert_eq!(after.hits, before.hits + 1);
}

#[test]
fn the_plan_cache_is_bounded() {
    let device = Device::cpu().unwrap();
    for n in 1..400 {
        let x = on(&device, &vec![1.0; n], &[n]);
        assert_eq!(x.sum_all().item::<f32>().unwrap(), n as f32);
    }
    assert!(device.plan_cache().plans <= 256);
}

#[test]
fn a_held_snapshot_keeps_its_values_and_is_counted() {
    let device = Device::cpu().unwrap();
    let w = Variable::new(on(&device, &[1.0, 2.0], &[2]));
    w.assign(&(w.value() * 2.0)).unwrap();
    let replaced = device.memory().replaced;
    let seen = w.value();
    w.assign(&(w.value() + 1.0)).unwrap();
    assert_eq!(seen.to_vec::<f32>().unwrap(), vec![2.0, 4.0]);
    assert_eq!(w.value().to_vec::<f32>().unwrap(), vec![3.0, 5.0]);
    assert!(device.memory().replaced > replaced);
}

#[test]
fn a_captured_step_is_steady() {
    let device = Device::cpu().unwrap();
    let w = Variable::new(on(&device, &[1.0, 2.0, 3.0], &[3]));
    let seen = Variable::state(on(&device, &[0.0], &[1]));
    let x = Tensor::placeholder(0, DType::F32, [4, 3]);
    let gradient = x.mean(0) * w.value();
    let updates = [(w.clone(), w.value() - gradient * 0.1), (seen.clone(), seen.value() + 4.0)];
    let program = Program::capture(&device, &[x], &[], &updates, &[]).unwrap();
    drop(updates);
    let batch = Array::new([4, 3], &[1.0f32; 12]).unwrap();
    for _ in 0..3 {
        program.run(&[&batch]).unwrap();
    }
    let (before, nodes) = (device.memory(), Tensor::live_nodes());
    for _ in 0..100 {
        program.run(&[&batch]).unwrap();
    }
    let after = device.memory();
    assert_eq!((after.allocations, after.replaced, after.live), (before.allocations, before.replaced, before.live));
    // Other tests of this binary record at the same time, so only a leak per step would show.
    assert!(Tensor::live_nodes() < nodes + 250_000);
    assert_eq!(seen.value().to_vec::<f32>().unwrap(), vec![412.0]);
}

#[test]
fn states_that_read_each_other_are_swapped_whole() {
    let device = Device::cpu().unwrap();
    let a = Variable::new(on(&device, &[1.0, 2.0], &[2]));
    let b = Variable::new(on(&device, &[3.0, 4.0], &[2]));
    run::step(&[], vec![(a.clone(), b.value()), (b.clone(), a.value())]).unwrap();
    assert_eq!(a.value().to_vec::<f32>().unwrap(), vec![3.0, 4.0]);
    assert_eq!(b.value().to_vec::<f32>().unwrap(), vec![1.0, 2.0]);
    // A new value that reads the old one at other indices cannot be written in place.
    run::step(&[], vec![(a.clone(), a.value().flip(0) + b.value())]).unwrap();
    assert_eq!(a.value().to_vec::<f32>().unwrap(), vec![5.0, 5.0]);
}

#[test]
fn a_plan_over_budget_is_refused_and_nothing_changes() {
    let device = Device::cpu().unwrap();
    let w = Variable::new(on(&device, &[1.0; 1024], &[1024]));
    let wide = w.value().expand_dims(1).broadcast_to([1024, 1024]);
    let needs = (&wide * 2.0).matmul(&(&wide + 1.0)).sum(1);
    device.trim();
    device.set_memory_limit(Some(1 << 20));
    let error = run::step(&[], vec![(w.clone(), needs)]).unwrap_err();
    assert!(error.is_out_of_memory(), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("out of memory on cpu"), "{text}");
    assert!(text.contains("the budget is 1.0 MiB") && text.contains("Largest:"), "{text}");
    device.set_memory_limit(None);
    assert_eq!(w.value().to_vec::<f32>().unwrap(), vec![1.0; 1024]);
}

#[test]
fn mistakes_travel_to_the_boundary_with_their_line() {
    let line = line!() + 1;
    let wrong = Tensor::ones([2, 3]).matmul(&Tensor::ones([4, 5]));
    let later = (wrong.relu() + 1.0).sum_all();
    let error = later.item::<f32>().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("[2, 3] has 3 columns to contract, [4, 5] has 4 rows"), "{text}");
    assert!(text.ends_with(&format!("{}:{line})", file!())), "{text}");
}

#[test]
fn reading_a_placeholder_says_so() {
    let error = (Tensor::placeholder(0, DType::F32, [3]) * 2.0).to_vec::<f32>().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Symbolic(_)), "{error}");
    assert!(error.to_string().contains("cannot be read or printed here"), "{error}");
}

#[test]
fn a_loop_has_as_many_nodes_for_any_length() {
    let cumulative = |steps: usize| {
        let row = Meta::new(DType::F32, [2]);
        let body = Body::new("running_sum", &[row.clone(), row], |p| {
            let sum = &p[0] + &p[1];
            Ok(vec![sum.clone(), sum])
        })
        .unwrap();
        let xs = Tensor::iota(DType::F32, [steps, 2], 0);
        let spec = ScanSpec { steps, carries: 1, inputs: 1, reverse: false };
        Tensor::scan(&body, spec, &[Tensor::zeros([2]), xs]).unwrap()
    };
    let (short, long) = (cumulative(3), cumulative(5000));
    assert_eq!(addax_tensor::graph::graph_len(&short[1]), addax_tensor::graph::graph_len(&long[1]));
    assert_eq!(short[1].to_vec::<f32>().unwrap(), vec![0.0, 0.0, 1.0, 1.0, 3.0, 3.0]);
    assert_eq!(long[0].to_vec::<f32>().unwrap(), vec![(4999 * 5000 / 2) as f32; 2]);
}

/// Some results of a loop or composite may have been read before, in any order, and the others not.
#[test]
fn results_of_one_node_are_read_one_by_one() {
    let row = Meta::new(DType::F32, [1]);
    let body = Body::new("sum_and_square", &[row.clone(), row], |p| {
        let sum = (&p[0] + &p[1]) * 0.5;
        Ok(vec![sum.clone(), sum.square(), sum.exp()])
    })
    .unwrap();
    let spec = ScanSpec { steps: 3, carries: 1, inputs: 1, reverse: false };
    let xs = || Tensor::from_vec([1.0f32, 2.0, 4.0], [3, 1]) * 2.0;
    let first = || Tensor::from_vec([3.0f32], [1]).exp();
    let make: [&dyn Fn() -> Vec<Tensor>; 2] = [&|| Tensor::scan(&body, spec, &[first(), xs()]).unwrap(), &|| {
        Tensor::call(&body, &[first(), xs().sum(0)]).unwrap()
    }];
    for make in make {
        let want = make().iter().map(|t| t.sum_all().item::<f32>().unwrap()).sum::<f32>();
        for read in 0..3 {
            let out = make();
            out[read].to_vec::<f32>().unwrap();
            for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
                let total = order.into_iter().map(|i| out[i].sum_all()).reduce(|a, b| a + b).unwrap();
                let got = total.item::<f32>().unwrap();
                assert!((got - want).abs() <= 1e-5 * want.abs(), "{got} instead of {want}");
            }
        }
    }
}

#[test]
fn a_reversed_loop_sees_the_last_row_first() {
    let row = Meta::new(DType::F32, [1]);
    let body = Body::new("suffix_sum", &[row.clone(), row], |p| {
        let sum = &p[0] + &p[1];
        Ok(vec![sum.clone(), sum])
    })
    .unwrap();
    let xs = Tensor::from_vec([1.0f32, 2.0, 4.0], [3, 1]);
    let spec = ScanSpec { steps: 3, carries: 1, inputs: 1, reverse: true };
    let out = Tensor::scan(&body, spec, &[Tensor::zeros([1]), xs]).unwrap();
    assert_eq!(out[1].to_vec::<f32>().unwrap(), vec![7.0, 6.0, 4.0]);
    assert_eq!(out[0].to_vec::<f32>().unwrap(), vec![7.0]);
}

/// A step that is recorded anew each time keeps the meaning of its `if`s and numbers; the plan cache changes no bit of it.
#[test]
fn a_step_with_an_if_is_the_same_without_the_plan_cache() {
    let train = |cache: bool| {
        let device = Device::cpu().unwrap();
        device.set_plan_cache(cache);
        let w = Variable::new(on(&device, &[0.3, -0.7, 1.1], &[3]));
        for step in 0..20u32 {
            let x = Tensor::iota(DType::F32, [4, 3], 0) * 0.25 + f64::from(step);
            let mut gradient = (x.sin() * w.value()).mean(0);
            if step % 5 == 0 {
                gradient = gradient.tanh() * 2.0;
            }
            let next = w.value() - gradient * (0.1 / f64::from(step + 1));
            run::step(&[], vec![(w.clone(), next)]).unwrap();
        }
        (w.value().to_vec::<f32>().unwrap(), device.plan_cache())
    };
    let ((with, kept), (without, planned_anew)) = (train(true), train(false));
    assert_eq!(with, without);
    assert!(kept.hits >= 18, "{kept:?}");
    assert_eq!(planned_anew.hits, 0, "{planned_anew:?}");
}

/// The gradient of slices: parts that were padded to one shape and meet are joined, and the zeros around them stay.
#[test]
fn padded_parts_that_meet_are_joined_with_zeros_around() {
    let device = Device::cpu().unwrap();
    let part = |first: f32| on(&device, &[first, first + 1.0], &[2, 1]);
    let padded = |first: f32, before: usize, after: usize| part(first).pad([(0, 0), (before, after)], 0.0);
    let ends_early = padded(1.0, 0, 3) + padded(3.0, 1, 2);
    assert_eq!(ends_early.to_vec::<f32>().unwrap(), [1.0, 3.0, 0.0, 0.0, 2.0, 4.0, 0.0, 0.0]);
    let begins_late = padded(1.0, 2, 1) + padded(3.0, 3, 0);
    assert_eq!(begins_late.to_vec::<f32>().unwrap(), [0.0, 0.0, 1.0, 3.0, 0.0, 0.0, 2.0, 4.0]);
    let with_a_gap = padded(1.0, 0, 3) + padded(3.0, 2, 1);
    assert_eq!(with_a_gap.to_vec::<f32>().unwrap(), [1.0, 0.0, 3.0, 0.0, 2.0, 0.0, 4.0, 0.0]);
    let over_each_other = padded(1.0, 1, 2) + padded(3.0, 1, 2);
    assert_eq!(over_each_other.to_vec::<f32>().unwrap(), [0.0, 4.0, 0.0, 0.0, 0.0, 6.0, 0.0, 0.0]);
}

#[test]
fn factors_are_taken_out_of_sums() {
    let device = Device::cpu().unwrap();
    let (x, b) = (Tensor::placeholder(0, DType::F32, [64, 3]), Tensor::placeholder(1, DType::F32, [3]));
    let outputs = [x.sum(0), (&x * &b).sum(0), -((-&x) / &b * 2.0).sum(0), (&b * &x).sum(0)];
    let program = Program::capture(&device, &[x.clone(), b.clone()], &outputs, &[], &[]).unwrap();
    assert_eq!(program.plan().dispatches(), 1, "{:?}", program.plan());
    // A factor that differs along the summed axis stays inside.
    let weighted = [(&x * &b).sum(1), x.sum(1)];
    let apart = Program::capture(&device, &[x, b], &weighted, &[], &[]).unwrap();
    let values: Vec<f32> = (0..192_u8).map(|i| f32::from(i) / 8.0).collect();
    let (x, b) = (Array::new([64, 3], &values).unwrap(), Array::new([3], &[0.5, 2.0, -4.0]).unwrap());
    let got: Vec<Vec<f32>> = program.run(&[&x, &b]).unwrap().iter().map(|t| t.to_vec().unwrap()).collect();
    for (j, b) in [0.5, 2.0, -4.0].into_iter().enumerate() {
        let sum: f32 = values.iter().skip(j).step_by(3).sum();
        assert_eq!([got[0][j], got[1][j], got[2][j], got[3][j]], [sum, sum * b, sum / b * 2.0, sum * b]);
    }
    let rows: Vec<f32> = apart.run(&[&x, &b]).unwrap()[0].to_vec().unwrap();
    assert_eq!(rows[1], values[3] * 0.5 + values[4] * 2.0 + values[5] * -4.0);
}

#[test]
fn what_is_spread_over_many_elements_is_computed_once() {
    let device = Device::cpu().unwrap();
    let dispatches = |rows: usize| {
        let (x, b) = (Tensor::placeholder(0, DType::F32, [rows, 512]), Tensor::placeholder(1, DType::F32, [512]));
        let y = &x * (&b + 1.0).rsqrt();
        Program::capture(&device, &[x, b], &[y], &[], &[]).unwrap().plan().dispatches()
    };
    assert_eq!((dispatches(8), dispatches(128)), (1, 2));
}

/// A product over a long axis as the gradient of `prod` has it: pairs of neighbours again and again, filled up with a one where their
/// number is odd. Each filling is three instructions, so that the code of a few levels is longer than a kernel may be.
#[test]
fn fillings_count_as_instructions() {
    let device = Device::cpu().unwrap();
    let x = Tensor::placeholder(0, DType::F32, [15, 33]);
    let mut y = x.clone();
    while y.shape().unwrap()[1] > 1 {
        let odd = y.shape().unwrap()[1] % 2;
        let filled = y.pad([(0, 0), (0, odd)], 1.0);
        let of = |first: usize| filled.slice_axes([(0..15, 1), (first..filled.shape().unwrap()[1], 2)].map(every));
        y = of(0) * of(1);
    }
    let program = Program::capture(&device, &[x], &[y], &[], &[]).unwrap();
    let values: Vec<f32> = (0..15 * 33).map(|i| 1.0 + ((i * 7) % 11) as f32 / 64.0).collect();
    let got = program.run(&[&Array::new([15, 33], &values).unwrap()]).unwrap().pop().unwrap().to_vec::<f32>().unwrap();
    for (row, got) in values.chunks(33).zip(got) {
        let want: f64 = row.iter().map(|&v| f64::from(v)).product();
        assert!((f64::from(got) - want).abs() < 1e-5 * want, "{got} instead of {want}");
    }
}

fn every((range, step): (std::ops::Range<usize>, usize)) -> SliceAxis {
    SliceAxis { start: range.start, stop: range.end, step }
}
