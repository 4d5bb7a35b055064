//! Composites against numbers computed by NumPy and by Keras' `ops` (3.15.1, JAX).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]
#![allow(clippy::approx_constant, clippy::excessive_precision, reason = "numbers as another library printed them")]

use addax_tensor::{
    DType, Tensor,
    ops::{Attention, ConvNd, ConvTransposeNd, Interpolation, Pads, PoolNd},
    reference,
};

/// Small numbers in no order: multiples of 1/4 from -5/4 to 5/4.
fn data(shape: &[usize], salt: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| ((i * 7 + salt * 3) % 11) as f32 / 4.0 - 1.25).collect();
    Tensor::from_vec(values, shape)
}

/// On the executor and on the reference.
#[track_caller]
fn agree(got: Tensor, shape: &[usize], want: &[f32]) {
    assert_eq!(got.shape().unwrap().dims(), shape);
    for values in [got.to_vec::<f32>().unwrap(), reference::evaluate(&[got]).unwrap()[0].to_vec::<f32>().unwrap()] {
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 2e-6 * b.abs().max(1.0);
        assert!(values.iter().zip(want).all(close), "got {values:?}\nexpected {want:?}");
    }
}

#[test]
fn convolutions_along_one_axis() {
    agree(
        data(&[1, 6, 2], 1)
            .conv1d(&data(&[3, 2, 2], 2), &ConvNd { strides: [1], pads: Pads::Valid, dilation: [1], groups: 1 }),
        &[1, 4, 2],
        &[1.5625, 1.0, -1.25, 1.25, -0.625, -2.625, 0.6875, 1.75],
    );
    agree(
        data(&[1, 6, 2], 1)
            .conv1d(&data(&[3, 2, 2], 2), &ConvNd { strides: [2], pads: Pads::Same, dilation: [1], groups: 1 }),
        &[1, 3, 2],
        &[1.5625, 1.0, -0.625, -2.625, -1.6875, 1.1875],
    );
    agree(
        data(&[1, 6, 2], 1)
            .conv1d(&data(&[3, 2, 2], 2), &ConvNd { strides: [1], pads: Pads::Causal, dilation: [2], groups: 1 }),
        &[1, 6, 2],
        &[1.3125, 0.5625, -0.8125, -0.3125, 0.6875, -2.4375, 0.375, 1.8125, -1.5625, 0.9375, -0.25, -2.25],
    );
    agree(
        data(&[1, 6, 2], 1)
            .conv1d(&data(&[3, 2, 2], 2), &ConvNd { strides: [1], pads: Pads::Same, dilation: [2], groups: 1 }),
        &[1, 6, 2],
        &[0.6875, -2.4375, 0.375, 1.8125, -1.5625, 0.9375, -0.25, -2.25, 0.8125, 0.625, 0.125, 1.75],
    );
}

#[test]
fn convolutions_along_three_axes() {
    agree(
        data(&[1, 3, 4, 3, 1], 1).conv3d(
            &data(&[2, 2, 2, 1, 2], 3),
            &ConvNd { strides: [2, 2, 2], pads: Pads::Same, dilation: [1, 1, 1], groups: 1 },
        ),
        &[1, 2, 2, 2, 2],
        &[
            0.3125, 0.9375, -0.6875, 0.8125, -0.4375, 1.4375, -1.6875, -0.9375, 0.5, -0.0625, 0.8125, -0.9375, 1.75,
            -0.9375, 0.4375, -0.3125,
        ],
    );
    agree(
        data(&[1, 3, 4, 3, 1], 1).conv3d(
            &data(&[2, 2, 2, 1, 2], 3),
            &ConvNd { strides: [1, 1, 1], pads: Pads::Valid, dilation: [1, 1, 1], groups: 1 },
        ),
        &[1, 2, 3, 2, 2],
        &[
            0.3125, 0.9375, 0.875, -1.5, -0.0625, 1.1875, 0.5, -1.25, -0.4375, 1.4375, 2.1875, -1.6875, 0.875, -1.5,
            -0.625, 1.5625, 0.5, -1.25, -1.0, 1.8125, 2.1875, -1.6875, 0.0, -2.0625,
        ],
    );
}

#[test]
fn transposed_convolutions() {
    agree(
        data(&[1, 3, 2], 1).conv_transpose1d(
            &data(&[3, 1, 2], 2),
            &ConvTransposeNd { strides: [2], pads: Pads::Valid, dilation: [1], output_padding: [None; 1] },
        ),
        &[1, 7, 1],
        &[-1.0625, -0.5, 2.0625, 0.25, -0.5625, 1.0, -1.0],
    );
    agree(
        data(&[1, 3, 2], 1).conv_transpose1d(
            &data(&[3, 1, 2], 2),
            &ConvTransposeNd { strides: [2], pads: Pads::Same, dilation: [1], output_padding: [None; 1] },
        ),
        &[1, 6, 1],
        &[-1.0625, -0.5, 2.0625, 0.25, -0.5625, 1.0],
    );
    agree(
        data(&[1, 3, 2], 1).conv_transpose1d(
            &data(&[2, 1, 2], 2),
            &ConvTransposeNd { strides: [3], pads: Pads::Valid, dilation: [1], output_padding: [None; 1] },
        ),
        &[1, 9, 1],
        &[-1.0625, -0.5, 0.0, 0.625, 0.25, 0.0, 0.25, 1.0, 0.0],
    );
    agree(
        data(&[1, 3, 2], 1).conv_transpose1d(
            &data(&[1, 1, 2], 2),
            &ConvTransposeNd { strides: [2], pads: Pads::Same, dilation: [1], output_padding: [None; 1] },
        ),
        &[1, 6, 1],
        &[-1.0625, 0.0, 0.625, 0.0, 0.25, 0.0],
    );
    agree(
        data(&[1, 3, 2], 1).conv_transpose1d(
            &data(&[3, 1, 2], 2),
            &ConvTransposeNd { strides: [2], pads: Pads::Valid, dilation: [1], output_padding: [Some(1); 1] },
        ),
        &[1, 8, 1],
        &[-1.0625, -0.5, 2.0625, 0.25, -0.5625, 1.0, -1.0, 0.0],
    );
    agree(
        data(&[1, 3, 2], 1).conv_transpose1d(
            &data(&[3, 1, 2], 2),
            &ConvTransposeNd { strides: [2], pads: Pads::Same, dilation: [1], output_padding: [Some(1); 1] },
        ),
        &[1, 6, 1],
        &[-1.0625, -0.5, 2.0625, 0.25, -0.5625, 1.0],
    );
    agree(
        data(&[1, 3, 2], 1).conv_transpose1d(
            &data(&[4, 1, 2], 2),
            &ConvTransposeNd { strides: [2], pads: Pads::Same, dilation: [1], output_padding: [Some(0); 1] },
        ),
        &[1, 4, 1],
        &[2.0625, -1.1875, -0.5625, 1.875],
    );
    agree(
        data(&[1, 3, 2], 1).conv_transpose1d(
            &data(&[3, 1, 2], 2),
            &ConvTransposeNd { strides: [1], pads: Pads::Same, dilation: [2], output_padding: [None; 1] },
        ),
        &[1, 3, 1],
        &[-0.25, 0.25, 2.4375],
    );
    agree(
        data(&[1, 3, 2], 1).conv_transpose1d(
            &data(&[2, 1, 2], 2),
            &ConvTransposeNd { strides: [3], pads: Pads::Same, dilation: [1], output_padding: [None; 1] },
        ),
        &[1, 9, 1],
        &[-1.0625, -0.5, 0.0, 0.625, 0.25, 0.0, 0.25, 1.0, 0.0],
    );
    agree(
        data(&[1, 2, 3, 1], 1).conv_transpose2d(
            &data(&[3, 2, 1, 1], 5),
            &ConvTransposeNd { strides: [2, 3], pads: Pads::Same, dilation: [1, 1], output_padding: [None; 2] },
        ),
        &[1, 4, 9, 1],
        &[
            0.125, 0.625, 0.0, -0.3125, -1.5625, 0.0, -0.0625, -0.3125, 0.0, -0.25, 0.25, 0.0, 0.625, -0.625, 0.0,
            0.125, -0.125, 0.0, -0.4375, 0.8125, 0.0, 1.3125, -0.9375, 0.0, 0.3125, 0.0625, 0.0, -0.375, 0.375, 0.0,
            0.5, -0.5, 0.0, 0.0, 0.0, 0.0,
        ],
    );
    agree(
        data(&[1, 2, 2, 2, 1], 1).conv_transpose3d(
            &data(&[3, 2, 2, 1, 1], 5),
            &ConvTransposeNd { strides: [2, 2, 2], pads: Pads::Same, dilation: [1, 1, 1], output_padding: [None; 3] },
        ),
        &[1, 4, 4, 4, 1],
        &[
            0.125, 0.625, -0.3125, -1.5625, -0.25, 0.25, 0.625, -0.625, -0.0625, -0.3125, 0.1875, 0.9375, 0.125,
            -0.125, -0.375, 0.375, -0.625, -0.125, 1.5625, 0.3125, 0.375, -0.5, -0.9375, 1.25, 0.3125, 0.0625, -0.9375,
            -0.1875, -0.1875, 0.25, 0.5625, -0.75, -0.25, -0.75, 0.0, -1.25, 0.125, -0.375, 0.9375, -0.3125, 0.25, 1.0,
            -0.1875, -0.1875, -0.3125, 0.4375, -0.1875, -0.1875, 1.25, 0.25, 0.0, 0.0, -0.75, 1.0, 0.0, 0.0, -1.25,
            -0.25, 0.9375, 0.1875, 0.75, -1.0, -0.5625, 0.75,
        ],
    );
    agree(
        data(&[1, 2, 2, 2, 1], 1).conv_transpose3d(
            &data(&[3, 2, 2, 1, 1], 5),
            &ConvTransposeNd { strides: [1, 1, 1], pads: Pads::Valid, dilation: [1, 1, 1], output_padding: [None; 3] },
        ),
        &[1, 4, 3, 3, 1],
        &[
            0.125, 0.3125, -1.5625, -0.3125, 0.75, 0.3125, 0.125, -0.5, 0.375, -0.875, 0.1875, 0.3125, 1.4375, -1.75,
            0.125, -0.6875, 1.6875, -1.125, 1.25, 0.75, -1.25, -2.375, 2.5, 0.625, 0.9375, -2.1875, 0.9375, 0.0, -1.0,
            0.0, 0.75, 0.75, -0.75, -0.75, 0.8125, -0.1875,
        ],
    );
    agree(
        data(&[1, 2, 2, 2, 1], 1).conv_transpose3d(
            &data(&[1, 2, 2, 1, 1], 5),
            &ConvTransposeNd { strides: [2, 2, 2], pads: Pads::Valid, dilation: [1, 1, 1], output_padding: [None; 3] },
        ),
        &[1, 4, 4, 4, 1],
        &[
            0.125, 0.625, -0.3125, -1.5625, -0.25, 0.25, 0.625, -0.625, -0.0625, -0.3125, 0.1875, 0.9375, 0.125,
            -0.125, -0.375, 0.375, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
            -0.25, -1.25, 0.0, 0.0, 0.5, -0.5, 0.0, 0.0, 0.25, 1.25, -0.1875, -0.9375, -0.5, 0.5, 0.375, -0.375, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
        ],
    );
}

#[test]
fn depthwise_and_separable_convolutions() {
    agree(
        data(&[1, 4, 2], 1).depthwise_conv1d(
            &data(&[2, 2, 2], 2),
            &ConvNd { strides: [1], pads: Pads::Same, dilation: [1], groups: 1 },
        ),
        &[1, 4, 4],
        &[
            -0.375, 0.5625, 1.4375, 0.9375, -0.9375, 0.5625, -0.75, 0.0, 1.25, -1.5, -0.1875, -0.9375, -0.25, 0.75,
            0.75, 0.0,
        ],
    );
    agree(
        data(&[1, 4, 2], 1).separable_conv1d(
            &data(&[2, 2, 2], 2),
            &data(&[1, 4, 1], 7),
            &ConvNd { strides: [1], pads: Pads::Same, dilation: [1], groups: 1 },
        ),
        &[1, 4, 1],
        &[-0.46875, -0.46875, 0.390625, -0.6875],
    );
    agree(
        data(&[1, 3, 3, 2], 1).depthwise_conv2d(
            &data(&[2, 2, 2, 2], 2),
            &ConvNd { strides: [1, 1], pads: Pads::Valid, dilation: [1, 1], groups: 1 },
        ),
        &[1, 2, 2, 4],
        &[
            -0.6875, 0.8125, 2.375, 2.375, -1.4375, 1.1875, -2.3125, 0.1875, 1.1875, -0.8125, 1.375, 0.625, -0.9375,
            0.9375, 0.125, 1.875,
        ],
    );
    agree(
        data(&[1, 3, 3, 2], 1).separable_conv2d(
            &data(&[2, 2, 2, 2], 2),
            &data(&[1, 1, 4, 1], 7),
            &ConvNd { strides: [2, 2], pads: Pads::Same, dilation: [1, 1], groups: 1 },
        ),
        &[1, 2, 2, 1],
        &[-0.0625, 0.71875, -0.296875, 0.75],
    );
}

#[test]
fn poolings() {
    agree(
        data(&[1, 5, 1], 1).max_pool1d(&PoolNd { window: [2; 1], strides: [2; 1], pads: Pads::Same }),
        &[1, 3, 1],
        &[1.25, 0.25, 1.0],
    );
    agree(
        data(&[1, 5, 1], 1).avg_pool1d(&PoolNd { window: [2; 1], strides: [2; 1], pads: Pads::Same }),
        &[1, 3, 1],
        &[0.375, -0.25, 1.0],
    );
    agree(
        data(&[1, 5, 1], 1).max_pool1d(&PoolNd { window: [3; 1], strides: [1; 1], pads: Pads::Valid }),
        &[1, 3, 1],
        &[1.25, 1.25, 1.0],
    );
    agree(
        data(&[1, 5, 1], 1).avg_pool1d(&PoolNd { window: [3; 1], strides: [1; 1], pads: Pads::Valid }),
        &[1, 3, 1],
        &[0.333333, 0.25, 0.166667],
    );
    agree(
        data(&[1, 3, 3, 2, 1], 1).max_pool3d(&PoolNd { window: [2; 3], strides: [1; 3], pads: Pads::Same }),
        &[1, 3, 3, 2, 1],
        &[1.25, 1.25, 1.0, 0.0, 1.0, 0.0, 1.25, 1.0, 1.0, 1.0, 0.5, -0.5, 1.25, 1.0, 1.0, 1.0, 0.0, -1.0],
    );
    agree(
        data(&[1, 3, 3, 2, 1], 1).avg_pool3d(&PoolNd { window: [2; 3], strides: [2; 3], pads: Pads::Same }),
        &[1, 2, 2, 1, 1],
        &[-0.1875, 0.25, 0.4375, -0.5],
    );
    agree(
        data(&[1, 5, 4, 1], 1).adaptive_avg_pool(&[2, 3]),
        &[1, 2, 3, 1],
        &[0.041667, -0.041667, -0.125, -0.166667, -0.25, 0.125],
    );
    agree(data(&[1, 5, 4, 1], 1).adaptive_max_pool(&[2, 3]), &[1, 2, 3, 1], &[1.25, 1.25, 0.75, 1.25, 0.75, 1.0]);
}

#[test]
fn images_of_another_size() {
    agree(
        data(&[1, 3, 4, 1], 1).resize([5, 2], Interpolation::Nearest),
        &[1, 5, 2, 1],
        &[1.25, -0.75, 1.25, -0.75, 0.0, 0.75, -1.25, -0.5, -1.25, -0.5],
    );
    agree(
        data(&[1, 3, 4, 1], 1).resize([4, 7], Interpolation::Nearest),
        &[1, 4, 7, 1],
        &[
            -0.5, -0.5, 1.25, 0.25, 0.25, -0.75, -0.75, 1.0, 1.0, 0.0, -1.0, -1.0, 0.75, 0.75, 1.0, 1.0, 0.0, -1.0,
            -1.0, 0.75, 0.75, -0.25, -0.25, -1.25, 0.5, 0.5, -0.5, -0.5,
        ],
    );
    agree(
        data(&[1, 3, 4, 1], 1).resize([5, 2], Interpolation::Bilinear),
        &[1, 5, 2, 1],
        &[0.375, -0.25, 0.425, -0.2, 0.5, -0.125, -0.25, -0.05, -0.75, 0.0],
    );
    agree(
        data(&[1, 3, 4, 1], 1).resize([4, 7], Interpolation::Bilinear),
        &[1, 4, 7, 1],
        &[
            -0.5, 0.125, 1.125, 0.75, 0.178571, -0.392857, -0.75, 0.4375, 0.448661, 0.466518, -0.03125, -0.479911,
            -0.069196, 0.1875, 0.53125, 0.174107, -0.397321, -0.453125, -0.386161, 0.024554, 0.28125, -0.25, -0.607143,
            -1.178571, -0.375, 0.428571, -0.142857, -0.5,
        ],
    );
    agree(
        data(&[1, 3, 4, 1], 1).resize([5, 2], Interpolation::Bicubic),
        &[1, 5, 2, 1],
        &[0.366815, -0.353774, 0.517779, -0.275241, 0.588235, -0.132353, -0.31914, 0.010536, -0.930078, 0.089068],
    );
    agree(
        data(&[1, 3, 4, 1], 1).resize([4, 7], Interpolation::Bicubic),
        &[1, 4, 7, 1],
        &[
            -0.728577, 0.031808, 1.260305, 1.005131, 0.232809, -0.521094, -0.919081, 0.525733, 0.581359, 0.589709,
            -0.097843, -0.633845, -0.044553, 0.350534, 0.733313, 0.277341, -0.501071, -0.672884, -0.485532, 0.112855,
            0.461385, -0.235971, -0.689653, -1.32821, -0.359492, 0.584768, -0.147552, -0.656021,
        ],
    );
}

#[test]
fn sums_of_products_by_letters() {
    agree(
        Tensor::einsum("b...ij,...jk->b...ki", &[&data(&[2, 2, 3, 2], 1), &data(&[1, 2, 2], 2)]).unwrap(),
        &[2, 2, 2, 3],
        &[
            1.125, -0.6875, 0.25, 0.375, -0.1875, -0.75, 0.5, -1.3125, -0.375, 0.75, 0.1875, -0.375, 0.5625, 0.8125,
            -1.0, -0.9375, 0.5625, 0.0, -0.0625, 0.1875, 1.125, -0.5625, 0.9375, 0.375,
        ],
    );
    agree(
        Tensor::einsum("iij,jk,k->i", &[&data(&[2, 2, 3], 1), &data(&[3, 2], 2), &data(&[2], 3)]).unwrap(),
        &[2],
        &[0.875, 0.6875],
    );
    agree(Tensor::einsum("ij,ji", &[&data(&[2, 3], 1), &data(&[3, 2], 2)]).unwrap(), &[], &[1.4375]);
    agree(Tensor::einsum("ba", &[&data(&[2, 3], 1)]).unwrap(), &[3, 2], &[-0.5, -0.75, 1.25, 1.0, 0.25, 0.0]);
    agree(Tensor::einsum("ij->", &[&data(&[2, 3], 1)]).unwrap(), &[], &[1.25]);
    agree(
        Tensor::einsum("i,j->ji", &[&data(&[2], 1), &data(&[3], 2)]).unwrap(),
        &[3, 2],
        &[-0.125, 0.3125, 0.375, -0.9375, -0.5, 1.25],
    );
    agree(
        Tensor::einsum("bij,bjk->bik", &[&data(&[2, 2, 3], 1), &data(&[2, 3, 2], 2)]).unwrap(),
        &[2, 2, 2],
        &[0.875, 0.5625, 0.8125, 0.5625, 0.3125, 0.8125, -0.0625, 1.1875],
    );
    agree(
        Tensor::einsum("bhqd,bhkd->bhqk", &[&data(&[1, 2, 2, 3], 1), &data(&[1, 2, 3, 3], 2)]).unwrap(),
        &[1, 2, 2, 3],
        &[-0.8125, -1.0625, -1.3125, -0.9375, -1.0, -1.0625, 1.375, 1.5, 1.625, 1.125, 1.4375, 1.75],
    );
    agree(
        Tensor::einsum("abc,cd,def->f", &[&data(&[2, 2, 3], 1), &data(&[3, 2], 2), &data(&[2, 1, 2], 3)]).unwrap(),
        &[2],
        &[0.875, 1.6875],
    );
    agree(Tensor::einsum("ij,kl->i", &[&data(&[2, 3], 1), &data(&[2, 2], 2)]).unwrap(), &[2], &[0.5, 0.125]);
    agree(Tensor::einsum("ii->i", &[&data(&[3, 3], 1)]).unwrap(), &[3], &[-0.5, 1.0, -0.25]);
    agree(
        Tensor::einsum("...,...", &[&data(&[2, 3], 1), &data(&[3], 2)]).unwrap(),
        &[2, 3],
        &[-0.125, -0.9375, 0.25, -0.1875, -0.75, 0.0],
    );
    agree(
        Tensor::einsum("a...->...a", &[&data(&[2, 3, 2], 1)]).unwrap(),
        &[3, 2, 2],
        &[-0.5, -1.0, 1.25, 0.75, 0.25, -0.25, -0.75, -1.25, 1.0, 0.5, 0.0, -0.5],
    );
    agree(data(&[2, 3, 2], 1).tensordot(&data(&[3, 2, 2], 2), 2), &[2, 2], &[1.5625, 1.0, 0.6875, 1.75]);
    agree(
        data(&[2, 3, 2], 1).tensordot_axes(&data(&[3, 2, 2], 2), &[1, 0], &[0, -1]),
        &[2, 2],
        &[0.4375, 1.125, -0.1875, 2.875],
    );
    agree(data(&[2, 3], 1).inner(&data(&[2, 3], 2)), &[2, 2], &[-0.8125, -1.0625, -0.9375, -1.0]);
    agree(data(&[2, 3], 1).dot(&data(&[2, 3, 1], 2)), &[2, 2, 1], &[-0.8125, -1.0625, -0.9375, -1.0]);
    agree(data(&[2], 1).outer(&data(&[3], 2)), &[2, 3], &[-0.125, 0.375, -0.5, 0.3125, -0.9375, 1.25]);
}

#[test]
fn running_folds_and_order() {
    agree(data(&[2, 5], 1).cumsum(1), &[2, 5], &[-0.5, 0.75, 1.0, 0.25, 1.25, 0.0, -1.0, -0.25, -0.5, -1.75]);
    agree(data(&[2, 5], 1).cumprod(0), &[2, 5], &[-0.5, 1.25, 0.25, -0.75, 1.0, 0.0, -1.25, 0.1875, 0.1875, -1.25]);
    agree(data(&[2, 5], 1).cummax(1), &[2, 5], &[-0.5, 1.25, 1.25, 1.25, 1.25, 0.0, 0.0, 0.75, 0.75, 0.75]);
    agree(data(&[2, 5], 1).cummin(-1), &[2, 5], &[-0.5, -0.5, -0.5, -0.75, -0.75, 0.0, -1.0, -1.0, -1.0, -1.25]);
    agree(
        data(&[2, 5], 1).logcumsumexp(1),
        &[2, 5],
        &[-0.5, 1.410224, 1.682855, 1.767, 2.148448, 0.0, 0.313262, 1.248433, 1.450133, 1.515168],
    );
    agree(data(&[2, 5], 1).sort(1, false), &[2, 5], &[-0.75, -0.5, 0.25, 1.0, 1.25, -1.25, -1.0, -0.25, 0.0, 0.75]);
    agree(data(&[2, 5], 1).quantile(0.3, 1), &[2], &[-0.35, -0.85]);
    agree(data(&[2, 5], 1).median(1), &[2], &[0.25, -0.25]);
}

#[test]
fn arrangements() {
    agree(data(&[3, 4], 1).tril(1), &[3, 4], &[-0.5, 1.25, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0, -0.25, -1.25, 0.5, -0.5]);
    agree(data(&[3, 4], 1).triu(-1), &[3, 4], &[-0.5, 1.25, 0.25, -0.75, 1.0, 0.0, -1.0, 0.75, 0.0, -1.25, 0.5, -0.5]);
    agree(data(&[3, 4], 1).diagonal(-2), &[1], &[-0.25]);
    agree(data(&[3, 4], 1).diagonal(-1), &[2], &[1.0, -1.25]);
    agree(data(&[3, 4], 1).diagonal(0), &[3], &[-0.5, 0.0, 0.5]);
    agree(data(&[3, 4], 1).diagonal(1), &[3], &[1.25, -1.0, -0.5]);
    agree(data(&[3, 4], 1).diagonal(3), &[1], &[-0.75]);
    agree(data(&[2, 3, 2], 1).diagonal(0), &[2, 2], &[-0.5, -0.75, -1.0, -1.25]);
    agree(data(&[2], 1).diag(-1), &[3, 3], &[0.0, 0.0, 0.0, -0.5, 0.0, 0.0, 0.0, 1.25, 0.0]);
    agree(data(&[2], 1).diag(0), &[2, 2], &[-0.5, 0.0, 0.0, 1.25]);
    agree(
        data(&[2], 1).diag(2),
        &[4, 4],
        &[0.0, 0.0, -0.5, 0.0, 0.0, 0.0, 0.0, 1.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    );
    agree(Tensor::tri(3, 2, -1, DType::F32), &[3, 2], &[0.0, 0.0, 1.0, 0.0, 1.0, 1.0]);
    agree(Tensor::eye_with(2, 3, 1, DType::F32), &[2, 3], &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    agree(data(&[3, 4], 1).trace(), &[], &[0.0]);
    agree(
        data(&[3, 4], 1).roll(-1, 1),
        &[3, 4],
        &[1.25, 0.25, -0.75, -0.5, 0.0, -1.0, 0.75, 1.0, -1.25, 0.5, -0.5, -0.25],
    );
    agree(
        data(&[3, 4], 1).roll(7, 0),
        &[3, 4],
        &[-0.25, -1.25, 0.5, -0.5, -0.5, 1.25, 0.25, -0.75, 1.0, 0.0, -1.0, 0.75],
    );
    agree(data(&[2, 2], 1).tile([2]), &[2, 4], &[-0.5, 1.25, -0.5, 1.25, 0.25, -0.75, 0.25, -0.75]);
    agree(data(&[2], 1).tile([2, 1, 2]), &[2, 1, 4], &[-0.5, 1.25, -0.5, 1.25, -0.5, 1.25, -0.5, 1.25]);
    agree(data(&[2, 2], 1).repeat(2, 0), &[4, 2], &[-0.5, 1.25, -0.5, 1.25, 0.25, -0.75, 0.25, -0.75]);
    agree(data(&[3, 4], 1).norm(2.0, [0, 1]), &[], &[2.66927]);
    agree(data(&[3, 4], 1).norm(3.0, 0), &[4], &[1.044835, 1.574901, 1.044835, 0.989473]);
    agree(data(&[3, 4], 1).norm(f64::INFINITY, 1), &[3], &[1.25, 1.0, 1.25]);
    agree(data(&[3, 4], 1).norm(0.0, 1), &[3], &[4.0, 3.0, 4.0]);
    agree(data(&[3, 4], 1).std(0), &[4], &[0.656167, 1.020621, 0.656167, 0.656167]);
    let (a, b) =
        (Tensor::from_vec([7.0f32, -7.0, 7.0, -7.0, 6.0], [5]), Tensor::from_vec([3.0f32, 3.0, -3.0, -3.0, -3.0], [5]));
    agree(a.modulo(&b), &[5], &[1.0, 2.0, -2.0, -1.0, 0.0]);
    agree(a.floor_divide(&b), &[5], &[2.0, -3.0, -3.0, 2.0, -2.0]);
    agree(a.cast(DType::I32).modulo(b.cast(DType::I32)).cast(DType::F32), &[5], &[1.0, 2.0, -2.0, -1.0, 0.0]);
    agree(a.cast(DType::I32).floor_divide(b.cast(DType::I32)).cast(DType::F32), &[5], &[2.0, -3.0, -3.0, 2.0, -2.0]);
}

#[test]
fn mistakes_say_what_they_are() {
    let x = data(&[2, 3], 1);
    let said = |equation: &str, operands: &[&Tensor], part: &str| {
        let error = Tensor::einsum(equation, operands).unwrap_err().to_string();
        assert!(error.contains(&format!("\"{equation}\"")) && error.contains(part), "{error}");
    };
    said("ij,jk->ik", &[&x], "names 2 operands, got 1");
    said("ijk->i", &[&x], "names 3 axes, the operand has shape [2, 3]");
    said("ij,jk->ik", &[&x, &x], "axis `j` has length 3 and 2");
    said("ij->iz", &[&x], "axis `z` of the result is in no operand");
    said("ij->ii", &[&x], "axis `i` is twice in the result");
    said("i2->i", &[&x], "is no list of letters");
    let error = |t: Tensor| t.check().unwrap_err().to_string();
    assert!(error(x.top_k(4).1).contains("4 elements of a last axis of 3"));
    assert!(error(x.quantile(1.5, 0)).contains("1.5 is not between 0 and 1"));
    assert!(error(x.take_along_axis(&Tensor::zeros([1]).cast(DType::I32), 0)).contains("do not fit"));
    assert!(error(x.cholesky()).contains("square matrices"));
    assert!(error(x.conv1d(&x, &ConvNd::default())).contains("expected 3 axes"));
    let causal = ConvNd { pads: Pads::Causal, ..ConvNd::default() };
    assert!(error(data(&[1, 2, 2, 2, 1], 1).conv3d(&data(&[1, 1, 1, 1, 1], 1), &causal)).contains("causal"));
}

/// The matrices of a product are those that were taken apart.
#[test]
fn factorisations_multiply_back() {
    let a = data(&[2, 4, 4], 3) + Tensor::eye(4) * 3.0;
    let b = data(&[2, 4, 2], 5);
    let near = |x: Tensor, y: &Tensor| {
        assert_eq!(x.shape().unwrap(), y.shape().unwrap());
        let far = (x - y).abs().max(..).item::<f32>().unwrap();
        assert!(far < 1e-5, "{far}");
    };
    let definite = a.matmul(&a.t());
    let l = definite.cholesky();
    near(l.matmul(&l.t()) * 0.1, &(&definite * 0.1));
    near(l.tril(0), &l);
    near(a.matmul(&a.solve(&b)), &b);
    near(a.tril(0).matmul(&a.solve_triangular(&b, true)), &b);
    near(a.triu(0).matmul(&a.solve_triangular(&b, false)), &b);
    near(a.matmul(&a.inv()), &(Tensor::eye(4).broadcast_to([2, 4, 4])));
    for shape in [[5, 3], [3, 5], [4, 4], [1, 3], [3, 1]] {
        let x = data(&shape, 2);
        let (q, r) = x.qr().unwrap();
        let k = shape[0].min(shape[1]);
        near(q.matmul(&r), &x);
        near(q.t().matmul(&q), &Tensor::eye(k));
        near(r.triu(0), &r);
    }
    // Odd and even numbers of exchanged rows, none at all, a row twice.
    let det = |rows: [f32; 9]| Tensor::from_vec(rows, [3, 3]).det().item::<f32>().unwrap();
    let cases = [
        ([0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 2.0], -2.0),
        ([0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 3.0, 0.0, 0.0], 3.0),
        ([2.0, 1.0, 5.0, 0.0, -1.0, 4.0, 0.0, 0.0, 3.0], -6.0),
        ([1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 0.0, 1.0, 0.0], 0.0),
    ];
    cases.into_iter().for_each(|(rows, want)| assert!((det(rows) - want).abs() < 1e-5, "{}", det(rows)));
}

#[test]
fn attention() {
    let (q, k, v) = (data(&[1, 2, 2, 2], 1), data(&[1, 3, 2, 2], 2), data(&[1, 3, 2, 2], 3));
    // The second query may attend to nothing.
    let mask = Some(Tensor::from_vec([true, false, true, false, false, false], [2, 3]));
    let plain = Attention::default();
    for block in [None, Some(1)] {
        let check = |how: Attention, want: &[f32]| {
            agree(q.dot_product_attention(&k, &v, &Attention { block, ..how }), &[1, 2, 2, 2], want);
        };
        check(
            plain.clone(),
            &[0.12035416, -0.87964582, -0.26178545, 0.25569269, 0.91631514, -0.083684862, -0.34142125, 0.33804804],
        );
        check(
            Attention { scale: Some(0.3), is_causal: true, ..plain.clone() },
            &[1.0, 0.0, -1.0, 0.75, 0.49083328, -0.50916678, -0.2148695, 0.095724583],
        );
        check(
            Attention { mask: mask.clone(), ..plain.clone() },
            &[1.1332743, 0.13327429, -0.88052076, 0.86947942, 0.66666669, -0.33333334, -0.41666669, 0.41666669],
        );
        check(
            Attention { mask: mask.clone(), is_causal: true, bias: Some(data(&[1, 2, 2, 3], 4)), ..plain.clone() },
            &[1.0, 0.0, -1.0, 0.75, 0.66666669, -0.33333334, -0.41666669, 0.41666669],
        );
        // Two heads of the queries for each of the keys.
        let (q, k, v) = (data(&[2, 1, 4, 2], 5), data(&[2, 3, 2, 2], 6), data(&[2, 3, 2, 2], 7));
        agree(
            q.dot_product_attention(&k, &v, &Attention { block, ..plain.clone() }),
            &[2, 1, 4, 2],
            &[
                0.13875303,
                0.14405708,
                2.9802322e-08,
                0.15632562,
                -0.44060627,
                0.78025609,
                -0.38051432,
                1.0192477,
                0.08176282,
                -0.20086882,
                -0.29338589,
                0.078418732,
                0.11592352,
                -0.88407642,
                0.12035416,
                -0.87964582,
            ],
        );
    }
}

#[test]
fn mistakes_in_attention_say_what_does_not_fit() {
    let (q, k) = (data(&[1, 2, 2, 2], 1), data(&[1, 3, 2, 2], 2));
    let says =
        |k: &Tensor, v: &Tensor, how: Attention| q.dot_product_attention(k, v, &how).check().unwrap_err().to_string();
    let of = |bias: Option<Tensor>, mask: Option<Tensor>| Attention { bias, mask, ..Attention::default() };
    let wrong = says(&k, &data(&[1, 4, 2, 2], 3), Attention::default());
    assert!(wrong.contains("values [b, s, h, dv]") && wrong.contains("[1, 4, 2, 2]"), "{wrong}");
    let wrong = says(&data(&[1, 3, 3, 2], 2), &data(&[1, 3, 3, 2], 3), Attention::default());
    assert!(wrong.contains("[1, 3, 3, 2]"), "{wrong}");
    let wrong = says(&k, &k, of(Some(data(&[2, 2], 1)), None));
    assert!(wrong.contains("a bias of shape [2, 2] does not broadcast to [1, 2, 2, 3]"), "{wrong}");
    let wrong = says(&k, &k, of(Some(Tensor::from_vec([1i32], [1])), None));
    assert!(wrong.contains("a bias is a float, got int32"), "{wrong}");
    let wrong = says(&k, &k, of(None, Some(data(&[2, 3], 1))));
    assert!(wrong.contains("a mask is of truth values, got float32"), "{wrong}");
}
