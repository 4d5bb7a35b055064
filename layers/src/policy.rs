//! In which types layers compute and keep their weights: Keras' dtype policies.

use crate::config::Reader;
use addax_tensor::{DType, Error, Result};
use serde_json::{Value as Json, json};
use std::sync::atomic::{AtomicUsize, Ordering};

/// In which types a layer computes and keeps its weights. Keras' names: `float32`, `mixed_float16`, ….
///
/// Under a mixed policy layers compute in half floats, which take half the memory, and keep weights, moving statistics and
/// optimizer slots in `float32`, which small updates need.
///
/// ```
/// use addax_layers::Policy;
/// use addax_tensor::DType;
/// let policy = Policy::parse("mixed_float16")?;
/// assert_eq!((policy.compute, policy.variable), (DType::F16, DType::F32));
/// let error = Policy::parse("mixed_flot16").unwrap_err();
/// assert!(error.to_string().contains("did you mean \"mixed_float16\""));
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Type of activations.
    pub compute: DType,
    /// Type of weights.
    pub variable: DType,
}

/// Keras' policies for floats. The first is the default.
const POLICIES: [(&str, Policy); 5] = [
    ("float32", Policy { compute: DType::F32, variable: DType::F32 }),
    ("float16", Policy { compute: DType::F16, variable: DType::F16 }),
    ("bfloat16", Policy { compute: DType::BF16, variable: DType::BF16 }),
    ("mixed_float16", Policy { compute: DType::F16, variable: DType::F32 }),
    ("mixed_bfloat16", Policy { compute: DType::BF16, variable: DType::F32 }),
];

impl Default for Policy {
    /// `float32`.
    fn default() -> Self {
        Policy { compute: DType::F32, variable: DType::F32 }
    }
}

impl Policy {
    /// The policy with this Keras name.
    pub fn parse(name: &str) -> Result<Policy> {
        let found = POLICIES.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, policy)| *policy)
            .ok_or_else(|| Error::unknown_name("dtype policy", name, POLICIES.map(|(known, _)| known)))
    }
    /// Keras' name.
    pub fn name(self) -> String {
        match self.compute == self.variable {
            true => self.compute.name().to_string(),
            false => format!("mixed_{}", self.compute.name()),
        }
    }
    /// Whether small gradients would vanish in what is computed while weights could hold them, so that
    /// [`compile`](../addax/struct.Model.html#method.compile) scales the loss.
    pub fn wants_loss_scaling(self) -> bool {
        self.compute == DType::F16 && self.variable == DType::F32
    }
    /// Keras' object, as layers have it under `dtype`.
    pub fn to_json(self) -> Json {
        let config = json!({ "name": self.name() });
        json!({ "module": "keras", "class_name": "DTypePolicy", "config": config, "registered_name": null })
    }
    /// From Keras' object, or from a name.
    pub fn from_json(json: &Json, reader: &Reader<'_>) -> Result<Policy> {
        let name = json.pointer("/config/name").unwrap_or(json);
        let name = name.as_str().ok_or_else(|| reader.expected("a dtype policy", json))?;
        Policy::parse(name).map_err(|e| reader.wrap(e))
    }
}

/// A policy, its name, or a type for everything: what functions that take any of them ask for (`impl Into<PolicyChoice>`). A
/// name that is none is reported when the policy is taken out with [`get`](PolicyChoice::get).
#[derive(Clone, Debug)]
pub struct PolicyChoice(Result<Policy>);

impl PolicyChoice {
    /// The policy, or why there is none.
    pub fn get(self) -> Result<Policy> {
        self.0
    }
}
impl From<Policy> for PolicyChoice {
    fn from(policy: Policy) -> Self {
        PolicyChoice(Ok(policy))
    }
}
impl From<&str> for PolicyChoice {
    fn from(name: &str) -> Self {
        PolicyChoice(Policy::parse(name))
    }
}
impl From<DType> for PolicyChoice {
    fn from(dtype: DType) -> Self {
        PolicyChoice(Policy::parse(dtype.name()))
    }
}

/// Position in the table of the policy that new layers get.
static DEFAULT: AtomicUsize = AtomicUsize::new(0);

/// The policy of layers and models that are made from now on in this process, unless they are given one:
/// Keras' `keras.config.set_dtype_policy`. What is there already, and what is read from a file, stays as it is.
///
/// ```standalone_crate
/// use addax_layers::*;
/// use addax_tensor::DType;
/// set_dtype_policy("mixed_bfloat16")?;
/// let (layer, exact) = (Dense::new(1), Dense::new(1).dtype("float32"));
/// set_dtype_policy("float32")?;
/// let x = Tensor::ones([2, 3]);
/// assert_eq!(Cx::inference().call(&layer, &x)?.dtype()?, DType::BF16);
/// assert_eq!(Cx::inference().call(&exact, &x)?.dtype()?, DType::F32);
/// # Ok::<(), Error>(())
/// ```
pub fn set_dtype_policy(policy: impl Into<PolicyChoice>) -> Result<()> {
    let policy = policy.into().get()?;
    let at = POLICIES.iter().position(|(_, known)| *known == policy);
    let unknown = || Error::argument("this pair of types is none of Keras' policies and cannot be the process's");
    DEFAULT.store(at.ok_or_else(unknown)?, Ordering::Relaxed);
    Ok(())
}

/// The policy that new layers get; `float32` unless [`set_dtype_policy`] was called.
pub fn dtype_policy() -> Policy {
    POLICIES.get(DEFAULT.load(Ordering::Relaxed)).map_or_else(Policy::default, |(_, policy)| *policy)
}
