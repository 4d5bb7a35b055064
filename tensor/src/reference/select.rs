//! One of two elements by a condition.

use super::Ranged;
use crate::graph::Meta;

/// `a` where the condition holds, else `b`.
pub fn apply(condition: &Ranged, a: &Ranged, b: &Ranged, meta: Meta) -> Ranged {
    Ranged::build(meta, |i| if condition.value[i] != 0.0 { a.at(i) } else { b.at(i) })
}
