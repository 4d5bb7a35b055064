//! Keras' layers for Addax: Dense, Conv2D, LSTM, BatchNormalization and the rest, with initializers and regularizers.
//!
//! A layer is a plain struct with Keras' arguments, `#[derive(Fields)]` and a `forward`. See [`Layer`] for one of your own.

// The derive macro writes `::addax_layers`, also inside this crate.
extern crate self as addax_layers;

pub mod activations;
mod base;
mod builtin;
mod config;
pub mod constraints;
mod cx;
mod fields;
mod hash;
pub mod initializers;
mod layer;
pub mod names;
mod object;
mod orthogonal;
mod philox;
mod policy;
mod registry;
pub mod regularizers;
mod tree;
mod values;
mod weight;

pub use addax_derive::Fields;
pub use addax_tensor::{Error, Result, Tensor};
pub use base::Base;
pub use builtin::*;
pub use config::{Reader, all_values, config_of, layer_to_json, read_config, read_layer};
pub use constraints::Constraint;
pub use cx::{Cx, Recorded, Slot};
pub use fields::{Field, Fields, Id, Key, Kind};
pub use initializers::Initializer;
pub use layer::{DynLayer, Feed, Layer, Values};
pub use names::to_snake_case;
pub use policy::{Policy, PolicyChoice, dtype_policy, set_dtype_policy};
pub use registry::{Construct, Registry, layer_from_config};
pub use regularizers::{L1, L1L2, L2, Regularizer};
pub use serde_json::Value as Json;
pub use tree::{Child, NamedWeight, base, children, own_weights, set_trainable, trainable, weights};
pub use values::{AxisList, DataFormat, Ignored, Never, Numbers, Padding, Pair};
pub use weight::Weight;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
