//! Functions of single elements: their accuracy over the whole range of floats, and NumPy's numbers for odd inputs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]
#![allow(clippy::excessive_precision, reason = "numbers as another library printed them")]

use addax_tensor::{DType, Tensor, reference};

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

fn v<T: addax_tensor::Element>(values: &[T]) -> Tensor {
    Tensor::from_vec(values, [values.len()])
}

/// Every normal float of so many: both signs, all exponents.
fn floats(low: f64, high: f64) -> Vec<f32> {
    let fits = |x: &f32| x.is_normal() && (low..=high).contains(&f64::from(*x));
    (0..=u32::MAX).step_by(9973).map(f32::from_bits).filter(fits).collect()
}

/// The largest error of `f` on [low, high], in units of the last place of the right result where that is a normal number.
#[track_caller]
fn within(ulp: f64, [low, high]: [f64; 2], f: impl Fn(&Tensor) -> Tensor, right: impl Fn(f64) -> f64) {
    let xs = floats(low, high);
    assert!(xs.len() > 1000);
    let ys = f(&v(&xs)).to_vec::<f32>().unwrap();
    let error = |(x, y): (&f32, &f32)| {
        let right = right(f64::from(*x));
        if right.abs() < f64::from(f32::MIN_POSITIVE) {
            return ((f64::from(*y) - right).abs() / f64::from(f32::MIN_POSITIVE), *x, *y);
        }
        let unit = 2f64.powi(right.abs().log2().floor() as i32 - 23);
        let same = (right as f32) == *y || right.is_nan() && y.is_nan();
        (if same { 0.0 } else { (f64::from(*y) - right).abs() / unit }, *x, *y)
    };
    let worst = xs.iter().zip(&ys).map(error).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    assert!(worst.0 <= ulp, "{} ulp at {:e}: {:e}", worst.0, worst.1, worst.2);
}

const ALL: [f64; 2] = [f64::NEG_INFINITY, f64::INFINITY];

#[test]
fn inverse_circle_functions_are_accurate() {
    within(4.0, ALL, Tensor::arctan, f64::atan);
    within(4.0, [-1.0, 1.0], Tensor::arcsin, f64::asin);
    within(4.0, [-1.0, 1.0], Tensor::arccos, f64::acos);
    within(4.0, ALL, |x| x.arctan2(-0.75), |x| x.atan2(-0.75));
    within(4.0, ALL, |x| v(&[-2.5f32]).arctan2(x), |x| (-2.5f64).atan2(x));
}

#[test]
fn hyperbolic_functions_are_accurate() {
    within(8.0, [-89.0, 89.0], Tensor::sinh, f64::sinh);
    within(8.0, [-89.0, 89.0], Tensor::cosh, f64::cosh);
    within(4.0, ALL, Tensor::arcsinh, f64::asinh);
    within(4.0, [1.0, f64::INFINITY], Tensor::arccosh, f64::acosh);
    within(4.0, [-0.9999, 0.9999], Tensor::arctanh, f64::atanh);
}

#[test]
fn powers_and_logarithms_are_accurate() {
    within(4.0, [0.0, f64::INFINITY], Tensor::log2, f64::log2);
    within(4.0, [0.0, f64::INFINITY], Tensor::log10, f64::log10);
    within(4.0, [-125.0, 127.9], Tensor::exp2, f64::exp2);
    within(2.0, ALL, Tensor::cbrt, f64::cbrt);
    within(4.0, ALL, |x| x.hypot(1e-3), |x| x.hypot(f64::from(1e-3f32)));
    within(4.0, ALL, |x| x.hypot(3e37), |x| x.hypot(f64::from(3e37f32)));
}

/// Values, equal bit for bit but for the last few where `tolerance` allows it, on the executor and on the reference.
#[track_caller]
fn gives(got: Tensor, want: &[f32], tolerance: f32) {
    let of_reference = reference::evaluate(std::slice::from_ref(&got)).unwrap()[0].to_vec::<f32>().unwrap();
    for values in [got.to_vec::<f32>().unwrap(), of_reference] {
        assert_eq!(values.len(), want.len());
        let same = |(a, b): (&f32, &f32)| match b.is_finite() && *b != 0.0 {
            true => (a - b).abs() <= tolerance * b.abs(),
            false => a.is_nan() && b.is_nan() || a.to_bits() == b.to_bits(),
        };
        assert!(values.iter().zip(want).all(same), "got {values:?}\nexpected {want:?}");
    }
}

#[track_caller]
fn tells(got: Tensor, want: &[bool]) {
    let of_reference = reference::evaluate(std::slice::from_ref(&got)).unwrap()[0].to_vec::<bool>().unwrap();
    assert_eq!(got.to_vec::<bool>().unwrap(), want);
    assert_eq!(of_reference, want);
}

#[test]
fn odd_inputs_of_functions_of_one() {
    let odd = || v(&[0.0, -0.0, INF, -INF, NAN, 2.0, 1.0, -1.0]);
    const PI: f32 = std::f32::consts::PI;
    gives(odd().arctan(), &[0.0, -0.0, PI / 2.0, -PI / 2.0, NAN, 1.1071488, PI / 4.0, -PI / 4.0], 2e-7);
    gives(odd().arcsin(), &[0.0, -0.0, NAN, NAN, NAN, NAN, PI / 2.0, -PI / 2.0], 2e-7);
    gives(odd().arccos(), &[PI / 2.0, PI / 2.0, NAN, NAN, NAN, NAN, 0.0, PI], 2e-7);
    gives(odd().arcsinh(), &[0.0, -0.0, INF, -INF, NAN, 1.4436355, 0.8813736, -0.8813736], 2e-7);
    gives(odd().arccosh(), &[NAN, NAN, INF, NAN, NAN, 1.316958, 0.0, NAN], 2e-7);
    gives(odd().arctanh(), &[0.0, -0.0, NAN, NAN, NAN, NAN, INF, -INF], 2e-7);
    gives(odd().sinh(), &[0.0, -0.0, INF, -INF, NAN, 3.6268604, 1.1752012, -1.1752012], 4e-7);
    gives(odd().cosh(), &[1.0, 1.0, INF, INF, NAN, 3.7621956, 1.5430806, 1.5430806], 4e-7);
    gives(v(&[0.0, INF, NAN, 2.0, 1.0, -1.0]).tan(), &[0.0, NAN, NAN, -2.1850398, 1.5574077, -1.5574077], 4e-7);
    gives(odd().log2(), &[-INF, -INF, INF, NAN, NAN, 1.0, 0.0, NAN], 2e-7);
    gives(odd().exp2(), &[1.0, 1.0, INF, 0.0, NAN, 4.0, 2.0, 0.5], 2e-7);
    gives(odd().cbrt(), &[0.0, -0.0, INF, -INF, NAN, 1.259921, 1.0, -1.0], 2e-7);
    gives(odd().trunc(), &[0.0, -0.0, INF, -INF, NAN, 2.0, 1.0, -1.0], 0.0);
    gives(odd().sinc(), &[1.0, 1.0, NAN, NAN, NAN, 0.0, -0.0, 0.0], 0.0);
    gives(v(&[0.5f32, -2.5, 100.25]).sinc(), &[0.63661975, 0.12732396, 2.24517785e-03], 4e-7);
    gives(odd().heaviside(0.5), &[0.5, 0.5, 1.0, 0.0, NAN, 1.0, 1.0, 0.0], 0.0);
    gives(odd().erfc(), &[1.0, 1.0, 0.0, 2.0, NAN, 0.0046777347, 0.15729921, 1.8427008], 1e-6);
    gives(
        v(&[0.4999f32, 0.6, 3.3, 7.1, 9.1]).erfc(),
        &[0.47958793, 0.39614391, 3.0577108e-06, 1.0073416e-23, 6.6968537e-38],
        1e-6,
    );
    gives(v(&[-1.7f32, 1.7]).trunc(), &[-1.0, 1.0], 0.0);
    gives(v(&[180.0f32, -90.0]).deg2rad(), &[PI, -PI / 2.0], 2e-7);
    gives(v(&[PI, -PI / 2.0]).rad2deg(), &[180.0, -90.0], 2e-7);
    gives(odd().nan_to_num(7.0, None, Some(-9.0)), &[0.0, -0.0, f32::MAX, -9.0, 7.0, 2.0, 1.0, -1.0], 0.0);
    tells(odd().signbit(), &[false, true, false, true, false, false, false, true]);
    tells(odd().is_posinf(), &[false, false, true, false, false, false, false, false]);
    tells(odd().is_neginf(), &[false, false, false, true, false, false, false, false]);
    tells(v(&[3, -3]).signbit(), &[false, true]);
    tells(v(&[3, -3]).is_neginf(), &[false, false]);
}

#[test]
fn odd_inputs_of_functions_of_two() {
    const PI: f32 = std::f32::consts::PI;
    let y = v(&[0.0, -0.0, 0.0, -0.0, 1.0, -1.0, INF, -INF, INF, -INF, INF, 1.0, -1.0, NAN, 0.0]);
    let x = v(&[0.0, 0.0, -0.0, -0.0, 0.0, -0.0, INF, INF, -INF, -INF, 1.0, -INF, INF, 1.0, -1.0]);
    let (quarter, half) = (PI / 4.0, PI / 2.0);
    let want =
        [0.0, -0.0, PI, -PI, half, -half, quarter, -quarter, 3.0 * quarter, -3.0 * quarter, half, PI, -0.0, NAN, PI];
    gives(y.arctan2(&x), &want, 2e-7);
    gives(
        v(&[INF, 0.0, 3e38, 1.0, NAN]).hypot(v(&[NAN, -0.0, 1e38, INF, 1.0])),
        &[INF, 0.0, 3.1622777e38, INF, NAN],
        4e-7,
    );
    gives(v(&[1.0, NAN, NAN, 2.0]).fmax(v(&[3.0, 1.0, NAN, NAN])), &[3.0, 1.0, NAN, 2.0], 0.0);
    gives(v(&[1.0, NAN, NAN, 2.0]).fmin(v(&[3.0, 1.0, NAN, NAN])), &[1.0, 1.0, NAN, 2.0], 0.0);
    gives(v(&[7.0f32, -7.0]).fmod(4.0), &[3.0, -3.0], 0.0);
    gives(v(&[7.0f32, -7.0, 0.0]).divide_no_nan(v(&[0.0f32, 2.0, 0.0])), &[0.0, -3.5, 0.0], 0.0);
    gives(v(&[7, 3]).divide_no_nan(v(&[0, 2])), &[0.0, 1.5], 0.0);
    let exponents = v(&[3, -1, -140, 200, 127]);
    gives(
        v(&[0.75f32, 5.0, 1e30, 1e-30, 1.0]).ldexp(exponents),
        &[6.0, 2.5, 7.1746481e-13, 1.606938e30, 1.7014118e38],
        4e-7,
    );
    gives(v(&[3.0, -INF, INF, 200.0]).logaddexp2(v(&[3.0, -INF, 1.0, 199.0])), &[4.0, -INF, INF, 200.58496], 2e-7);
    let (a, b) = (v(&[1.0, INF, INF, NAN, 1e-9, 1.0]), v(&[1.000009, INF, -INF, NAN, 0.0, 1.1]));
    tells(a.is_close(&b, 1e-5, 1e-8, false), &[true, true, false, false, true, false]);
    tells(a.is_close(&b, 1e-5, 1e-8, true), &[true, true, false, true, true, false]);
    tells(a.all_close(&b, 1e-5, 1e-8, true).reshape([1]), &[false]);
    tells(a.all_close(&a, 1e-5, 1e-8, true).reshape([1]), &[true]);
}

#[test]
fn casts_that_saturate() {
    let x = v(&[1e9, -1e9, 300.0, -3.0, NAN]);
    assert_eq!(x.saturate_cast(DType::U8).to_vec::<u8>().unwrap(), [255, 0, 255, 0, 0]);
    gives(x.saturate_cast(DType::F16).cast(DType::F32), &[65504.0, -65504.0, 300.0, -3.0, NAN], 0.0);
    assert_eq!(v(&[-5, 70_000]).saturate_cast(DType::U32).to_vec::<u32>().unwrap(), [0, 70_000]);
    assert_eq!(v(&[u32::MAX, 7]).saturate_cast(DType::I32).to_vec::<i32>().unwrap(), [i32::MAX, 7]);
    gives(v(&[-70_000, 70_000]).saturate_cast(DType::F16).cast(DType::F32), &[-65504.0, 65504.0], 0.0);
}

/// By the series of `erf` near 0 and by a continued fraction beyond.
fn erfc(x: f64) -> f64 {
    let scale = (-x * x).exp() / std::f64::consts::PI.sqrt();
    if x < 2.0 {
        let mut term = 2.0 * x;
        let mut sum = term;
        for n in 1..120 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        return 1.0 - scale * sum;
    }
    scale / (1..=120).rev().fold(x, |tail, n| x + f64::from(n) / 2.0 / tail)
}

#[test]
fn what_erf_leaves_is_accurate() {
    within(12.0, [-5.0, 9.2], Tensor::erfc, erfc);
}

/// By its series, all terms of which are positive.
fn i0(x: f64) -> f64 {
    let term = |term: f64, k: i32| term * x * x / 4.0 / f64::from(k * k);
    (1..200).scan(1.0, |last, k| Some(std::mem::replace(last, term(*last, k)))).sum()
}

#[test]
fn bessels_function_is_accurate() {
    within(16.0, [-91.9, 91.9], Tensor::i0, i0);
    gives(v(&[0.0, INF, -INF, NAN]).i0(), &[1.0, INF, INF, NAN], 0.0);
}

#[test]
fn half_floats_are_rounded_once_and_integers_become_floats() {
    let x = v(&[0.3f32, -0.7, 0.9]).cast(DType::F16);
    let y = x.arcsin();
    assert_eq!(y.dtype().unwrap(), DType::F16);
    let once = x.cast(DType::F32).arcsin().cast(DType::F16).cast(DType::F32).to_vec::<f32>().unwrap();
    gives(y.cast(DType::F32), &once, 0.0);
    assert_eq!(v(&[1, 8]).cbrt().dtype().unwrap(), DType::F32);
    gives(v(&[1, 8]).log2(), &[0.0, 3.0], 2e-7);
    gives(v(&[3, 0]).arctan2(v(&[4, -1])), &[0.643_501_1, std::f32::consts::PI], 2e-7);
    gives(v(&[true, false]).exp2(), &[2.0, 1.0], 0.0);
}
