// One workgroup computes a TILE_M x TILE_N tile of C through workgroup memory, SIDE x SIDE threads, TILE_K of k at a time.
// A thread owns WIDE x WIDE quads: 4 x 4 numbers, or 8 x 8 with WIDE = 2.

const QUADS_M: u32 = TILE_M / 4u;
const QUADS_N: u32 = TILE_N / 4u;
const QUADS_K: u32 = TILE_K / 4u;
const A_BLOCKS: u32 = QUADS_M * QUADS_K;
const BLOCKS: u32 = A_BLOCKS + QUADS_N * QUADS_K;

// a_tile[k][quad of rows], b_tile[k][quad of columns]. A quad's place is permuted by its quad of k, so that threads
// which write neighbours along k hit different memory banks.
var<workgroup> a_tile: array<vec4<f32>, QUADS_M * TILE_K>;
var<workgroup> b_tile: array<vec4<f32>, QUADS_N * TILE_K>;

fn fill_tiles(place: Place, row: u32, col: u32, k: u32, lane: u32) {
    for (var i = lane; i < BLOCKS; i += SIDE * SIDE) {
        if (i < A_BLOCKS) {
#ifdef A_BY_M
            let quad = i % QUADS_M;
            let kq = i / QUADS_M;
#else
            let quad = i / QUADS_K;
            let kq = i % QUADS_K;
#endif
            let block = a_block(place.batch, row + quad * 4u, k + kq * 4u, place.k_end);
            let at = kq * 4u * QUADS_M + (quad ^ (kq & 7u));
            a_tile[at] = block[0];
            a_tile[at + QUADS_M] = block[1];
            a_tile[at + 2u * QUADS_M] = block[2];
            a_tile[at + 3u * QUADS_M] = block[3];
        } else {
            let j = i - A_BLOCKS;
#ifdef B_BY_K
            let quad = j / QUADS_K;
            let kq = j % QUADS_K;
#else
            let quad = j % QUADS_N;
            let kq = j / QUADS_N;
#endif
            let block = b_block(place.batch, k + kq * 4u, col + quad * 4u, place.k_end);
            let at = kq * 4u * QUADS_N + (quad ^ (kq & 7u));
            b_tile[at] = block[0];
            b_tile[at + QUADS_N] = block[1];
            b_tile[at + 2u * QUADS_N] = block[2];
            b_tile[at + 3u * QUADS_N] = block[3];
        }
    }
}

@compute @workgroup_size(THREADS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tiles_n = (gemm_n() + TILE_N - 1u) / TILE_N;
    let tiles = tiles_n * ((gemm_m() + TILE_M - 1u) / TILE_M);
    let index = group.y * groups.x + group.x;
    let z = index / tiles;
    if (z >= gemm_batches() * gemm_splits()) {
        return;
    }
    let place = gemm_place(z);
    let tile = index % tiles;
    let row = tile / tiles_n * TILE_M;
    let col = tile % tiles_n * TILE_N;
    let ty = lane / SIDE;
    let tx = lane % SIDE;
#ifdef WIDE
    var acc0a = vec4<f32>();
    var acc0b = vec4<f32>();
    var acc1a = vec4<f32>();
    var acc1b = vec4<f32>();
    var acc2a = vec4<f32>();
    var acc2b = vec4<f32>();
    var acc3a = vec4<f32>();
    var acc3b = vec4<f32>();
    var acc4a = vec4<f32>();
    var acc4b = vec4<f32>();
    var acc5a = vec4<f32>();
    var acc5b = vec4<f32>();
    var acc6a = vec4<f32>();
    var acc6b = vec4<f32>();
    var acc7a = vec4<f32>();
    var acc7b = vec4<f32>();
#else
    var acc0 = vec4<f32>();
    var acc1 = vec4<f32>();
    var acc2 = vec4<f32>();
    var acc3 = vec4<f32>();
#endif
    for (var k = place.k_start; k < place.k_end; k += TILE_K) {
        fill_tiles(place, row, col, k, lane);
        workgroupBarrier();
        // Blocks past the end of k are zero; whole quads of them are left out.
        let quads = min(QUADS_K, (place.k_end - k + 3u) / 4u);
        for (var kq = 0u; kq < quads; kq += 1u) {
            var at_a = kq * 4u * QUADS_M + (ty ^ (kq & 7u));
            var at_b = kq * 4u * QUADS_N + (tx ^ (kq & 7u));
#ifdef WIDE
            for (var j = 0u; j < 4u; j += 1u) {
                let a = a_tile[at_a];
                let c = a_tile[at_a + SIDE];
                let b = b_tile[at_b];
                let d = b_tile[at_b + SIDE];
                acc0a = fma(vec4<f32>(a.x), b, acc0a);
                acc0b = fma(vec4<f32>(a.x), d, acc0b);
                acc1a = fma(vec4<f32>(a.y), b, acc1a);
                acc1b = fma(vec4<f32>(a.y), d, acc1b);
                acc2a = fma(vec4<f32>(a.z), b, acc2a);
                acc2b = fma(vec4<f32>(a.z), d, acc2b);
                acc3a = fma(vec4<f32>(a.w), b, acc3a);
                acc3b = fma(vec4<f32>(a.w), d, acc3b);
                acc4a = fma(vec4<f32>(c.x), b, acc4a);
                acc4b = fma(vec4<f32>(c.x), d, acc4b);
                acc5a = fma(vec4<f32>(c.y), b, acc5a);
                acc5b = fma(vec4<f32>(c.y), d, acc5b);
                acc6a = fma(vec4<f32>(c.z), b, acc6a);
                acc6b = fma(vec4<f32>(c.z), d, acc6b);
                acc7a = fma(vec4<f32>(c.w), b, acc7a);
                acc7b = fma(vec4<f32>(c.w), d, acc7b);
                at_a += QUADS_M;
                at_b += QUADS_N;
            }
#else
            let a0 = a_tile[at_a];
            let b0 = b_tile[at_b];
            acc0 = fma(vec4<f32>(a0.x), b0, acc0);
            acc1 = fma(vec4<f32>(a0.y), b0, acc1);
            acc2 = fma(vec4<f32>(a0.z), b0, acc2);
            acc3 = fma(vec4<f32>(a0.w), b0, acc3);
            let a1 = a_tile[at_a + QUADS_M];
            let b1 = b_tile[at_b + QUADS_N];
            acc0 = fma(vec4<f32>(a1.x), b1, acc0);
            acc1 = fma(vec4<f32>(a1.y), b1, acc1);
            acc2 = fma(vec4<f32>(a1.z), b1, acc2);
            acc3 = fma(vec4<f32>(a1.w), b1, acc3);
            let a2 = a_tile[at_a + 2u * QUADS_M];
            let b2 = b_tile[at_b + 2u * QUADS_N];
            acc0 = fma(vec4<f32>(a2.x), b2, acc0);
            acc1 = fma(vec4<f32>(a2.y), b2, acc1);
            acc2 = fma(vec4<f32>(a2.z), b2, acc2);
            acc3 = fma(vec4<f32>(a2.w), b2, acc3);
            let a3 = a_tile[at_a + 3u * QUADS_M];
            let b3 = b_tile[at_b + 3u * QUADS_N];
            acc0 = fma(vec4<f32>(a3.x), b3, acc0);
            acc1 = fma(vec4<f32>(a3.y), b3, acc1);
            acc2 = fma(vec4<f32>(a3.z), b3, acc2);
            acc3 = fma(vec4<f32>(a3.w), b3, acc3);
#endif
        }
        workgroupBarrier();
    }
    let first = row + ty * 4u;
    let left = col + tx * 4u;
#ifdef WIDE
    c_row(place.batch, place.split, first, left, acc0a);
    c_row(place.batch, place.split, first, left + 4u * SIDE, acc0b);
    c_row(place.batch, place.split, first + 1u, left, acc1a);
    c_row(place.batch, place.split, first + 1u, left + 4u * SIDE, acc1b);
    c_row(place.batch, place.split, first + 2u, left, acc2a);
    c_row(place.batch, place.split, first + 2u, left + 4u * SIDE, acc2b);
    c_row(place.batch, place.split, first + 3u, left, acc3a);
    c_row(place.batch, place.split, first + 3u, left + 4u * SIDE, acc3b);
    c_row(place.batch, place.split, first + 4u * SIDE, left, acc4a);
    c_row(place.batch, place.split, first + 4u * SIDE, left + 4u * SIDE, acc4b);
    c_row(place.batch, place.split, first + 4u * SIDE + 1u, left, acc5a);
    c_row(place.batch, place.split, first + 4u * SIDE + 1u, left + 4u * SIDE, acc5b);
    c_row(place.batch, place.split, first + 4u * SIDE + 2u, left, acc6a);
    c_row(place.batch, place.split, first + 4u * SIDE + 2u, left + 4u * SIDE, acc6b);
    c_row(place.batch, place.split, first + 4u * SIDE + 3u, left, acc7a);
    c_row(place.batch, place.split, first + 4u * SIDE + 3u, left + 4u * SIDE, acc7b);
#else
    c_row(place.batch, place.split, first, left, acc0);
    c_row(place.batch, place.split, first + 1u, left, acc1);
    c_row(place.batch, place.split, first + 2u, left, acc2);
    c_row(place.batch, place.split, first + 3u, left, acc3);
#endif
}
