"""The layer cases: constructor arguments in Keras' JSON spelling, input shapes, call arguments.

"list" passes all inputs as one list, "keep" leaves a weight at its first value.
"""

L2 = {"module": "keras.regularizers", "class_name": "L2", "config": {"l2": 0.03}, "registered_name": None}
L1 = {"module": "keras.regularizers", "class_name": "L1", "config": {"l1": 0.02}, "registered_name": None}
TRAIN, INFER = {"training": True}, {"training": False}


def image(height, width, channels, batch=2):
    return [(batch, height, width, channels)]


def pooling():
    return {
        "defaults": {"config": {"pool_size": 2}, "shapes": image(6, 4, 2), "data": "distinct"},
        "odd sizes valid": {"config": {"pool_size": [2, 3]}, "shapes": image(7, 8, 2), "data": "distinct"},
        "odd sizes same": {
            "config": {"pool_size": [2, 3], "padding": "same"},
            "shapes": image(7, 5, 2),
            "data": "distinct",
        },
        "overlapping valid": {
            "config": {"pool_size": 3, "strides": [2, 1]},
            "shapes": image(7, 5, 2),
            "data": "distinct",
        },
        "overlapping same": {
            "config": {"pool_size": [3, 2], "strides": [2, 1], "padding": "same"},
            "shapes": image(6, 5, 2),
            "data": "distinct",
        },
        "stride above pool": {
            "config": {"pool_size": 2, "strides": 3, "padding": "same"},
            "shapes": image(8, 7, 1),
            "data": "distinct",
        },
        "channels first": {
            "config": {"pool_size": [2, 3], "strides": [1, 2], "data_format": "channels_first"},
            "shapes": [(2, 2, 5, 7)],
            "data": "distinct",
        },
    }


CASES = {
    "Dense": {
        "defaults": {"config": {"units": 3}, "shapes": [(4, 5)]},
        "relu": {"config": {"units": 4, "activation": "relu"}, "shapes": [(3, 7)]},
        "sequence, tanh, no bias": {
            "config": {"units": 3, "activation": "tanh", "use_bias": False},
            "shapes": [(2, 3, 5)],
        },
        "rank four": {"config": {"units": 2, "activation": "softmax"}, "shapes": [(2, 2, 3, 4)]},
        "one unit": {"config": {"units": 1, "activation": "sigmoid"}, "shapes": [(5, 1)]},
        "regularized": {
            "config": {"units": 3, "kernel_regularizer": L2, "bias_regularizer": L1, "activity_regularizer": L1},
            "shapes": [(4, 5)],
        },
    },
    "Conv2D": {
        "defaults": {"config": {"filters": 3, "kernel_size": 3}, "shapes": image(7, 5, 2)},
        "same, relu": {
            "config": {"filters": 3, "kernel_size": [3, 2], "padding": "same", "activation": "relu"},
            "shapes": image(5, 6, 2),
        },
        "strides valid": {"config": {"filters": 2, "kernel_size": [2, 3], "strides": [2, 1]}, "shapes": image(7, 6, 3)},
        "strides same": {
            "config": {"filters": 2, "kernel_size": [3, 4], "strides": [2, 3], "padding": "same"},
            "shapes": image(7, 8, 2),
        },
        "dilated valid": {
            "config": {"filters": 2, "kernel_size": [3, 2], "dilation_rate": [2, 3]},
            "shapes": image(8, 7, 2),
        },
        "dilated same": {
            "config": {"filters": 2, "kernel_size": 3, "dilation_rate": [1, 2], "padding": "same"},
            "shapes": image(6, 7, 1),
        },
        "groups": {"config": {"filters": 6, "kernel_size": [2, 3], "groups": 2}, "shapes": image(5, 6, 4)},
        "depthwise by groups, strides": {
            "config": {"filters": 6, "kernel_size": 3, "groups": 3, "strides": 2, "padding": "same", "use_bias": False},
            "shapes": image(7, 6, 3),
        },
        "no bias, one by one": {
            "config": {"filters": 4, "kernel_size": 1, "use_bias": False, "activation": "tanh"},
            "shapes": image(3, 5, 3),
        },
        "channels first": {
            "config": {"filters": 3, "kernel_size": [3, 2], "strides": [1, 2], "data_format": "channels_first"},
            "shapes": [(2, 2, 5, 6)],
        },
        "kernel larger than input": {
            "config": {"filters": 2, "kernel_size": 5, "padding": "same"},
            "shapes": image(3, 2, 2),
        },
        "regularized": {
            "config": {"filters": 2, "kernel_size": 2, "kernel_regularizer": L2, "activity_regularizer": L2},
            "shapes": image(4, 3, 2),
        },
    },
    "MaxPooling2D": pooling(),
    "AveragePooling2D": pooling(),
    "GlobalAveragePooling2D": {
        "defaults": {"shapes": image(5, 3, 4)},
        "keepdims": {"config": {"keepdims": True}, "shapes": image(5, 3, 4)},
        "channels first": {"config": {"data_format": "channels_first"}, "shapes": [(2, 3, 5, 4)]},
    },
    "GlobalMaxPooling2D": {
        "defaults": {"shapes": image(5, 3, 4), "data": "distinct"},
        "keepdims": {"config": {"keepdims": True}, "shapes": image(5, 3, 2), "data": "distinct"},
    },
    "GlobalAveragePooling1D": {
        "defaults": {"shapes": [(3, 5, 2)]},
        "keepdims": {"config": {"keepdims": True}, "shapes": [(2, 5, 3)]},
        "mask": {"shapes": [(2, 4, 3)], "mask": [[1, 1, 0, 1], [1, 0, 0, 0]]},
    },
    "Flatten": {
        "defaults": {"shapes": image(2, 3, 4)},
        "rank two": {"shapes": [(3, 5)]},
        "rank one": {"shapes": [(4,)]},
        "channels first": {"config": {"data_format": "channels_first"}, "shapes": [(2, 3, 2, 4)]},
    },
    "Reshape": {
        "fixed": {"config": {"target_shape": [3, 8]}, "shapes": [(2, 4, 6)]},
        "inferred": {"config": {"target_shape": [-1, 3]}, "shapes": [(2, 4, 6)]},
        "inferred last": {"config": {"target_shape": [2, 2, -1]}, "shapes": [(3, 12)]},
        "all in one": {"config": {"target_shape": [-1]}, "shapes": [(2, 3, 5)]},
    },
    "Dropout": {
        "inference": {"config": {"rate": 0.4}, "shapes": [(3, 5)], "call": INFER},
        "rate zero in training": {"config": {"rate": 0.0}, "shapes": [(3, 5)], "call": TRAIN},
        "noise shape, inference": {
            "config": {"rate": 0.3, "noise_shape": [None, 1, 4]},
            "shapes": [(2, 3, 4)],
            "call": INFER,
        },
    },
    "BatchNormalization": {
        "training": {"shapes": [(6, 3)], "call": TRAIN},
        "inference": {"shapes": [(6, 3)], "call": INFER},
        "images, training": {"config": {"momentum": 0.8, "epsilon": 0.01}, "shapes": image(3, 5, 4, 3), "call": TRAIN},
        "images, inference": {"config": {"momentum": 0.8, "epsilon": 0.01}, "shapes": image(3, 5, 4), "call": INFER},
        "no center, training": {"config": {"center": False, "momentum": 0.5}, "shapes": [(5, 3)], "call": TRAIN},
        "no scale, training": {"config": {"scale": False}, "shapes": [(5, 2, 3)], "call": TRAIN},
        "neither, inference": {"config": {"center": False, "scale": False}, "shapes": [(5, 3)], "call": INFER},
        "axis one, training": {"config": {"axis": 1, "momentum": 0.9}, "shapes": [(3, 2, 4, 3)], "call": TRAIN},
        "axis one, inference": {"config": {"axis": 1}, "shapes": [(3, 2, 4)], "call": INFER},
        "frozen, training": {"config": {"trainable": False}, "shapes": [(6, 3)], "call": TRAIN},
        "mask, training": {"shapes": [(2, 4, 3)], "call": TRAIN, "mask": [[1, 1, 0, 1], [1, 0, 0, 0]]},
    },
    "LSTM": {
        "defaults": {"config": {"units": 3}, "shapes": [(2, 5, 4)], "keep": ["lstm/lstm_cell/bias"]},
        "trained bias": {"config": {"units": 5}, "shapes": [(3, 7, 2)]},
        "sequences": {"config": {"units": 3, "return_sequences": True}, "shapes": [(2, 5, 4)]},
        "backwards": {"config": {"units": 3, "go_backwards": True}, "shapes": [(2, 5, 2)]},
        "backwards sequences": {
            "config": {"units": 3, "go_backwards": True, "return_sequences": True},
            "shapes": [(2, 5, 2)],
        },
        "states": {"config": {"units": 3, "return_sequences": True, "return_state": True}, "shapes": [(2, 4, 3)]},
        "other activations": {
            "config": {"units": 3, "activation": "relu", "recurrent_activation": "hard_sigmoid"},
            "shapes": [(2, 4, 3)],
        },
        "no forget bias": {
            "config": {"units": 2, "unit_forget_bias": False},
            "shapes": [(3, 4, 5)],
            "keep": ["lstm/lstm_cell/bias"],
        },
        "no bias": {"config": {"units": 3, "use_bias": False}, "shapes": [(2, 6, 3)]},
        "one step": {"config": {"units": 1}, "shapes": [(1, 1, 1)]},
        "mask": {"config": {"units": 3}, "shapes": [(2, 5, 2)], "mask": [[1, 1, 1, 0, 0], [1, 0, 1, 1, 0]]},
        "mask, sequences": {
            "config": {"units": 3, "return_sequences": True},
            "shapes": [(2, 5, 2)],
            "mask": [[1, 1, 1, 0, 0], [0, 0, 1, 1, 0]],
        },
    },
    "GRU": {
        "defaults": {"config": {"units": 3}, "shapes": [(2, 5, 4)]},
        "sequences, reset before": {
            "config": {"units": 3, "return_sequences": True, "reset_after": False},
            "shapes": [(2, 4, 2)],
        },
    },
    "SimpleRNN": {
        "defaults": {"config": {"units": 3}, "shapes": [(2, 5, 4)]},
        "sequences, relu": {
            "config": {"units": 2, "return_sequences": True, "activation": "relu"},
            "shapes": [(2, 4, 3)],
        },
    },
    "Activation": {
        name: {"config": {"activation": name}, "shapes": [(3, 5)]}
        for name in ("relu", "tanh", "sigmoid", "softmax", "gelu", "leaky_relu", "linear")
    },
    "ReLU": {
        "defaults": {"shapes": [(3, 5)]},
        "all arguments": {"config": {"max_value": 0.9, "negative_slope": 0.2, "threshold": 0.3}, "shapes": [(3, 5)]},
    },
    "LeakyReLU": {
        "defaults": {"shapes": [(3, 5)]},
        "slope": {"config": {"negative_slope": 0.15}, "shapes": [(3, 5)]},
    },
    "ELU": {"alpha": {"config": {"alpha": 0.7}, "shapes": [(3, 5)]}},
    "PReLU": {"shared": {"config": {"shared_axes": [1]}, "shapes": [(2, 3, 4)]}},
    "Softmax": {
        "defaults": {"shapes": [(3, 5)]},
        "axis": {"config": {"axis": 1}, "shapes": [(2, 3, 4)]},
    },
    "Rescaling": {
        "bytes": {"config": {"scale": 0.00392156862745098}, "shapes": image(3, 2, 3), "data": "bytes"},
        "offset": {"config": {"scale": 2.5, "offset": -1.0}, "shapes": [(3, 5)]},
        "bytes to plus minus one": {
            "config": {"scale": 0.00784313725490196, "offset": -1.0},
            "shapes": [(2, 7)],
            "data": "bytes",
        },
    },
    "Normalization": {
        "adapted": {"shapes": [(4, 3)], "adapt": (11, 3)},
        "adapted images": {"shapes": image(2, 3, 3), "adapt": (5, 3, 4, 3)},
        "adapted, one statistic": {"config": {"axis": None}, "shapes": [(4, 3)], "adapt": (7, 3)},
        "adapted over two axes": {"config": {"axis": [1, 2]}, "shapes": [(4, 2, 3)], "adapt": (7, 2, 3)},
        "adapted, inverted": {"config": {"invert": True}, "shapes": [(4, 3)], "adapt": (11, 3)},
        "given": {"config": {"mean": [0.5, -1.0, 2.0], "variance": [4.0, 0.25, 1.5]}, "shapes": [(4, 3)]},
        "given scalars": {"config": {"axis": None, "mean": 0.5, "variance": 2.0}, "shapes": [(4, 3)]},
        "given, inverted": {
            "config": {"mean": [0.5, -1.0], "variance": [4.0, 0.25], "invert": True},
            "shapes": [(3, 2)],
        },
        "given zero variance": {"config": {"mean": [0.5, -1.0], "variance": [0.0, 2.0]}, "shapes": [(3, 2)]},
    },
    "LayerNormalization": {
        "defaults": {"shapes": [(3, 5)]},
        "epsilon, sequence": {"config": {"epsilon": 0.02}, "shapes": [(2, 3, 4)]},
        "two axes, no center": {"config": {"axis": [1, 2], "center": False}, "shapes": [(2, 3, 4)]},
        "no scale": {"config": {"scale": False}, "shapes": [(3, 5)]},
    },
    "GroupNormalization": {"three groups": {"config": {"groups": 3, "epsilon": 0.01}, "shapes": image(3, 2, 6)}},
    "RMSNormalization": {"defaults": {"shapes": [(3, 5)]}},
    "UnitNormalization": {"defaults": {"shapes": [(3, 5)]}},
    "Embedding": {
        "defaults": {"config": {"input_dim": 7, "output_dim": 3}, "shapes": [(2, 5)], "data": "ids", "below": 7}
    },
    "Add": {"three": {"shapes": [(2, 3, 4)] * 3, "list": True}},
    "Subtract": {"two": {"shapes": [(3, 4)] * 2, "list": True}},
    "Multiply": {"two": {"shapes": [(3, 4)] * 2, "list": True}},
    "Average": {"three": {"shapes": [(3, 4)] * 3, "list": True}},
    "Maximum": {"two": {"shapes": [(3, 5)] * 2, "list": True}},
    "Concatenate": {
        "defaults": {"shapes": [(2, 3), (2, 5)], "list": True},
        "axis one": {"config": {"axis": 1}, "shapes": [(2, 3, 4), (2, 1, 4)], "list": True},
    },
    "ZeroPadding2D": {
        "defaults": {"shapes": image(2, 3, 2)},
        "four sides": {"config": {"padding": [[1, 2], [0, 3]]}, "shapes": image(2, 3, 2)},
    },
    "UpSampling2D": {"nearest": {"config": {"size": [2, 3]}, "shapes": image(2, 3, 2)}},
    "Permute": {"three": {"config": {"dims": [3, 1, 2]}, "shapes": image(2, 3, 4)}},
    "RepeatVector": {"three": {"config": {"n": 3}, "shapes": [(2, 5)]}},
    "Conv1D": {
        "causal": {
            "config": {"filters": 3, "kernel_size": 3, "padding": "causal", "dilation_rate": 2},
            "shapes": [(2, 7, 2)],
        },
        "strides same": {
            "config": {"filters": 3, "kernel_size": 4, "strides": 2, "padding": "same"},
            "shapes": [(2, 7, 2)],
        },
    },
    "DepthwiseConv2D": {
        "multiplier": {
            "config": {"kernel_size": [2, 3], "depth_multiplier": 2, "padding": "same"},
            "shapes": image(4, 5, 3),
        },
    },
    "Conv2DTranspose": {
        "valid": {"config": {"filters": 2, "kernel_size": [3, 2], "strides": [2, 1]}, "shapes": image(3, 4, 3)},
        "same": {"config": {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same"}, "shapes": image(3, 4, 3)},
    },
    "MultiHeadAttention": {
        "self": {"config": {"num_heads": 2, "key_dim": 3}, "shapes": [(2, 4, 5)] * 2},
        "cross": {"config": {"num_heads": 3, "key_dim": 2, "output_shape": 4}, "shapes": [(2, 4, 5), (2, 3, 6)]},
        "causal": {
            "config": {"num_heads": 2, "key_dim": 3, "use_bias": False},
            "shapes": [(2, 4, 5)] * 2,
            "call": {"use_causal_mask": True},
        },
    },
}
