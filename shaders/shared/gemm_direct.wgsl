// No workgroup memory and no barriers: each thread computes 8 rows by 4 columns of C. For software adapters, where a
// barrier costs a context switch, and caches are the workgroup memory.

@compute @workgroup_size(THREADS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks_n = (gemm_n() + 3u) / 4u;
    let blocks = blocks_n * ((gemm_m() + 7u) / 8u);
    let index = (group.y * groups.x + group.x) * THREADS + lane;
    let z = index / blocks;
    if (z >= gemm_batches() * gemm_splits()) {
        return;
    }
    let place = gemm_place(z);
    let block = index % blocks;
    let row = block / blocks_n * 8u;
    let col = block % blocks_n * 4u;
    var acc0 = vec4<f32>();
    var acc1 = vec4<f32>();
    var acc2 = vec4<f32>();
    var acc3 = vec4<f32>();
    var acc4 = vec4<f32>();
    var acc5 = vec4<f32>();
    var acc6 = vec4<f32>();
    var acc7 = vec4<f32>();
    for (var k = place.k_start; k < place.k_end; k += 4u) {
        let a = a_block(place.batch, row, k, place.k_end);
        let c = a_block(place.batch, row + 4u, k, place.k_end);
        let b = b_block(place.batch, k, col, place.k_end);
        acc0 = fma(vec4<f32>(a[0].x), b[0], acc0);
        acc1 = fma(vec4<f32>(a[0].y), b[0], acc1);
        acc2 = fma(vec4<f32>(a[0].z), b[0], acc2);
        acc3 = fma(vec4<f32>(a[0].w), b[0], acc3);
        acc4 = fma(vec4<f32>(c[0].x), b[0], acc4);
        acc5 = fma(vec4<f32>(c[0].y), b[0], acc5);
        acc6 = fma(vec4<f32>(c[0].z), b[0], acc6);
        acc7 = fma(vec4<f32>(c[0].w), b[0], acc7);
        acc0 = fma(vec4<f32>(a[1].x), b[1], acc0);
        acc1 = fma(vec4<f32>(a[1].y), b[1], acc1);
        acc2 = fma(vec4<f32>(a[1].z), b[1], acc2);
        acc3 = fma(vec4<f32>(a[1].w), b[1], acc3);
        acc4 = fma(vec4<f32>(c[1].x), b[1], acc4);
        acc5 = fma(vec4<f32>(c[1].y), b[1], acc5);
        acc6 = fma(vec4<f32>(c[1].z), b[1], acc6);
        acc7 = fma(vec4<f32>(c[1].w), b[1], acc7);
        acc0 = fma(vec4<f32>(a[2].x), b[2], acc0);
        acc1 = fma(vec4<f32>(a[2].y), b[2], acc1);
        acc2 = fma(vec4<f32>(a[2].z), b[2], acc2);
        acc3 = fma(vec4<f32>(a[2].w), b[2], acc3);
        acc4 = fma(vec4<f32>(c[2].x), b[2], acc4);
        acc5 = fma(vec4<f32>(c[2].y), b[2], acc5);
        acc6 = fma(vec4<f32>(c[2].z), b[2], acc6);
        acc7 = fma(vec4<f32>(c[2].w), b[2], acc7);
        acc0 = fma(vec4<f32>(a[3].x), b[3], acc0);
        acc1 = fma(vec4<f32>(a[3].y), b[3], acc1);
        acc2 = fma(vec4<f32>(a[3].z), b[3], acc2);
        acc3 = fma(vec4<f32>(a[3].w), b[3], acc3);
        acc4 = fma(vec4<f32>(c[3].x), b[3], acc4);
        acc5 = fma(vec4<f32>(c[3].y), b[3], acc5);
        acc6 = fma(vec4<f32>(c[3].z), b[3], acc6);
        acc7 = fma(vec4<f32>(c[3].w), b[3], acc7);
    }
    c_row(place.batch, place.split, row, col, acc0);
    c_row(place.batch, place.split, row + 1u, col, acc1);
    c_row(place.batch, place.split, row + 2u, col, acc2);
    c_row(place.batch, place.split, row + 3u, col, acc3);
    c_row(place.batch, place.split, row + 4u, col, acc4);
    c_row(place.batch, place.split, row + 5u, col, acc5);
    c_row(place.batch, place.split, row + 6u, col, acc6);
    c_row(place.batch, place.split, row + 7u, col, acc7);
}
