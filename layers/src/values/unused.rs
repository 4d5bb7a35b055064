//! Arguments of Keras that stand in its files and do nothing here.

use crate::{
    config::Reader,
    fields::{Field, Kind},
};
use addax_tensor::Result;
use serde_json::Value as Json;

/// Stands for an argument of Keras that is not supported: a file may only have it turned off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Never;

impl Field for Never {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    fn write(&self) -> Result<Json> {
        Ok(Json::Null)
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        match json {
            Json::Null | Json::Bool(false) => Ok(()),
            other => Err(reader.error(format!("{other} is not supported; only false is"))),
        }
    }
    fn blank() -> Self {
        Never
    }
}

/// Stands for an argument of Keras that changes no result, such as the choice of a kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored;

impl Field for Ignored {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    fn write(&self) -> Result<Json> {
        Ok(Json::Null)
    }
    fn read(&mut self, _: &Json, _: &mut Reader<'_>) -> Result<()> {
        Ok(())
    }
    fn blank() -> Self {
        Ignored
    }
}
