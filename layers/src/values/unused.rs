//! Arguments of Keras that stand in its files and do nothing here.

use crate::{
    config::Reader,
    fields::{Field, Kind},
};
use addax_tensor::Result;
use serde_json::Value as Json;

/// Arguments that a file may only have turned off, each with what to say if it has not.
macro_rules! never {
    ($($(#[$doc:meta])* $name:ident: $why:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name;

        impl Field for $name {
            fn kind(&self) -> Kind<'_> {
                Kind::Config
            }
            fn write(&self) -> Result<Json> {
                Ok(Json::Null)
            }
            fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
                match json {
                    Json::Null | Json::Bool(false) => Ok(()),
                    other => Err(reader.error(format!(concat!("{} is not supported; only false is", $why), other))),
                }
            }
            fn blank() -> Self {
                $name
            }
        }
    )*};
}
never! {
    /// Stands for an argument of Keras that is not supported: a file may only have it turned off.
    Never: "";
    /// `return_state` of recurrent layers, which have one output here.
    NoReturnState: ". A layer has one output here: with `return_sequences`, take the last step for the state of `SimpleRNN` and `GRU`";
    /// `stateful` of recurrent layers, whose batches may have any size here.
    NoStates: ". States would tie a model to batches of one size, and here they may have any; give whole sequences instead";
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
