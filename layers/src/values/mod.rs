//! The config values that layers are made of, as Keras writes them in JSON.

mod axis_list;
mod numbers;
mod unused;
mod window;

pub use axis_list::AxisList;
pub use numbers::Numbers;
pub use unused::{Ignored, Never};
pub(crate) use unused::{NoReturnState, NoStates};
pub use window::{DataFormat, Padding, Pair};

use crate::{
    config::Reader,
    fields::{Field, Kind},
};
use addax_tensor::{DType, Error, Result};
use serde_json::{Value as Json, json};

macro_rules! plain {
    ($($type:ty, $what:literal, $blank:expr, $read:expr;)*) => {$(
        impl Field for $type {
            fn kind(&self) -> Kind<'_> {
                Kind::Config
            }
            fn write(&self) -> Result<Json> {
                Ok(json!(self))
            }
            fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
                let read: fn(&Json) -> Option<$type> = $read;
                *self = read(json).ok_or_else(|| reader.expected($what, json))?;
                Ok(())
            }
            fn blank() -> Self {
                $blank
            }
        }
    )*};
}
plain! {
    bool, "true or false", false, Json::as_bool;
    String, "a string", String::new(), |j| j.as_str().map(String::from);
    u64, "a whole number", 0, Json::as_u64;
    i64, "a whole number", 0, Json::as_i64;
    f32, "a number", 0.0, |j| j.as_f64().map(|v| v as f32);
    usize, "a whole number", 0, |j| j.as_u64().and_then(|v| v.try_into().ok());
    isize, "a whole number", 0, |j| j.as_i64().and_then(|v| v.try_into().ok());
    u32, "a whole number", 0, |j| j.as_u64().and_then(|v| v.try_into().ok());
    i32, "a whole number", 0, |j| j.as_i64().and_then(|v| v.try_into().ok());
}

impl Field for f64 {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    /// JSON has no infinities; Keras writes them as Python does, which no strict reader takes. They are refused.
    fn write(&self) -> Result<Json> {
        match serde_json::Number::from_f64(*self) {
            Some(number) => Ok(Json::Number(number)),
            None => Err(Error::argument(format!("{self} cannot be saved in a config"))),
        }
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        *self = json.as_f64().ok_or_else(|| reader.expected("a number", json))?;
        Ok(())
    }
    fn blank() -> Self {
        0.0
    }
}

impl Field for DType {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    fn write(&self) -> Result<Json> {
        Ok(json!(self.name()))
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        let name = json.pointer("/config/name").unwrap_or(json);
        let name = name.as_str().ok_or_else(|| reader.expected("a dtype", json))?;
        *self = DType::parse(name).map_err(|e| reader.wrap(e))?;
        Ok(())
    }
    fn blank() -> Self {
        DType::F32
    }
}

impl<T: Field> Field for Option<T> {
    fn kind(&self) -> Kind<'_> {
        match self {
            Some(value) => value.kind(),
            None => Kind::Config,
        }
    }
    fn write(&self) -> Result<Json> {
        self.as_ref().map_or(Ok(Json::Null), Field::write)
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        *self = match json {
            Json::Null => None,
            json => {
                let mut value = T::blank();
                value.read(json, reader)?;
                Some(value)
            }
        };
        Ok(())
    }
    fn blank() -> Self {
        None
    }
}

fn kinds<T: Field>(values: &[T]) -> Kind<'_> {
    let kinds: Vec<_> = values.iter().map(Field::kind).collect();
    match kinds.iter().any(|k| !matches!(k, Kind::Config)) {
        true => Kind::Many(kinds),
        false => Kind::Config,
    }
}

pub(crate) fn write_all<T: Field>(values: &[T]) -> Result<Json> {
    values.iter().map(Field::write).collect::<Result<Vec<_>>>().map(Json::Array)
}

impl<T: Field> Field for Vec<T> {
    fn kind(&self) -> Kind<'_> {
        kinds(self)
    }
    fn write(&self) -> Result<Json> {
        write_all(self)
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        let list = json.as_array().ok_or_else(|| reader.expected("a list", json))?;
        let mut values = Vec::with_capacity(list.len());
        for (i, json) in list.iter().enumerate() {
            let mut value = T::blank();
            reader.at(i.to_string(), |reader| value.read(json, reader))?;
            values.push(value);
        }
        *self = values;
        Ok(())
    }
    fn blank() -> Self {
        Vec::new()
    }
}

impl<T: Field, const N: usize> Field for [T; N] {
    fn kind(&self) -> Kind<'_> {
        kinds(self)
    }
    fn write(&self) -> Result<Json> {
        write_all(self)
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        let list = json.as_array().filter(|list| list.len() == N);
        let list = list.ok_or_else(|| reader.expected(&format!("a list of {N}"), json))?;
        for (i, (value, json)) in self.iter_mut().zip(list).enumerate() {
            reader.at(i.to_string(), |reader| value.read(json, reader))?;
        }
        Ok(())
    }
    fn blank() -> Self {
        std::array::from_fn(|_| T::blank())
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    fn kind(&self) -> Kind<'_> {
        match (self.0.kind(), self.1.kind()) {
            (Kind::Config, Kind::Config) => Kind::Config,
            (a, b) => Kind::Many(vec![a, b]),
        }
    }
    fn write(&self) -> Result<Json> {
        Ok(Json::Array(vec![self.0.write()?, self.1.write()?]))
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        match json.as_array().map(Vec::as_slice) {
            Some([a, b]) => {
                reader.at("0", |reader| self.0.read(a, reader))?;
                reader.at("1", |reader| self.1.read(b, reader))
            }
            _ => Err(reader.expected("a list of 2", json)),
        }
    }
    fn blank() -> Self {
        (A::blank(), B::blank())
    }
}
