//! Orthonormal matrices.

/// The matrix `[rows, cols]` with orthonormal columns (rows, if there are more columns) that Keras makes of normal draws:
/// the draws are read as a matrix `[max, min]`, whose orthogonal factor has the signs that make the triangular one positive.
pub(crate) fn orthogonal(normal: &[f64], rows: usize, cols: usize) -> Vec<f64> {
    let (tall, thin) = (rows.max(cols), rows.min(cols));
    // Columns one after the other.
    let mut columns: Vec<Vec<f64>> =
        (0..thin).map(|c| normal.iter().skip(c).step_by(thin.max(1)).copied().take(tall).collect()).collect();
    for at in 0..columns.len() {
        let (done, rest) = columns.split_at_mut(at);
        let Some(column) = rest.first_mut() else { break };
        // Once more after the first pass: what rounding left of the earlier directions is taken out too.
        for _ in 0..2 {
            for earlier in done.iter() {
                let along: f64 = earlier.iter().zip(column.iter()).map(|(a, b)| a * b).sum();
                column.iter_mut().zip(earlier).for_each(|(x, e)| *x -= along * e);
            }
        }
        let length = column.iter().map(|x| x * x).sum::<f64>().sqrt();
        column.iter_mut().for_each(|x| *x /= length.max(f64::MIN_POSITIVE));
    }
    match rows < cols {
        true => columns.concat(),
        false => (0..rows).flat_map(|r| columns.iter().map(move |c| c.get(r).copied().unwrap_or(0.0))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::philox::Philox;
    use proptest::prelude::*;

    proptest! {
        /// The shorter side is orthonormal, whatever the shape.
        #[test]
        fn the_short_side_is_orthonormal(rows in 1usize..9, cols in 1usize..9, seed in 0u64..1000) {
            let mut draw = Philox::new(seed);
            let normal: Vec<f64> = (0..rows * cols).map(|_| draw.normal()).collect();
            let q = orthogonal(&normal, rows, cols);
            let short = rows.min(cols);
            let at = |vector: usize, i: usize| if rows < cols { q[vector * cols + i] } else { q[i * cols + vector] };
            for a in 0..short {
                for b in 0..short {
                    let dot: f64 = (0..rows.max(cols)).map(|i| at(a, i) * at(b, i)).sum();
                    prop_assert!((dot - f64::from(u8::from(a == b))).abs() < 1e-9);
                }
            }
        }
    }
}
