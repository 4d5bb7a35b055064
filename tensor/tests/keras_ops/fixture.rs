//! Cases of a file: inputs, and the results another library gave.

use addax_tensor::{DType, Result, Tensor, reference};
use serde_json::Value;
use std::path::Path;

/// The cases of one file. All of them have to be looked at.
pub struct Cases {
    file: String,
    cases: Vec<(Value, bool)>,
    wrong: Vec<String>,
}

impl Cases {
    pub fn of(file: &str) -> Cases {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{file}.json"));
        let all: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        Cases { file: file.to_owned(), cases: all.into_iter().map(|case| (case, false)).collect(), wrong: Vec::new() }
    }

    /// Every case of this name: one result, as near as rounding allows.
    #[track_caller]
    pub fn hold(&mut self, name: &str, f: impl Fn(&[Tensor]) -> Tensor) {
        self.all_hold(name, 2e-6, |x| Ok(vec![f(x)]));
    }

    /// Every case of this name: some results, of which those beside 1 differ by at most `tolerance`, larger ones by it relatively.
    #[track_caller]
    pub fn all_hold(&mut self, name: &str, tolerance: f64, f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>) {
        let mut seen = 0;
        for (case, used) in self.cases.iter_mut().filter(|(case, _)| case["name"] == name) {
            (*used, seen) = (true, seen + 1);
            let inputs: Vec<Tensor> = case["x"].as_array().unwrap().iter().map(tensor).collect();
            let want = case["y"].as_array().unwrap();
            let found = f(&inputs).map_err(|e| e.to_string()).and_then(|got| match got.len() == want.len() {
                true => got.iter().zip(want).try_for_each(|(got, want)| agree(got, want, tolerance)),
                false => Err(format!("{} results instead of {}", got.len(), want.len())),
            });
            self.wrong.extend(found.err().map(|what| format!("{name}: {what}")));
        }
        assert!(seen > 0, "no case `{name}` in {}", self.file);
    }

    /// Nothing was wrong, and nothing forgotten.
    #[track_caller]
    pub fn end(self) {
        assert!(self.wrong.is_empty(), "{}:\n{}", self.file, self.wrong.join("\n"));
        let left: Vec<_> = self.cases.iter().filter(|(_, used)| !used).map(|(case, _)| &case["name"]).collect();
        assert!(left.is_empty(), "{}: no test looks at {left:?}", self.file);
    }
}

/// On the executor and on the reference.
fn agree(got: &Tensor, want: &Value, tolerance: f64) -> Result<(), String> {
    let (shape, dtype) = (shape(want), DType::parse(want["dtype"].as_str().unwrap()).unwrap());
    let meta = got.meta().map_err(|e| e.to_string())?;
    if meta.shape.dims() != shape || meta.dtype != dtype {
        return Err(format!("{} {} instead of {dtype} {shape:?}", meta.dtype, meta.shape));
    }
    let want = numbers(want);
    let floats = got.cast(DType::F32);
    let of_reference = reference::evaluate(std::slice::from_ref(&floats)).unwrap()[0].to_vec::<f32>().unwrap();
    for (who, values) in [("executor", floats.to_vec::<f32>().unwrap()), ("reference", of_reference)] {
        let close = |(a, b): (&f32, &f64)| {
            let a = f64::from(*a);
            a.is_nan() && b.is_nan() || a == *b || (a - b).abs() <= tolerance * b.abs().max(1.0)
        };
        if values.len() != want.len() || !values.iter().zip(&want).all(close) {
            return Err(format!("the {who} gives {values:?}\nexpected {want:?}"));
        }
    }
    Ok(())
}

fn tensor(array: &Value) -> Tensor {
    let values: Vec<f32> = numbers(array).into_iter().map(|v| v as f32).collect();
    Tensor::from_vec(values, shape(array)).cast(DType::parse(array["dtype"].as_str().unwrap()).unwrap())
}

fn shape(array: &Value) -> Vec<usize> {
    array["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
}

fn numbers(array: &Value) -> Vec<f64> {
    let number = |v: &Value| match v {
        Value::String(odd) => odd.parse().unwrap(),
        Value::Bool(truth) => f64::from(u8::from(*truth)),
        number => number.as_f64().unwrap(),
    };
    array["data"].as_array().unwrap().iter().map(number).collect()
}
