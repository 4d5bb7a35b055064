// The matrix product engines: C[batch, row, col] = sum over k of A[batch, row, k] B[batch, k, col].
//
// The importing kernel gives the extents `gemm_m()`, `gemm_n()`, `gemm_k()`, `gemm_batches()`, `gemm_splits()`,
// `gemm_chunk()`, and reads A and B in blocks of 4 x 4, zero from k_end on and anything past the other edges:
//   a_block(batch, row, k, k_end)[j][r] = A[batch, row + r, k + j]
//   b_block(batch, k, col, k_end)[j][c] = B[batch, k + j, col + c]
//   c_row(batch, split, row, col, v) stores four columns, leaving out those past the edge.
// `A_BY_M` and `B_BY_K` say that neighbours in memory are neighbours along m and k; by default they are along k and n.
//
// The k axis is cut in `gemm_splits()` parts of `gemm_chunk()`; each part's sum is stored by itself.

struct Place {
    batch: u32,
    split: u32,
    k_start: u32,
    k_end: u32,
}

// The part of the work with number z: which batch, which part of the k axis.
fn gemm_place(z: u32) -> Place {
    let split = z % gemm_splits();
    let k_start = split * gemm_chunk();
    return Place(z / gemm_splits(), split, k_start, min(gemm_k(), k_start + gemm_chunk()));
}

#ifdef TILED
#import gemm_tiled
#endif
#ifdef DIRECT
#import gemm_direct
#endif
#ifdef SKINNY
#import gemm_skinny
#endif
#ifdef POINT
#import gemm_point
#endif
