//! The transforms of Winograd's algorithm for four results of three taps at a time. One of the few modules with `unsafe`.
//!
//! Four results of a filter of three taps are the product of two polynomials, and a product of polynomials is known by its values at six
//! points: `y = Aᵀ[(G g) ⊙ (B d)]`, with six multiplications instead of twelve; in both directions of an image, 36 instead of 144.
//! The points are 0, ±√2, ±√½ and infinity. (The usual 0, ±1, ±2 round twice as badly: their powers are farther apart.) The
//! gradient of the filter is the same form read the other way: `g' = Gᵀ[(B d) ⊙ (A y')]`.
//!
//! Everything here goes over runs of channels, so each matrix is applied to whole vectors.
//!
//! Safety argument: [`Pass::run`] checks every element that it will touch against the windows, and code of an instruction set is
//! only called after [`isa`] found it.

#[cfg(target_arch = "x86_64")]
use super::super::super::simd::{Isa, isa};
use super::super::super::{
    memory::Mem,
    vector::{Four, Vector},
};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};
use std::f32::consts::{FRAC_1_SQRT_2 as HALF, SQRT_2 as ROOT};

/// Elements of a run are a multiple of this: the widest vector.
pub(super) const LANES: usize = 16;

/// A matrix to be applied to `FROM` rows of vectors.
pub(super) trait Matrix<const FROM: usize, const TO: usize> {
    /// # Safety
    /// The machine has the instructions of `V`.
    unsafe fn apply<V: Vector>(rows: [V; FROM]) -> [V; TO];
}

/// `B`: six elements of an image to their values at the points.
pub(super) struct Image;
/// `Aᵀ`: values of the result at the points to four results.
pub(super) struct Result;
/// `G`: three taps to their values at the points.
pub(super) struct Taps;
/// `A`: four elements of the result's gradient to their values at the points.
pub(super) struct ResultGrad;
/// `Gᵀ`: values of the filter's gradient at the points to three taps.
pub(super) struct TapsGrad;

impl Matrix<6, 6> for Image {
    #[inline(always)]
    unsafe fn apply<V: Vector>([d0, d1, d2, d3, d4, d5]: [V; 6]) -> [V; 6] {
        // SAFETY: the caller's.
        unsafe {
            let (zero, root, half) = (V::splat(0.0), V::splat(ROOT), V::splat(HALF));
            let even = [d4.add_product(d2, V::splat(-0.5)), d4.add_product(d2, V::splat(-2.0))];
            let odd = [
                zero.add_product(d3, root).sub(zero.add_product(d1, half)),
                zero.add_product(d3, half).sub(zero.add_product(d1, root)),
            ];
            [
                d0.add_product(d2, V::splat(-2.5)).add(d4),
                even[0].add(odd[0]),
                even[0].sub(odd[0]),
                even[1].add(odd[1]),
                even[1].sub(odd[1]),
                d1.add_product(d3, V::splat(-2.5)).add(d5),
            ]
        }
    }
}

impl Matrix<6, 4> for Result {
    #[inline(always)]
    unsafe fn apply<V: Vector>([m0, m1, m2, m3, m4, m5]: [V; 6]) -> [V; 4] {
        // SAFETY: the caller's.
        unsafe {
            let (zero, root, half) = (V::splat(0.0), V::splat(ROOT), V::splat(HALF));
            let (even, odd) = ([m1.add(m2), m3.add(m4)], [m1.sub(m2), m3.sub(m4)]);
            [
                m0.add(even[0]).add(even[1]),
                zero.add_product(odd[0], root).add_product(odd[1], half),
                zero.add_product(even[0], V::splat(2.0)).add_product(even[1], V::splat(0.5)),
                m5.add_product(odd[0], V::splat(2.0 * ROOT)).add_product(odd[1], V::splat(0.5 * HALF)),
            ]
        }
    }
}

impl Matrix<3, 6> for Taps {
    #[inline(always)]
    unsafe fn apply<V: Vector>([g0, g1, g2]: [V; 3]) -> [V; 6] {
        // SAFETY: the caller's.
        unsafe {
            let zero = V::splat(0.0);
            let even = [
                zero.add_product(g0, V::splat(1.0 / 6.0)).add_product(g2, V::splat(1.0 / 3.0)),
                zero.add_product(g0, V::splat(-2.0 / 3.0)).add_product(g2, V::splat(-1.0 / 3.0)),
            ];
            let odd = [zero.add_product(g1, V::splat(ROOT / 6.0)), zero.add_product(g1, V::splat(-ROOT / 3.0))];
            [g0, even[0].add(odd[0]), even[0].sub(odd[0]), even[1].add(odd[1]), even[1].sub(odd[1]), g2]
        }
    }
}

impl Matrix<4, 6> for ResultGrad {
    #[inline(always)]
    unsafe fn apply<V: Vector>([y0, y1, y2, y3]: [V; 4]) -> [V; 6] {
        // SAFETY: the caller's.
        unsafe {
            let (zero, root, half) = (V::splat(0.0), V::splat(ROOT), V::splat(HALF));
            let even = [y0.add_product(y2, V::splat(2.0)), y0.add_product(y2, V::splat(0.5))];
            let odd = [
                zero.add_product(y1, root).add_product(y3, V::splat(2.0 * ROOT)),
                zero.add_product(y1, half).add_product(y3, V::splat(0.5 * HALF)),
            ];
            [y0, even[0].add(odd[0]), even[0].sub(odd[0]), even[1].add(odd[1]), even[1].sub(odd[1]), y3]
        }
    }
}

impl Matrix<6, 3> for TapsGrad {
    #[inline(always)]
    unsafe fn apply<V: Vector>([m0, m1, m2, m3, m4, m5]: [V; 6]) -> [V; 3] {
        // SAFETY: the caller's.
        unsafe {
            let zero = V::splat(0.0);
            let (even, odd) = ([m1.add(m2), m3.add(m4)], [m1.sub(m2), m3.sub(m4)]);
            [
                m0.add_product(even[0], V::splat(1.0 / 6.0)).add_product(even[1], V::splat(-2.0 / 3.0)),
                zero.add_product(odd[0], V::splat(ROOT / 6.0)).add_product(odd[1], V::splat(-ROOT / 3.0)),
                m5.add_product(even[0].sub(even[1]), V::splat(1.0 / 3.0)),
            ]
        }
    }
}

/// Rows of runs that a matrix turns into other rows of runs.
pub(super) struct Pass<'a, const FROM: usize, const TO: usize> {
    /// First element of each row.
    pub from: [Mem<'a>; FROM],
    /// Elements from run to run of a row.
    pub from_step: usize,
    /// First element of each row of the result.
    pub to: [Mem<'a>; TO],
    /// Elements from run to run of the result.
    pub to_step: usize,
    /// Runs of a row.
    pub count: usize,
    /// Elements of a run, a multiple of [`LANES`].
    pub run: usize,
}

impl<const FROM: usize, const TO: usize> Pass<'_, FROM, TO> {
    /// Applies a matrix. Does nothing if it would leave its windows, which compiled kernels never meet.
    pub(super) fn run<M: Matrix<FROM, TO>>(&self) {
        if self.count == 0 || self.run == 0 {
            return;
        }
        let holds = |window: &Mem<'_>, step: usize| (self.count - 1) * step + self.run <= window.count::<f32>();
        let fits = self.run.is_multiple_of(LANES)
            && self.from.iter().all(|window| holds(window, self.from_step))
            && self.to.iter().all(|window| holds(window, self.to_step));
        debug_assert!(fits, "a transform leaves its windows");
        if !fits {
            return;
        }
        #[cfg(target_arch = "x86_64")]
        match isa() {
            // SAFETY: every element is inside its window, and `isa` found the instructions; for the others, too.
            Isa::Avx512 => return unsafe { avx512::<M, FROM, TO>(self) },
            // SAFETY: as above.
            Isa::Avx2 => return unsafe { avx2::<M, FROM, TO>(self) },
            Isa::Base => {}
        }
        // SAFETY: as above; every machine has these.
        unsafe { runs::<M, Four, FROM, TO>(self) }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn avx512<M: Matrix<FROM, TO>, const FROM: usize, const TO: usize>(pass: &Pass<'_, FROM, TO>) {
    // SAFETY: the caller's.
    unsafe { runs::<M, __m512, FROM, TO>(pass) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<M: Matrix<FROM, TO>, const FROM: usize, const TO: usize>(pass: &Pass<'_, FROM, TO>) {
    // SAFETY: the caller's.
    unsafe { runs::<M, __m256, FROM, TO>(pass) }
}

#[inline(always)]
unsafe fn runs<M: Matrix<FROM, TO>, V: Vector, const FROM: usize, const TO: usize>(pass: &Pass<'_, FROM, TO>) {
    let from = pass.from.map(|window| window.pointer::<f32>().cast_const());
    let to = pass.to.map(|window| window.pointer::<f32>());
    for run in 0..pass.count {
        let (read, write) = (run * pass.from_step, run * pass.to_step);
        let mut at = 0;
        while at < pass.run {
            // SAFETY: the caller's: all of these are inside the windows, as the run is a multiple of every vector.
            unsafe {
                let rows: [V; FROM] = std::array::from_fn(|i| V::load(from[i].add(read + at)));
                for (to, row) in to.iter().zip(M::apply(rows)) {
                    row.write(to.add(write + at));
                }
            }
            at += V::LANES;
        }
    }
}
