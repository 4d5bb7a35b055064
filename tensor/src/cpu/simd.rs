//! Loops compiled for several instruction sets, one of which is chosen at run time. One of the few modules with `unsafe`.
//!
//! Safety argument: a function compiled for an instruction set is only called after [`isa`] found it on this machine.

use std::sync::OnceLock;

/// Instruction sets that loops are compiled for.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isa {
    /// What the target always has: SSE2, NEON, or none.
    Base,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512 as on servers since Skylake and on AMD since Zen 4.
    Avx512,
}

/// The widest instruction set of this machine, or a narrower one if `ADDAX_CPU_ISA` says `avx2` or `base`: for tests.
pub(super) fn isa() -> Isa {
    static ISA: OnceLock<Isa> = OnceLock::new();
    *ISA.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
            let wide = wide && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl");
            let wanted = crate::platform::env("ADDAX_CPU_ISA").unwrap_or_default();
            if avx2 && wide && wanted != "avx2" && wanted != "base" {
                return Isa::Avx512;
            }
            if avx2 && wanted != "base" {
                return Isa::Avx2;
            }
        }
        Isa::Base
    })
}

/// Defines functions whose bodies are compiled once per instruction set. What they call must be `#[inline(always)]`.
macro_rules! vectorised {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::cpu::simd::{Isa, isa};
                #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                match isa() {
                    // SAFETY: `isa` found these instructions.
                    Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    Isa::Base => {}
                }
            }
            body($($arg),*)
        }
    )*};
}
pub(super) use vectorised;
