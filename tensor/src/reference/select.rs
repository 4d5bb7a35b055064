//! One of two elements by a condition.

use super::Ranged;
use crate::graph::Meta;

/// `a` where the condition holds, else `b`; either where it is not sure.
pub fn apply(condition: &Ranged, a: &Ranged, b: &Ranged, meta: Meta) -> Ranged {
    Ranged::build(meta, |i| {
        let (taken, left) = if condition.value[i] != 0.0 { (a.at(i), b.at(i)) } else { (b.at(i), a.at(i)) };
        if condition.at(i).is_exact() { taken } else { taken.or(left) }
    })
}
