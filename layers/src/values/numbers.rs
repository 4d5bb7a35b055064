//! A number or a list as an argument.

use super::write_all;
use crate::{
    config::Reader,
    fields::{Field, Kind},
};
use addax_tensor::{Operand, Result, Tensor};
use serde_json::Value as Json;

/// A number, or one number per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers(Vec<f64>, bool);

impl From<f64> for Numbers {
    fn from(value: f64) -> Self {
        Numbers(vec![value], true)
    }
}
impl<const N: usize> From<[f64; N]> for Numbers {
    fn from(values: [f64; N]) -> Self {
        Numbers(values.to_vec(), false)
    }
}
impl From<Vec<f64>> for Numbers {
    fn from(values: Vec<f64>) -> Self {
        Numbers(values, false)
    }
}

impl Numbers {
    /// The numbers.
    pub fn values(&self) -> &[f64] {
        &self.0
    }
    /// A scalar or a vector.
    pub fn operand(&self) -> Operand {
        match (self.0.as_slice(), self.1) {
            ([one], true) => Operand::from(*one),
            (values, _) => Operand::from(Tensor::from_vec(values, [values.len()])),
        }
    }
}

impl Field for Numbers {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    fn write(&self) -> Result<Json> {
        match (self.0.as_slice(), self.1) {
            ([one], true) => one.write(),
            (values, _) => write_all(values),
        }
    }
    /// Nested lists, as NumPy arrays become, are read flat.
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        fn flat(json: &Json, out: &mut Vec<f64>) -> Option<()> {
            match json {
                Json::Array(list) => list.iter().try_for_each(|json| flat(json, out)),
                json => json.as_f64().map(|number| out.push(number)),
            }
        }
        let mut values = Vec::new();
        let list = json.pointer("/config/value").unwrap_or(json);
        flat(list, &mut values).ok_or_else(|| reader.expected("a number or a list of numbers", json))?;
        *self = Numbers(values, list.is_number());
        Ok(())
    }
    fn blank() -> Self {
        Numbers(vec![0.0], true)
    }
}
