//! Splitting a batch: whatever the graph, slices of the batch give what the reference gives for the whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{
    Array, DType, Device, Program, Result, Tensor,
    graph::{Op, topological},
    plan::split::Rung,
    random,
    testing::{self, Graph, Options, check, graphs},
};
use std::collections::HashMap;

/// Calls the longest most common first axis of the data the batch.
fn with_batch(tensors: &[Tensor]) -> Result<Vec<Array>> {
    let leaves: Vec<Tensor> =
        topological(tensors, |_| false).into_iter().filter(|t| matches!(t.node().op(), Op::Leaf)).collect();
    let mut counts: HashMap<usize, usize> = HashMap::new();
    let first = |t: &Tensor| t.shape().ok().and_then(|s| s.first().copied()).filter(|&n| n > 1);
    for n in leaves.iter().filter_map(first) {
        *counts.entry(n).or_default() += 1;
    }
    if let Some((&rows, _)) = counts.iter().max_by_key(|&(&n, &count)| (count, n)) {
        for leaf in leaves.into_iter().filter(|t| first(t) == Some(rows)) {
            let _same = leaf.of_samples();
        }
    }
    // One by one: a graph is split as a whole or not at all.
    tensors.iter().map(Tensor::to_array).collect()
}

/// The default device is one for the process, so only this test of the file uses it. `ADDAX_TEST_SEED` asks for other graphs,
/// `ADDAX_TEST_GRAPHS` for more.
#[test]
fn slices_of_the_batch_agree_with_the_reference() {
    let (seed, count) = (testing::seed(7), testing::wanted(800));
    for rung in
        [Rung { slices: 2, recompute: false, lean: false }, Rung { slices: usize::MAX, recompute: true, lean: false }]
    {
        let device = Device::cpu().unwrap();
        device.set_rung(Some(rung));
        Device::set_default(&device);
        let all = |graphs: &mut dyn Iterator<Item = Graph>| {
            for (i, graph) in graphs.enumerate() {
                check(&graph.outputs, with_batch)
                    .unwrap_or_else(|failure| panic!("graph {i} of seed {seed}, {rung}: {failure}"));
            }
        };
        all(&mut graphs(seed, count, &Options::all()));
        all(&mut graphs(seed, count / 25, &Options::large()));
        let info = device.plan_cache();
        println!("{rung}: {} of {} graphs were split", info.split, info.misses);
        assert!(info.split >= 100, "only {} of {} graphs were split", info.split, info.misses);
    }
}

/// Random bits are counted by sample: a slice draws what the whole batch would have drawn in its place.
#[test]
fn a_slice_draws_what_the_whole_draws() {
    let x = Tensor::placeholder(0, DType::F32, [6, 5]).of_samples();
    let kept = random::uniform(&random::key(3, 7), 11, [6, 5]).greater_equal(0.5);
    let dropped = kept.select(&x, 0.0) + random::normal(&random::key(4, 1), 12, [6, 5]);
    let values = Array::new([6, 5], &(0..30).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
    let on = |rung: Option<Rung>| {
        let device = Device::cpu().unwrap();
        device.set_rung(rung);
        let outputs = [dropped.clone(), dropped.sum(0)];
        let program = Program::capture(&device, std::slice::from_ref(&x), &outputs, &[], &[]).unwrap();
        assert_eq!(program.rung(), rung.unwrap_or(Rung::WHOLE));
        let outputs = program.run(&[&values]).unwrap();
        (outputs[0].to_vec::<f32>().unwrap(), outputs[1].to_vec::<f32>().unwrap())
    };
    let whole = on(None);
    for slices in [2, 3, 6] {
        let (each, sums) = on(Some(Rung { slices, recompute: false, lean: false }));
        assert_eq!(each, whole.0);
        assert!(sums.iter().zip(&whole.1).all(|(a, b)| (a - b).abs() < 1e-4), "{sums:?}, whole {:?}", whole.1);
    }
}

/// Slices are folded into what folding nothing gives, whatever the operation and the signs.
#[test]
fn folds_over_samples_join() {
    let x = Tensor::placeholder(0, DType::F32, [4, 2]).of_samples();
    let far = x.less(-2.0);
    let outputs = [x.sum(0), x.prod(0), x.max(0), x.min(0), (-&x).max(0), (-&x).min(0)];
    let truths = [far.any(0), far.all(0), x.less(0.0).all(0)];
    let outputs: Vec<Tensor> = outputs.into_iter().chain(truths.map(|t| t.cast(DType::F32))).collect();
    let values = Array::new([4, 2], &[-1.0f32, -5.0, -2.0, -4.0, -3.0, -7.0, -1.5, -2.5]).unwrap();
    let device = Device::cpu().unwrap();
    device.set_rung(Some(Rung { slices: 4, recompute: true, lean: false }));
    let program = Program::capture(&device, std::slice::from_ref(&x), &outputs, &[], &[]).unwrap();
    assert_eq!(program.rung().slices, 4);
    let got: Vec<Vec<f32>> = program.run(&[&values]).unwrap().iter().map(|t| t.to_vec().unwrap()).collect();
    let expected: [[f32; 2]; 9] = [
        [-7.5, -18.5],
        [9.0, 350.0],
        [-1.0, -2.5],
        [-3.0, -7.0],
        [3.0, 7.0],
        [1.0, 2.5],
        [1.0, 1.0],
        [0.0, 1.0],
        [1.0, 1.0],
    ];
    assert_eq!(got, expected);
}

/// Slices of which the last is shorter: what is drawn, summed, normalized, turned around or merged with its neighbours is that of the
/// whole batch.
#[test]
fn a_shorter_last_slice_counts_like_the_others() {
    // Rows, slices that are asked for, slices that there are.
    for (rows, asked, slices) in [(7, 2, 2), (7, 3, 3), (7, 5, 4), (11, 4, 4), (11, 7, 6), (10, 7, 5), (5, 9, 5)] {
        let x = Tensor::placeholder(0, DType::F32, [rows, 4]).of_samples();
        let kept = random::uniform(&random::key(3, 7), 11, [rows, 4]).greater_equal(0.5);
        let dropped = kept.select(&x, 0.0) + random::normal(&random::key(4, 1), 12, [rows, 4]);
        let centered = &dropped - dropped.mean(0);
        let scaled = &centered / centered.square().mean(0).sqrt();
        let turned = scaled.t().reshape([4 * rows]);
        let merged = scaled.reshape([rows * 4]);
        let gram = scaled.t().matmul(&scaled);
        let folds =
            [scaled.sum(0), scaled.max(0), (&scaled * 0.5 + 1.0).prod(0), scaled.less(0.0).any(0).cast(DType::F32)];
        let outputs: Vec<Tensor> =
            [dropped, scaled.clone(), turned.tanh(), merged.exp(), gram].into_iter().chain(folds).collect();
        let values: Vec<f32> = (0..rows * 4).map(|i| ((i * 29) % 17) as f32 / 5.0).collect();
        let values = Array::new([rows, 4], &values).unwrap();
        let on = |rung: Option<Rung>| {
            let device = Device::cpu().unwrap();
            device.set_rung(rung);
            let program = Program::capture(&device, std::slice::from_ref(&x), &outputs, &[], &[]).unwrap();
            assert_eq!(program.rung().slices, if rung.is_some() { slices } else { 1 });
            let outputs = program.run(&[&values]).unwrap();
            outputs.iter().map(|t| t.to_vec::<f32>().unwrap()).collect::<Vec<_>>()
        };
        let whole = on(None);
        for recompute in [false, true] {
            let got = on(Some(Rung { slices: asked, recompute, lean: false }));
            assert_eq!(got[0], whole[0], "{rows} rows, {slices} slices: what is drawn");
            for (n, (a, b)) in got.iter().zip(&whole).enumerate() {
                let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
                assert!(
                    a.len() == b.len() && a.iter().zip(b).all(near),
                    "{rows} in {slices}, output {n}: {a:?}, {b:?}"
                );
            }
        }
    }
}

/// A batch whose size is prime is not computed sample by sample if it would fit in two slices.
#[test]
fn a_prime_batch_has_rungs_between_the_whole_and_one_sample() {
    let (x, w) =
        (Tensor::placeholder(0, DType::F32, [31, 64]).of_samples(), Tensor::placeholder(1, DType::F32, [64, 64]));
    let out = (0..4).fold(x.clone(), |h, _| h.matmul(&w).tanh()).sum(0);
    let on = |device: &Device| {
        Program::capture(device, &[x.clone(), w.clone()], std::slice::from_ref(&out), &[], &[]).unwrap()
    };
    let forced = |slices: usize| {
        let device = Device::cpu().unwrap();
        device.set_rung(Some(Rung { slices, recompute: false, lean: false }));
        on(&device).planned_peak()
    };
    let peaks: Vec<u64> = [1, 2, 3, 4, 31].into_iter().map(forced).collect();
    assert!(peaks.windows(2).all(|pair| pair[0] > pair[1]), "{peaks:?}");
    for (slices, limit) in [2, 3, 4].into_iter().zip(&peaks[1..]) {
        let device = Device::cpu().unwrap();
        device.set_memory_limit(Some(*limit));
        let program = on(&device);
        assert_eq!(program.rung().slices, slices, "{peaks:?}");
        let values = |n: usize| (0..n).map(|i| ((i * 29) % 17) as f32 / 50.0).collect::<Vec<_>>();
        let (x, w) = (Array::new([31, 64], &values(31 * 64)).unwrap(), Array::new([64, 64], &values(64 * 64)).unwrap());
        program.run(&[&x, &w]).unwrap();
        assert!(device.memory().peak <= *limit);
    }
}

/// The parts of a sum of half floats are joined before they are rounded. Found by random graphs.
#[test]
fn half_floats_are_rounded_after_their_parts_are_joined() {
    let x = Tensor::placeholder(0, DType::F32, [3, 2]).of_samples();
    let to = Tensor::placeholder(1, DType::I32, [3]).of_samples();
    let half = x.cast(DType::F16);
    let outputs = [half.sum(0), half.permute([1, 0]).scatter_add(&to, 1, 1)];
    let values = [0.21643066, -0.38330078, -0.17675781, -0.26782227, -0.019729614, -0.1394043];
    let (values, zeros) = (Array::new([3, 2], &values).unwrap(), Array::new([3], &[0_i32; 3]).unwrap());
    let on = |rung: Option<Rung>| {
        let device = Device::cpu().unwrap();
        device.set_rung(rung);
        let program = Program::capture(&device, &[x.clone(), to.clone()], &outputs, &[], &[]).unwrap();
        assert_eq!(program.rung(), rung.unwrap_or(Rung::WHOLE));
        let results = program.run(&[&values, &zeros]).unwrap();
        results.iter().map(|t| t.cast(DType::F32).to_vec::<f32>().unwrap()).collect::<Vec<_>>()
    };
    let whole = on(None);
    assert_eq!(whole[0][1], -0.790_527_34);
    for slices in [2, 3] {
        assert_eq!(on(Some(Rung { slices, recompute: false, lean: false })), whole);
    }
}
