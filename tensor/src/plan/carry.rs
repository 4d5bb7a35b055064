//! Where a loop keeps what it hands from step to step.

use super::{Row, emit::Location};

/// The memory of one carry: a row for its value before the first step and one after each step, or two rows in turn where
/// nobody wants the old ones.
pub(super) struct Carry {
    pub buffer: usize,
    /// Elements of a row.
    pub numel: u64,
    pub rows: usize,
    pub steps: usize,
    /// Whether rows are taken from the last to the first, as a loop does whose stacks are in the order of its steps reversed.
    pub down: bool,
}

impl Carry {
    /// Where the first step finds it.
    pub fn initial(&self) -> Location {
        self.at(if self.down { self.steps } else { 0 })
    }
    /// Where it lies when the loop is done.
    pub fn last(&self) -> Location {
        self.at(if self.down { 0 } else { self.steps % self.rows })
    }
    /// What a step at this depth of loops reads.
    pub fn before(&self, depth: u8) -> Location {
        self.stepped(depth, if self.down { self.steps } else { 0 })
    }
    /// What a step at this depth of loops writes.
    pub fn after(&self, depth: u8) -> Location {
        self.stepped(depth, if self.down { self.steps - 1 } else { 1 })
    }
    /// The stack of its values before (or after) each step, where all rows are kept.
    pub fn stack(&self, before: bool) -> Location {
        self.at(usize::from(before == self.down))
    }

    fn at(&self, row: usize) -> Location {
        Location { buffer: self.buffer, offset: row as u64 * self.numel, rows: Vec::new() }
    }
    fn stepped(&self, depth: u8, start: usize) -> Location {
        let row = Row { depth, stride: self.numel, start: start as u64, down: self.down, modulo: self.rows as u64 };
        Location { rows: vec![row], ..self.at(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The row that a step finds.
    fn row(location: &Location, trip: u64) -> u64 {
        let row = location.rows[0];
        let trip = if row.down { row.modulo - trip % row.modulo } else { trip };
        location.offset / row.stride + (row.start + trip) % row.modulo
    }

    proptest! {
        #[test]
        fn each_step_reads_what_the_one_before_wrote(steps in 1_usize..40, all: bool, reverse: bool) {
            let carry = Carry { buffer: 0, numel: 3, rows: if all { steps + 1 } else { 2 }, steps, down: all && reverse };
            let (before, after) = (carry.before(0), carry.after(0));
            prop_assert_eq!(row(&before, 0) * 3, carry.initial().offset);
            for trip in 0..steps as u64 {
                prop_assert_ne!(row(&before, trip), row(&after, trip));
                if trip + 1 < steps as u64 {
                    prop_assert_eq!(row(&before, trip + 1), row(&after, trip));
                }
                if all {
                    // Stacks are in the order of the sequence, whatever the direction of the loop.
                    let place = if reverse { steps as u64 - 1 - trip } else { trip };
                    prop_assert_eq!(row(&before, trip), carry.stack(true).offset / 3 + place);
                    prop_assert_eq!(row(&after, trip), carry.stack(false).offset / 3 + place);
                }
            }
            prop_assert_eq!(row(&after, steps as u64 - 1) * 3, carry.last().offset);
        }
    }
}
