//! `EarlyStopping` and `ReduceLROnPlateau` against Keras' rules, written here a second time without looking at theirs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_callbacks::{EarlyStopping, Logs, ReduceLROnPlateau, Reduction, Rehearsal, Trainer, logs};
use proptest::{option, prelude::*};

/// Metrics with many ties, some that are missing, some that are no number.
fn metrics() -> impl Strategy<Value = Vec<Option<f64>>> {
    let value = prop_oneof![
        12 => (-8i32..8).prop_map(|i| Some(f64::from(i) / 4.0)),
        4 => (-2.0..2.0f64).prop_map(Some),
        1 => Just(None),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)].prop_map(Some),
    ];
    proptest::collection::vec(value, 0..24)
}

fn epochs(metrics: &[Option<f64>]) -> Vec<Logs> {
    let logs = |m: &Option<f64>| m.map_or_else(|| logs! { "loss" => 0.0 }, |m| logs! { "val_score" => m });
    metrics.iter().map(logs).collect()
}

/// Bits, so that NaN equals itself.
fn bits(x: Option<f64>) -> Option<u64> {
    x.map(f64::to_bits)
}

fn better(max: bool, delta: f64, value: f64, than: Option<f64>) -> bool {
    let Some(than) = than else { return true };
    // Keras turns the sign of min_delta with the direction and always subtracts it.
    let signed = if max { delta.abs() } else { -delta.abs() };
    if max { value - signed > than } else { value - signed < than }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn early_stopping_follows_the_rules(
        metrics in metrics(),
        max: bool,
        delta in prop_oneof![Just(0.0), Just(0.25), Just(-0.25), -1.0..1.0f64],
        patience in 0usize..5,
        baseline in option::of(-2.0..2.0f64),
        restore: bool,
        start in 0usize..6,
    ) {
        let mut early = EarlyStopping::new("val_score")
            .mode(if max { "max" } else { "min" })
            .min_delta(delta)
            .patience(patience)
            .restore_best_weights(restore)
            .start_from_epoch(start);
        if let Some(baseline) = baseline {
            early = early.baseline(baseline);
        }
        let mut training = Rehearsal::new(epochs(&metrics));
        training.run(&mut early).unwrap();

        let (mut wait, mut best, mut best_epoch, mut stopped, mut ran) = (0, None, None, None, 0);
        for (epoch, value) in metrics.iter().enumerate() {
            ran = epoch + 1;
            let Some(value) = *value else { continue };
            if epoch < start {
                continue;
            }
            wait += 1;
            if better(max, delta, value, best) {
                (best, best_epoch) = (Some(value), Some(epoch));
                if baseline.is_none_or(|b| better(max, delta, value, Some(b))) {
                    wait = 0;
                }
                continue;
            }
            if wait >= patience && epoch > 0 {
                stopped = Some(epoch);
                break;
            }
        }
        prop_assert_eq!((early.wait, bits(early.best), early.best_epoch), (wait, bits(best), best_epoch));
        prop_assert_eq!((early.stopped_epoch, training.history().epochs().len()), (stopped, ran));
        let kept = if restore { best_epoch } else { None }.or(ran.checked_sub(1));
        let weights = training.weights().unwrap();
        let weights = weights.first().map(|(_, w)| w.to_vec::<f32>().unwrap()[0] as usize);
        prop_assert_eq!(weights, kept);
    }

    #[test]
    fn reduce_lr_on_plateau_follows_the_rules(
        metrics in metrics(),
        max: bool,
        delta in prop_oneof![Just(0.0), Just(0.25), 0.0..1.0f64],
        factor in prop_oneof![Just(0.0), Just(0.1), Just(0.5), 0.0..1.0f64],
        patience in 0usize..5,
        cooldown in 0usize..4,
        min_lr in prop_oneof![Just(0.0), Just(0.1), 0.0..1.0f64],
    ) {
        let mut reduce = ReduceLROnPlateau::new("val_score")
            .mode(if max { "max" } else { "min" })
            .min_delta(delta)
            .factor(factor)
            .patience(patience)
            .cooldown(cooldown)
            .min_lr(min_lr);
        let mut training = Rehearsal::new(epochs(&metrics)).with_learning_rate(0.7);
        training.run(&mut reduce).unwrap();

        let (mut wait, mut cooling, mut best, mut rate) = (0, 0, None, 0.7f32);
        let (mut rates, mut reductions) = (Vec::new(), Vec::new());
        for (epoch, value) in metrics.iter().enumerate() {
            rates.push(f64::from(rate));
            let Some(value) = *value else { continue };
            if cooling > 0 {
                cooling -= 1;
                wait = 0;
            }
            if better(max, delta, value, best) {
                best = Some(value);
                wait = 0;
                continue;
            }
            if cooling > 0 {
                continue;
            }
            wait += 1;
            if wait < patience || rate <= min_lr as f32 {
                continue;
            }
            let to = f64::max(f64::from(rate) * factor, min_lr);
            reductions.push(Reduction { epoch, from: f64::from(rate), to });
            rate = to as f32;
            (cooling, wait) = (cooldown, 0);
        }
        prop_assert_eq!(bits(reduce.best), bits(best));
        prop_assert_eq!((reduce.wait, reduce.cooldown_counter), (wait, cooling));
        prop_assert_eq!(&reduce.reductions, &reductions);
        prop_assert_eq!(training.learning_rate().unwrap(), f64::from(rate));
        if !metrics.is_empty() {
            prop_assert_eq!(training.history().get("learning_rate").unwrap(), rates);
        }
    }
}
