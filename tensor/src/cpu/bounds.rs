//! Proves, before anything runs, that an access stays inside its argument.

use crate::plan::expr::{Access, Affine};

/// Whether every element that `access` can touch is one of the argument's. `Ok(false)` means that guards are needed for it in
/// a way that could not be followed; an error, that an unguarded access leaves the argument.
pub(super) fn check(access: &Access, shape: &[usize], elements: u64) -> Result<bool, String> {
    if access.index.strides.len() != shape.len() {
        return Err(format!("an index with {} strides in a space of {} axes", access.index.strides.len(), shape.len()));
    }
    let (low, high) = reach(access, shape);
    if low > high || (low >= 0 && high < i128::from(elements)) {
        return Ok(true);
    }
    if access.guards.is_empty() {
        return Err(format!("elements {low}..={high} are used, but it has {elements}"));
    }
    Ok(false)
}

/// Smallest and largest element; the first is larger than the second where guards exclude all.
fn reach(access: &Access, shape: &[usize]) -> (i128, i128) {
    let mut ranges: Vec<(i128, i128)> = shape.iter().map(|&n| (0, n as i128 - 1)).collect();
    for guard in &access.guards {
        if let Some((axis, stride)) = only_axis(&guard.index) {
            let (low, high) = within(i128::from(guard.index.offset), stride, i128::from(guard.len));
            ranges[axis] = (ranges[axis].0.max(low), ranges[axis].1.min(high));
            if ranges[axis].0 > ranges[axis].1 {
                return (0, -1);
            }
        }
    }
    let mut left: Vec<i128> = access.index.strides.iter().map(|&s| i128::from(s)).collect();
    let mut total = (i128::from(access.index.offset), i128::from(access.index.offset));
    for guard in access.guards.iter().filter(|guard| only_axis(&guard.index).is_none()) {
        // The guard's index itself appears in the access, times a factor: it moves between 0 and the guard's length.
        if let Some(factor) = factor(&left, &guard.index) {
            let ends = [0, i128::from(guard.len) - 1].map(|value| factor * (value - i128::from(guard.index.offset)));
            total = (total.0 + ends[0].min(ends[1]), total.1 + ends[0].max(ends[1]));
            for (stride, of_guard) in left.iter_mut().zip(&guard.index.strides) {
                *stride = if *of_guard == 0 { *stride } else { 0 };
            }
        }
    }
    for (stride, (low, high)) in left.into_iter().zip(ranges) {
        let ends = [stride * low, stride * high];
        total = (total.0 + ends[0].min(ends[1]), total.1 + ends[0].max(ends[1]));
    }
    total
}

fn only_axis(index: &Affine) -> Option<(usize, i128)> {
    let mut used = index.strides.iter().enumerate().filter(|(_, stride)| **stride != 0);
    match (used.next(), used.next()) {
        (Some((axis, &stride)), None) => Some((axis, i128::from(stride))),
        _ => None,
    }
}

/// The `i` with `0 <= offset + stride · i < len`, as an inclusive range.
fn within(offset: i128, stride: i128, len: i128) -> (i128, i128) {
    if stride > 0 {
        (-offset.div_euclid(stride), (len - 1 - offset).div_euclid(stride))
    } else {
        (-(len - 1 - offset).div_euclid(-stride), offset.div_euclid(-stride))
    }
}

/// The whole number by which the guard's strides are multiplied in `strides`, on the axes that the guard uses.
fn factor(strides: &[i128], index: &Affine) -> Option<i128> {
    let mut found = None;
    for (&stride, &of_guard) in strides.iter().zip(&index.strides).filter(|(_, g)| **g != 0) {
        let of_guard = i128::from(of_guard);
        if stride % of_guard != 0 || found.is_some_and(|f| f != stride / of_guard) {
            return None;
        }
        found = Some(stride / of_guard);
    }
    found
}
