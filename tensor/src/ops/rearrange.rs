//! Axes by name: splitting, permuting and joining them in one expression.

use super::record;
use crate::{error::Error, graph::Tensor};
use std::{collections::HashMap, panic::Location};

impl Tensor {
    /// Axes named, split, permuted and joined as a pattern says, such as `"b (h k) c -> b c (k h)"`: names in parentheses share an
    /// axis, the first varying slowest. `lengths` gives those of split axes, all but one of each; both sides have the same names.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::arange(6).reshape([6, 1]);
    /// let y = x.rearrange("(a b) c -> b (a c)", &[("b", 3)]);
    /// assert_eq!(y.shape()?.dims(), [3, 2]);
    /// assert_eq!(y.to_vec::<i32>()?, vec![0, 3, 1, 4, 2, 5]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn rearrange(&self, pattern: &str, lengths: &[(&str, usize)]) -> Tensor {
        record(Location::caller(), || {
            let wrong = |what: String| Error::argument(format!("rearrange \"{pattern}\": {what}"));
            let (left, right) =
                pattern.split_once("->").ok_or_else(|| wrong("a pattern has two sides and `->` between".into()))?;
            let groups =
                |side| groups(side).ok_or_else(|| wrong(format!("`{side}` is no list of names, some in parentheses")));
            let (left, right) = (groups(left)?, groups(right)?);
            let (from, to) = (left.concat(), right.concat());
            let (mut here, mut there) = (from.clone(), to.clone());
            here.sort_unstable();
            there.sort_unstable();
            if here != there || here.windows(2).any(|w| w[0] == w[1]) {
                return Err(wrong("both sides have the same names, each once".into()));
            }
            let shape = self.shape()?;
            if left.len() != shape.rank() {
                return Err(wrong(format!("names {} axes, the tensor has shape {shape}", left.len())));
            }
            let mut known: HashMap<&str, usize> = lengths.iter().copied().collect();
            for (group, &n) in left.iter().zip(shape.iter()) {
                let open: Vec<_> = group.iter().filter(|name| !known.contains_key(*name)).collect();
                let given: usize = group.iter().filter_map(|name| known.get(name)).product();
                let misfit =
                    || wrong(format!("`({})` does not fit an axis of {n}; {given} is known of it", group.join(" ")));
                match open.as_slice() {
                    [] if given == n => {}
                    [one] if given > 0 && n.is_multiple_of(given) => {
                        known.insert(one, n / given);
                    }
                    _ => return Err(misfit()),
                }
            }
            let length = |name: &&str| known.get(name).copied().unwrap_or(1);
            let order: Vec<isize> = to
                .iter()
                .filter_map(|name| from.iter().position(|other| other == name))
                .map(|at| at as isize)
                .collect();
            let joined: Vec<usize> = right.iter().map(|group| group.iter().map(length).product()).collect();
            Ok(self.reshape(from.iter().map(length).collect::<Vec<_>>()).permute(order).reshape(joined))
        })
    }
}

/// The names of each axis.
fn groups(side: &str) -> Option<Vec<Vec<&str>>> {
    let mut groups = Vec::new();
    let mut rest = side.trim();
    while !rest.is_empty() {
        let group;
        (group, rest) = match rest.strip_prefix('(') {
            Some(open) => open.split_once(')')?,
            None => rest.split_at(rest.find([' ', '(']).unwrap_or(rest.len())),
        };
        let names: Vec<_> = group.split_whitespace().collect();
        let is_name = |name: &&str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if names.is_empty() || !names.iter().all(is_name) {
            return None;
        }
        groups.push(names);
        rest = rest.trim_start();
    }
    Some(groups)
}
