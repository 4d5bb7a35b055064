//! An order of units that lets go of values early.
//!
//! A trace lists what the first result needs, then what the second one needs beside that: the gradient of the second layer's weights
//! comes after all of the first one's, and what it reads waits for it.

use super::units::Units;

/// Users within so many units come soon enough.
const NEAR: usize = 8;

/// All units, operands first: that of the graph, but what lets go of more than it takes is computed as soon as it can be.
pub fn order(units: &Units) -> Vec<usize> {
    let count = units.list.len();
    let users = units.users();
    let mut waiting: Vec<usize> = units.list.iter().map(|unit| unit.deps.len()).collect();
    let mut done = vec![false; count];
    let mut order = Vec::with_capacity(count);
    let mut stack = Vec::new();
    for now in 0..count {
        stack.push(now);
        while let Some(u) = stack.pop() {
            if std::mem::replace(&mut done[u], true) {
                continue;
            }
            order.push(u);
            for &user in &users[u] {
                waiting[user] -= 1;
            }
            if units.end.binary_search(&u).is_ok() {
                continue;
            }
            let late = |user: &usize| !done[*user] && waiting[*user] == 0 && *user > now + NEAR;
            let (late, rest): (Vec<usize>, Vec<usize>) = users[u].iter().copied().partition(late);
            let Some(&last) = late.iter().max() else { continue };
            let rest = rest.into_iter().filter(|&user| !done[user]).max().unwrap_or(now).max(now);
            let saved = units.list[u].bytes as f64 * last.saturating_sub(rest) as f64;
            let paid: f64 = late.iter().map(|&user| units.list[user].bytes as f64 * (user - now) as f64).sum();
            if saved > paid {
                stack.extend(late.into_iter().rev());
            }
        }
    }
    order
}
