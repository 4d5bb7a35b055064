//! What half floats promise on every executor: casts round to the nearest, ties to even; sums, products and convolutions
//! accumulate in `f32`; what is too large becomes infinite.
//!
//! Runs on the CPU, and on the GPU where `ADDAX_TEST_DEVICES` names `gpu`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{Array, DType, Device, Tensor, graph::Conv2d, testing};
use half::{bf16, f16};
use std::sync::{Mutex, MutexGuard, PoisonError};

const HALVES: [DType; 2] = [DType::BF16, DType::F16];

/// The default device is the whole process's: tests take turns.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `test` on every device that is asked for, with and without fusion.
fn everywhere(test: impl Fn(&str)) {
    let _alone = alone();
    let mut devices = vec![Device::cpu().unwrap()];
    devices.extend(testing::gpu().expect("ADDAX_TEST_DEVICES names gpu"));
    for device in devices {
        Device::set_default(&device);
        for fusion in [true, false] {
            device.set_fusion(fusion);
            test(&format!("{}, fusion {fusion}", device.name()));
        }
        device.set_fusion(true);
    }
}

/// The values after they were stored as what they are: inside of a kernel they may be held more exactly.
fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.clone().eval_alone().cast(DType::F32).to_vec().unwrap()
}

/// A half counter that adds ones one by one stops at 2048 (`f16`) or 256 (`bf16`).
#[test]
fn a_sum_of_4096_ones_is_4096() {
    everywhere(|place| {
        for half in HALVES {
            let ones = Tensor::full(half, [4096], 1.0);
            assert_eq!(floats(&ones.sum_all()), [4096.0], "{half}, {place}");
            let rows = Tensor::full(half, [4096, 3], 1.0);
            assert_eq!(floats(&rows.sum(0)), [4096.0; 3], "{half}, first axis, {place}");
            let one = rows.slice(1, ..1);
            assert_eq!(floats(&ones.reshape([1, 4096]).matmul(&one)), [4096.0], "{half}, product, {place}");
            assert_eq!(floats(&rows.t().matmul(&rows)), [4096.0; 9], "{half}, transposed product, {place}");
        }
    });
}

#[test]
fn convolutions_and_their_gradients_accumulate_in_f32() {
    let how = Conv2d { strides: [1, 1], pads: [(0, 0), (0, 0)], dilation: [1, 1], groups: 1 };
    everywhere(|place| {
        for half in HALVES {
            let (x, w) = (Tensor::full(half, [1, 8, 8, 64], 1.0), Tensor::full(half, [8, 8, 64, 2], 1.0));
            assert_eq!(floats(&x.conv2d(&w, how)), [4096.0; 2], "{half}, {place}");
            let (x, dy) = (Tensor::full(half, [1, 64, 64, 1], 1.0), Tensor::full(half, [1, 64, 64, 2], 1.0));
            let dw = x.conv2d_filter_grad(&dy, [1, 1, 1, 2], how);
            assert_eq!(floats(&dw), [4096.0; 2], "{half}, filter, {place}");
            let (dy, w) = (Tensor::full(half, [1, 1, 1, 4096], 1.0), Tensor::full(half, [1, 1, 1, 4096], 1.0));
            let dx = dy.conv2d_input_grad(&w, [1, 1, 1, 1], how);
            assert_eq!(floats(&dx), [4096.0], "{half}, input, {place}");
        }
    });
}

/// Every way to the edges: ties, the last finite number, denormals, infinities.
#[test]
fn casts_round_to_the_nearest_and_ties_to_even() {
    let mut values =
        vec![0.0f32, -0.0, f32::INFINITY, f32::NEG_INFINITY, 65504.0, 65519.996, 65520.0, -65520.0, 1e9, 3.4e38];
    for k in 0..64 {
        // Around ties of both types, above 1 and near the top.
        for unit in [1.0f32 / 4096.0, 1.0 / 512.0] {
            values.extend([1.0 + k as f32 * unit, -(1.0 + k as f32 * unit + 1e-7), 40000.0 * (1.0 + k as f32 * unit)]);
        }
        // Denormal halves and their ties: 2^-24 is the smallest.
        values.push(k as f32 * 2f32.powi(-26));
    }
    everywhere(|place| {
        let x = Tensor::from_vec(values.clone(), [values.len()]);
        // What is stored and what is only passed on inside of a kernel round alike.
        for (how, x) in [("stored", x.clone()), ("in a kernel", x.clone() * 1.0)] {
            let got = x.cast(DType::F16).to_array().unwrap().to_vec::<f16>().unwrap();
            let want: Vec<f16> = values.iter().map(|v| f16::from_f32(*v)).collect();
            assert_eq!(bits(&got, f16::to_bits), bits(&want, f16::to_bits), "float16 {how}, {place}");
            let got = x.cast(DType::BF16).to_array().unwrap().to_vec::<bf16>().unwrap();
            let want: Vec<bf16> = values.iter().map(|v| bf16::from_f32(*v)).collect();
            assert_eq!(bits(&got, bf16::to_bits), bits(&want, bf16::to_bits), "bfloat16 {how}, {place}");
            let passed = floats(&x.cast(DType::F16));
            let want: Vec<f32> = values.iter().map(|v| f16::from_f32(*v).to_f32()).collect();
            assert_eq!(passed, want, "float16 and back {how}, {place}");
        }
    });
}

fn bits<T: Copy>(values: &[T], of: fn(T) -> u16) -> Vec<u16> {
    values.iter().map(|v| of(*v)).collect()
}

#[test]
fn overflow_goes_to_infinity() {
    everywhere(|place| {
        let large = Tensor::full(DType::F16, [2], 60000.0);
        assert_eq!(floats(&(&large + &large)), [f32::INFINITY; 2], "{place}");
        assert_eq!(floats(&-(&large * &large)), [f32::NEG_INFINITY; 2], "{place}");
        assert_eq!(floats(&large.sum_all()), [f32::INFINITY], "{place}");
        let product = large.reshape([1, 2]).matmul(&large.reshape([2, 1]));
        assert_eq!(floats(&product), [f32::INFINITY], "{place}");
        // What overflows on the way but not at the end does not overflow.
        let signs = Tensor::from_vec([1.0f32, -1.0], [2, 1]).cast(DType::F16);
        assert_eq!(floats(&large.reshape([1, 2]).matmul(&signs)), [0.0], "{place}");
    });
}

/// A power whose result is rounded in the same kernel keeps its sign.
#[test]
fn odd_powers_of_negative_halves_are_negative() {
    let (x, y) =
        (vec![-91.0f32, -2.0, -0.5, -0.0, 3.0, -1.5, -2.0, -2.0], vec![1.0f32, 3.0, -1.0, 1.0, 1.0, 2.0, 0.0, -3.0]);
    let want = [-91.0f32, -8.0, -2.0, -0.0, 3.0, 2.25, 1.0, -0.125];
    everywhere(|place| {
        for half in HALVES {
            let tensor = |values: &[f32]| Tensor::from_array(Array::new([8], values).unwrap()).cast(half).eval_alone();
            let power = tensor(&x).pow(tensor(&y)).cast(DType::F32);
            let got = power.to_vec::<f32>().unwrap();
            let near = got.iter().zip(&want).all(|(a, b)| (a - b).abs() <= b.abs() / 128.0);
            assert!(near && got[3].is_sign_negative(), "{half}, {place}: {got:?}");
        }
    });
}

trait EvalAlone {
    fn eval_alone(self) -> Tensor;
}
impl EvalAlone for Tensor {
    /// The tensor computed, so that what follows reads it as a leaf.
    fn eval_alone(self) -> Tensor {
        Tensor::eval(std::slice::from_ref(&self)).unwrap();
        self
    }
}
