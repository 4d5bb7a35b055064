//! The table of kernels: which texts there are, in which permutations, and how much work a workgroup does.
//!
//! A *kernel* is a file of `kernels/` with an engine chosen by defines; it has *variants* (which operation, which element
//! type) and optional *flags* (which operands are read as vectors). Parameters and holes are described at the head of
//! each WGSL file.

/// A word defined for the preprocessor, and its value.
pub type Define = (&'static str, &'static str);

/// One of a kernel's operations or element types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// Name, such as `sum_f32`; empty where a kernel does one thing only.
    pub name: &'static str,
    /// What it defines.
    pub defines: &'static [Define],
}

/// How much of the result one workgroup computes: `count` blocks of `rows` by `cols`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covers {
    /// Rows of a block.
    pub rows: u32,
    /// Columns of a block.
    pub cols: u32,
    /// Blocks per workgroup.
    pub count: u32,
}

/// A kernel of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    /// Name, unique in the table, such as `matmul_64`.
    pub name: &'static str,
    /// File in `kernels/`, without `.wgsl`.
    pub file: &'static str,
    /// Defines that choose the engine.
    pub defines: &'static [Define],
    /// Operations; at least one.
    pub variants: &'static [Variant],
    /// Words that may be defined in addition, in any combination.
    pub flags: &'static [&'static str],
    /// The kernel's own parameters in order, each a `u32`; those of the holes follow them.
    pub params: &'static [&'static str],
    /// Threads of a workgroup, all along x.
    pub threads: u32,
    /// Results a workgroup computes.
    pub covers: Covers,
    /// Bytes of workgroup memory, at most.
    pub shared_bytes: u32,
}

/// Most workgroups along one dimension of a dispatch.
pub const MAX_GROUPS: u32 = 65_535;

/// A dispatch `[x, y, 1]` of at least `groups` workgroups, or `None` if they are too many for two dimensions.
///
/// Kernels count `y * x_size + x` and leave out what is past the end.
///
/// ```
/// use addax_shaders::kernels::fold;
/// assert_eq!(fold(10), Some([10, 1, 1]));
/// assert_eq!(fold(65_536), Some([32_768, 2, 1]));
/// assert_eq!(fold(u64::MAX), None);
/// ```
pub fn fold(groups: u64) -> Option<[u32; 3]> {
    let y = groups.div_ceil(u64::from(MAX_GROUPS)).max(1);
    let x = groups.div_ceil(y);
    match (u32::try_from(x), u32::try_from(y)) {
        (Ok(x), Ok(y)) if y <= MAX_GROUPS => Some([x, y, 1]),
        _ => None,
    }
}

impl Kernel {
    /// The dispatch for a result of `rows` by `cols`, `layers` times (batches, groups, splits); `None` if it is too big.
    ///
    /// Kernels whose results are a plain list are asked for `(length, 1, 1)`.
    pub fn groups(&self, rows: u64, cols: u64, layers: u64) -> Option<[u32; 3]> {
        let Covers { rows: r, cols: c, count } = self.covers;
        let blocks = rows.div_ceil(u64::from(r)).checked_mul(cols.div_ceil(u64::from(c)))?.checked_mul(layers)?;
        fold(blocks.div_ceil(u64::from(count)))
    }

    /// The variant of that name.
    pub fn variant(&self, name: &str) -> Option<&'static Variant> {
        self.variants.iter().find(|v| v.name == name)
    }
}

/// The kernel of that name.
pub fn kernel(name: &str) -> Option<&'static Kernel> {
    KERNELS.iter().find(|k| k.name == name)
}

const ONE: &[Variant] = &[Variant { name: "", defines: &[] }];

const MATMUL: Kernel = Kernel {
    name: "",
    file: "matmul",
    defines: &[],
    variants: ONE,
    flags: &["A_VEC4", "A_BY_M", "B_VEC4", "B_BY_K", "C_VEC4"],
    params: &["m", "n", "k", "batches", "splits", "chunk"],
    threads: 256,
    covers: TILE_64,
    shared_bytes: 16_384,
};

const CONV2D: Kernel = Kernel {
    name: "",
    file: "conv2d",
    variants: &[
        Variant { name: "forward", defines: &[("FORWARD", "")] },
        Variant { name: "input_grad", defines: &[("INPUT_GRAD", "")] },
        Variant { name: "filter_grad", defines: &[("FILTER_GRAD", "")] },
    ],
    flags: &["A_VEC4", "B_VEC4", "C_VEC4"],
    params: &[
        "batch",
        "height",
        "width",
        "cin",
        "out_height",
        "out_width",
        "cout",
        "groups",
        "kernel_height",
        "kernel_width",
        "stride_y",
        "stride_x",
        "dilation_y",
        "dilation_x",
        "pad_top",
        "pad_left",
        "splits",
        "chunk",
    ],
    ..MATMUL
};

const TILE_128: Covers = Covers { rows: 128, cols: 128, count: 1 };
const TILE_64: Covers = Covers { rows: 64, cols: 64, count: 1 };
const TILE_32: Covers = Covers { rows: 32, cols: 32, count: 1 };
const BLOCKS_8X4: Covers = Covers { rows: 8, cols: 4, count: 64 };
const STRIP: Covers = Covers { rows: 4, cols: 64, count: 1 };

/// As many single results as threads.
const fn each(threads: u32) -> Covers {
    Covers { rows: 1, cols: 1, count: threads }
}

const DEFINES_128: &[Define] = &[
    ("TILED", ""),
    ("WIDE", ""),
    ("THREADS", "256"),
    ("SIDE", "16u"),
    ("TILE_M", "128u"),
    ("TILE_N", "128u"),
    ("TILE_K", "16u"),
];
const DEFINES_64: &[Define] =
    &[("TILED", ""), ("THREADS", "256"), ("SIDE", "16u"), ("TILE_M", "64u"), ("TILE_N", "64u"), ("TILE_K", "32u")];
const DEFINES_32: &[Define] =
    &[("TILED", ""), ("THREADS", "64"), ("SIDE", "8u"), ("TILE_M", "32u"), ("TILE_N", "32u"), ("TILE_K", "32u")];
const DEFINES_DIRECT: &[Define] = &[("DIRECT", ""), ("THREADS", "64")];
const DEFINES_POINT: &[Define] = &[("POINT", ""), ("THREADS", "64")];
const DEFINES_SKINNY: &[Define] = &[("SKINNY", ""), ("THREADS", "256")];

const REDUCE: Kernel = Kernel {
    name: "",
    file: "reduce",
    defines: &[],
    variants: REDUCTIONS,
    flags: &["PARTIALS"],
    params: &["outer", "reduced", "inner", "splits", "chunk"],
    threads: 256,
    covers: each(1),
    shared_bytes: 2048,
};

const ROWS: Kernel = Kernel {
    name: "",
    file: "rows",
    defines: &[],
    variants: ONE,
    flags: &[],
    params: &["rows"],
    threads: 256,
    covers: each(1),
    shared_bytes: 2560,
};

/// Every kernel.
pub const KERNELS: &[Kernel] = &[
    // 8 x 8 numbers per thread: for products big enough to keep every unit of a large GPU busy.
    Kernel { name: "matmul_128", defines: DEFINES_128, covers: TILE_128, ..MATMUL },
    Kernel { name: "matmul_64", defines: DEFINES_64, ..MATMUL },
    Kernel { name: "matmul_32", defines: DEFINES_32, threads: 64, covers: TILE_32, shared_bytes: 8192, ..MATMUL },
    // Up to four rows. For up to four columns, hand over B transposed as A.
    Kernel { name: "matmul_skinny", defines: DEFINES_SKINNY, covers: STRIP, ..MATMUL },
    // Without barriers, for software adapters.
    Kernel {
        name: "matmul_direct",
        defines: DEFINES_DIRECT,
        threads: 64,
        covers: BLOCKS_8X4,
        shared_bytes: 0,
        ..MATMUL
    },
    Kernel {
        name: "matmul_point",
        defines: DEFINES_POINT,
        flags: &[],
        threads: 64,
        covers: each(64),
        shared_bytes: 0,
        ..MATMUL
    },
    Kernel { name: "conv2d_128", defines: DEFINES_128, covers: TILE_128, ..CONV2D },
    Kernel { name: "conv2d_64", defines: DEFINES_64, ..CONV2D },
    Kernel { name: "conv2d_32", defines: DEFINES_32, threads: 64, covers: TILE_32, shared_bytes: 8192, ..CONV2D },
    Kernel {
        name: "conv2d_direct",
        defines: DEFINES_DIRECT,
        threads: 64,
        covers: BLOCKS_8X4,
        shared_bytes: 0,
        ..CONV2D
    },
    // One thread per result: for depthwise convolutions and few channels.
    Kernel {
        name: "conv2d_point",
        defines: DEFINES_POINT,
        flags: &[],
        threads: 64,
        covers: each(64),
        shared_bytes: 0,
        ..CONV2D
    },
    Kernel {
        name: "pool2d",
        file: "pool2d",
        defines: &[("THREADS", "64")],
        variants: &[
            Variant { name: "max", defines: &[("MAX", ""), ("NEEDS_PLACE", "")] },
            Variant { name: "max_gather", defines: &[("MAX_GATHER", ""), ("NEEDS_PLACE", "")] },
            Variant { name: "max_grad", defines: &[("MAX_GRAD", ""), ("NEEDS_PLACE", ""), ("INPUT_SIDE", "")] },
            Variant { name: "average", defines: &[("AVERAGE", "")] },
            Variant { name: "average_grad", defines: &[("AVERAGE_GRAD", ""), ("INPUT_SIDE", "")] },
        ],
        flags: &[],
        params: &[
            "batch",
            "height",
            "width",
            "channels",
            "out_height",
            "out_width",
            "pool_height",
            "pool_width",
            "stride_y",
            "stride_x",
            "pad_top",
            "pad_left",
        ],
        threads: 64,
        covers: each(64),
        shared_bytes: 0,
    },
    // A workgroup per row.
    Kernel { name: "reduce_rows", defines: &[("ROWS", ""), ("THREADS", "256u"), ("LANES", "256u")], ..REDUCE },
    // Rows of some dozens of elements: eight to a workgroup.
    Kernel {
        name: "reduce_rows_32",
        defines: &[("ROWS", ""), ("THREADS", "256u"), ("LANES", "32u")],
        covers: each(8),
        ..REDUCE
    },
    // A thread per result: where results are neighbours in memory, or rows short.
    Kernel {
        name: "reduce_columns",
        defines: &[("THREADS", "64u")],
        threads: 64,
        covers: each(64),
        shared_bytes: 0,
        ..REDUCE
    },
    // A workgroup per row.
    Kernel { name: "rows", defines: &[("THREADS", "256u"), ("LANES", "256u"), ("HEADS", "16u")], ..ROWS },
    // Rows of some dozens of elements: eight to a workgroup.
    Kernel {
        name: "rows_32",
        defines: &[("THREADS", "256u"), ("LANES", "32u"), ("HEADS", "8u")],
        covers: each(8),
        ..ROWS
    },
    // A thread per row: where rows are short, or barriers slow.
    Kernel {
        name: "rows_1",
        defines: &[("THREADS", "64u"), ("LANES", "1u")],
        threads: 64,
        covers: each(64),
        shared_bytes: 0,
        ..ROWS
    },
    Kernel { name: "map", file: "map", ..MAP },
    Kernel {
        name: "map_2",
        defines: &[("THREADS", "64u"), ("PACK", "2u")],
        covers: Covers { rows: 2, cols: 1, count: 64 },
        ..MAP
    },
    Kernel {
        name: "map_4",
        defines: &[("THREADS", "64u"), ("PACK", "4u")],
        covers: Covers { rows: 4, cols: 1, count: 64 },
        ..MAP
    },
];

const MAP: Kernel = Kernel {
    name: "",
    file: "map",
    defines: &[("THREADS", "64u"), ("PACK", "1u")],
    variants: ONE,
    flags: &[],
    params: &["count"],
    threads: 64,
    covers: each(64),
    shared_bytes: 0,
};

macro_rules! reductions {
    ($($name:literal: $element:literal $($define:literal)*;)*) => {
        &[$(Variant { name: $name, defines: &[("T", $element), $(($define, "")),*] }),*]
    };
}

const REDUCTIONS: &[Variant] = reductions! {
    "sum_f32": "f32" "FLOAT" "SUM";
    "sum_i32": "i32" "SUM";
    "sum_u32": "u32" "SUM";
    "prod_f32": "f32" "FLOAT" "PROD";
    "prod_i32": "i32" "PROD";
    "prod_u32": "u32" "PROD";
    "max_f32": "f32" "FLOAT" "ORDERED" "GREATEST";
    "max_i32": "i32" "ORDERED" "GREATEST";
    "max_u32": "u32" "ORDERED" "GREATEST";
    "min_f32": "f32" "FLOAT" "ORDERED";
    "min_i32": "i32" "ORDERED";
    "min_u32": "u32" "ORDERED";
    "argmax_f32": "f32" "FLOAT" "ORDERED" "ARG" "GREATEST";
    "argmax_i32": "i32" "ORDERED" "ARG" "GREATEST";
    "argmax_u32": "u32" "ORDERED" "ARG" "GREATEST";
    "argmin_f32": "f32" "FLOAT" "ORDERED" "ARG";
    "argmin_i32": "i32" "ORDERED" "ARG";
    "argmin_u32": "u32" "ORDERED" "ARG";
    "any": "u32" "ANY";
    "all": "u32" "ALL";
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_unique() {
        for (i, k) in KERNELS.iter().enumerate() {
            assert!(KERNELS.iter().skip(i + 1).all(|other| other.name != k.name), "{} twice", k.name);
            assert_eq!(kernel(k.name), Some(k));
            for (j, v) in k.variants.iter().enumerate() {
                assert!(k.variants.iter().skip(j + 1).all(|other| other.name != v.name), "{} {} twice", k.name, v.name);
                assert_eq!(k.variant(v.name), Some(v));
            }
        }
    }

    #[test]
    fn all_fit_the_webgpu_baseline() {
        for k in KERNELS {
            assert!(k.threads <= 256 && k.shared_bytes <= 16_384, "{}", k.name);
            assert!(k.params.len() * 4 <= 128, "{} has more parameters than immediates hold", k.name);
        }
    }

    #[test]
    fn dispatches_cover_the_result() {
        let tiled = kernel("matmul_64").unwrap();
        assert_eq!(tiled.groups(65, 64, 3), Some([6, 1, 1]));
        let direct = kernel("matmul_direct").unwrap();
        assert_eq!(direct.groups(16, 128, 2), Some([2, 1, 1]));
        assert_eq!(kernel("map_4").unwrap().groups(257, 1, 1), Some([2, 1, 1]));
        assert_eq!(tiled.groups(u64::MAX, u64::MAX, 1), None);
    }

    proptest! {
        /// No workgroup is missing, none of the dimensions is too long, less than one line is in excess.
        #[test]
        fn folding_covers(groups in 0_u64..=65_535 * 65_535) {
            let [x, y, z] = fold(groups).unwrap();
            let all = u64::from(x) * u64::from(y);
            prop_assert!(all >= groups && all - groups < u64::from(y) && z == 1);
            prop_assert!(x <= MAX_GROUPS && y <= MAX_GROUPS);
        }
    }
}
