//! Axes as an argument.

use super::write_all;
use crate::{
    config::Reader,
    fields::{Field, Kind},
};
use addax_tensor::Result;
use serde_json::Value as Json;

/// One axis or several, negative from the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisList(pub Vec<isize>);

impl From<isize> for AxisList {
    fn from(axis: isize) -> Self {
        AxisList(vec![axis])
    }
}
impl<const N: usize> From<[isize; N]> for AxisList {
    fn from(axes: [isize; N]) -> Self {
        AxisList(axes.to_vec())
    }
}

impl Field for AxisList {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    fn write(&self) -> Result<Json> {
        match self.0.as_slice() {
            [] => Ok(Json::Null),
            [one] => one.write(),
            axes => write_all(axes),
        }
    }
    /// Keras writes a number, a list, or null for none.
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        match json {
            Json::Null => self.0.clear(),
            Json::Array(_) => self.0.read(json, reader)?,
            json => {
                let mut one = 0isize;
                one.read(json, reader)?;
                self.0 = vec![one];
            }
        }
        Ok(())
    }
    fn blank() -> Self {
        AxisList(Vec::new())
    }
}
