//! Moments of the random distributions, far enough inside what chance allows that a right generator never fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{Tensor, random};

const COUNT: usize = 40_000;

fn key() -> Tensor {
    random::key(2026, 3)
}

/// Mean and standard deviation.
fn moments(x: &Tensor) -> (f64, f64) {
    let values: Vec<f64> = x.to_vec::<f32>().unwrap().into_iter().map(f64::from).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
    (mean, variance.sqrt())
}

fn near(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() < tolerance, "got {got}, expected {want}");
}

#[test]
fn truncated_normals_have_their_spread() {
    let x = random::truncated_normal(&key(), 1, [COUNT]);
    let (mean, deviation) = moments(&x);
    near(mean, 0.0, 0.02);
    near(deviation, 0.879_625_66, 0.01);
    assert!(x.to_vec::<f32>().unwrap().iter().all(|x| x.abs() <= 2.0));
}

#[test]
fn bernoulli_is_as_likely_as_told() {
    let p = Tensor::from_vec([0.0f32, 0.3, 1.0], [3]);
    let hits = random::bernoulli(&key(), 2, [COUNT, 3], &p).cast(addax_tensor::DType::F32).mean(0);
    let hits = hits.to_vec::<f32>().unwrap();
    assert_eq!((hits[0], hits[2]), (0.0, 1.0));
    near(hits[1].into(), 0.3, 0.015);
}

#[test]
fn whole_numbers_fill_their_range() {
    let x = random::randint(&key(), 3, [COUNT], -3, 4).to_vec::<i32>().unwrap();
    let mut counts = [0; 7];
    x.iter().for_each(|x| counts[(x + 3) as usize] += 1);
    counts.iter().for_each(|&n| near(f64::from(n), COUNT as f64 / 7.0, 400.0));
    let wide = random::randint(&key(), 3, [100], i32::MIN, i32::MAX).to_vec::<i32>().unwrap();
    assert!(wide.iter().any(|&x| x < -1_000_000_000) && wide.iter().any(|&x| x > 1_000_000_000));
    let error = random::randint(&key(), 3, [1], 4, 4).check().unwrap_err().to_string();
    assert!(error.contains("from 4 to before 4"), "{error}");
}

#[test]
fn categories_follow_their_logits() {
    let p = [0.1f64, 0.6, 0.3];
    let logits = Tensor::from_vec(p.map(|p| p.ln() as f32 + 5.0), [1, 3]);
    let drawn = random::categorical(&key(), 4, &logits, COUNT);
    assert_eq!(drawn.shape().unwrap().dims(), [1, COUNT]);
    let drawn = drawn.to_vec::<i32>().unwrap();
    for (class, p) in p.into_iter().enumerate() {
        let share = drawn.iter().filter(|&&c| c == class as i32).count() as f64 / COUNT as f64;
        near(share, p, 0.015);
    }
}

#[test]
fn permutations_have_every_number_once() {
    let one = random::permutation(&key(), 5, 1000).to_vec::<i32>().unwrap();
    let other = random::permutation(&key(), 6, 1000).to_vec::<i32>().unwrap();
    let mut sorted = one.clone();
    sorted.sort_unstable();
    assert!(sorted.iter().copied().eq(0..1000));
    assert!(one != sorted && one != other);
}

#[test]
fn gammas_have_their_moments() {
    for alpha in [0.3, 0.9, 1.0, 4.5] {
        let x = random::gamma(&key(), 7, [COUNT], alpha);
        let (mean, deviation) = moments(&x);
        // Four standard errors of the mean.
        near(mean, alpha, 4.0 * (alpha / COUNT as f64).sqrt());
        near(deviation, alpha.sqrt(), 0.06 * alpha.sqrt());
        assert!(x.to_vec::<f32>().unwrap().iter().all(|&x| x >= 0.0));
    }
}
