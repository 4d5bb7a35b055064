// For products with at most a few rows, such as a matrix times a vector: one workgroup computes 4 rows by 64 columns,
// its threads as 16 quads of columns by 16 parts of k, whose sums meet in workgroup memory.

const PARTS: u32 = 16u;

// partial[row][part of k][quad of columns]
var<workgroup> partial: array<vec4<f32>, 1024>;

@compute @workgroup_size(THREADS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tiles_n = (gemm_n() + 63u) / 64u;
    let tiles = tiles_n * ((gemm_m() + 3u) / 4u);
    let index = group.y * groups.x + group.x;
    let z = index / tiles;
    if (z >= gemm_batches() * gemm_splits()) {
        return;
    }
    let place = gemm_place(z);
    let row = index % tiles / tiles_n * 4u;
#ifdef B_BY_K
    let quad = lane / PARTS;
    let part = lane % PARTS;
#else
    let quad = lane % 16u;
    let part = lane / 16u;
#endif
    let col = index % tiles_n * 64u + quad * 4u;
    var acc0 = vec4<f32>();
    var acc1 = vec4<f32>();
    var acc2 = vec4<f32>();
    var acc3 = vec4<f32>();
    for (var k = place.k_start + part * 4u; k < place.k_end; k += 4u * PARTS) {
        let a = a_block(place.batch, row, k, place.k_end);
        let b = b_block(place.batch, k, col, place.k_end);
        acc0 = fma(vec4<f32>(a[0].x), b[0], acc0);
        acc1 = fma(vec4<f32>(a[0].y), b[0], acc1);
        acc2 = fma(vec4<f32>(a[0].z), b[0], acc2);
        acc3 = fma(vec4<f32>(a[0].w), b[0], acc3);
        acc0 = fma(vec4<f32>(a[1].x), b[1], acc0);
        acc1 = fma(vec4<f32>(a[1].y), b[1], acc1);
        acc2 = fma(vec4<f32>(a[1].z), b[1], acc2);
        acc3 = fma(vec4<f32>(a[1].w), b[1], acc3);
        acc0 = fma(vec4<f32>(a[2].x), b[2], acc0);
        acc1 = fma(vec4<f32>(a[2].y), b[2], acc1);
        acc2 = fma(vec4<f32>(a[2].z), b[2], acc2);
        acc3 = fma(vec4<f32>(a[2].w), b[2], acc3);
        acc0 = fma(vec4<f32>(a[3].x), b[3], acc0);
        acc1 = fma(vec4<f32>(a[3].y), b[3], acc1);
        acc2 = fma(vec4<f32>(a[3].z), b[3], acc2);
        acc3 = fma(vec4<f32>(a[3].w), b[3], acc3);
    }
    let at = part * 16u + quad;
    partial[at] = acc0;
    partial[256u + at] = acc1;
    partial[512u + at] = acc2;
    partial[768u + at] = acc3;
    workgroupBarrier();
    for (var half = PARTS / 2u; half > 0u; half /= 2u) {
        if (part < half) {
            let other = at + half * 16u;
            partial[at] += partial[other];
            partial[256u + at] += partial[256u + other];
            partial[512u + at] += partial[512u + other];
            partial[768u + at] += partial[768u + other];
        }
        workgroupBarrier();
    }
    // The first four parts store a row each.
    if (part < 4u) {
        c_row(place.batch, place.split, row + part, col, partial[part * 256u + quad]);
    }
}
