//! First values of weights. They are drawn on the host and depend on seed, layer path and name alone.

use crate::{
    config::Reader,
    fields::{Field, Kind},
    object::{self, Object},
    orthogonal::orthogonal,
    philox::Philox,
};
use addax_tensor::{Array, Error, Result, Shape};
use serde_json::{Value as Json, json};

/// Standard deviation of a normal distribution that is cut at two standard deviations.
const CUT_DEVIATION: f64 = 0.879_625_661_034_239_8;

/// What the scale of [`VarianceScaling`](Initializer::VarianceScaling) is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// Number of inputs of a unit.
    In,
    /// Number of outputs.
    Out,
    /// Mean of both.
    Avg,
}

/// From what [`VarianceScaling`](Initializer::VarianceScaling) draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Normal, cut at two standard deviations and widened to the wanted variance.
    TruncatedNormal,
    /// Normal.
    UntruncatedNormal,
    /// Uniform.
    Uniform,
}

/// How a weight begins. Strings are Keras' names: `"glorot_uniform"`, `"he_normal"`, `"zeros"`, ….
///
/// With a seed of its own an initializer gives the same values wherever it is used; without one they depend on the
/// model's seed and the weight's path.
#[derive(Clone, Debug, PartialEq)]
pub enum Initializer {
    /// 0.
    Zeros,
    /// 1.
    Ones,
    /// This value.
    Constant(f64),
    /// `gain` on the diagonal of a matrix.
    Identity(f64),
    /// Normal.
    RandomNormal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        stddev: f64,
        /// Seed of its own.
        seed: Option<u64>,
    },
    /// Normal, drawn again beyond two standard deviations.
    TruncatedNormal {
        /// Mean.
        mean: f64,
        /// Standard deviation before the cut.
        stddev: f64,
        /// Seed of its own.
        seed: Option<u64>,
    },
    /// Uniform in `[minval, maxval)`.
    RandomUniform {
        /// Lower end.
        minval: f64,
        /// Upper end.
        maxval: f64,
        /// Seed of its own.
        seed: Option<u64>,
    },
    /// Variance `scale / fan`. The Glorot, He and LeCun initializers are cases of it and keep their names in files.
    VarianceScaling {
        /// Factor of the variance.
        scale: f64,
        /// Divisor of the variance.
        mode: Fan,
        /// What is drawn from.
        distribution: Distribution,
        /// Seed of its own.
        seed: Option<u64>,
    },
    /// A matrix with orthonormal rows or columns, times `gain`; other shapes count all axes but the last as rows.
    Orthogonal {
        /// Factor.
        gain: f64,
        /// Seed of its own.
        seed: Option<u64>,
    },
    /// A string that names no initializer; using it is an error.
    Unknown(String),
}

/// Keras' names of the cases of variance scaling.
const SCALED: [(&str, &str, f64, Fan, Distribution); 6] = [
    ("GlorotUniform", "glorot_uniform", 1.0, Fan::Avg, Distribution::Uniform),
    ("GlorotNormal", "glorot_normal", 1.0, Fan::Avg, Distribution::TruncatedNormal),
    ("HeUniform", "he_uniform", 2.0, Fan::In, Distribution::Uniform),
    ("HeNormal", "he_normal", 2.0, Fan::In, Distribution::TruncatedNormal),
    ("LecunUniform", "lecun_uniform", 1.0, Fan::In, Distribution::Uniform),
    ("LecunNormal", "lecun_normal", 1.0, Fan::In, Distribution::TruncatedNormal),
];
const NAMES: [&str; 15] = [
    "zeros",
    "ones",
    "constant",
    "identity",
    "random_normal",
    "truncated_normal",
    "random_uniform",
    "variance_scaling",
    "orthogonal",
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
];

impl From<&str> for Initializer {
    fn from(name: &str) -> Self {
        let seed = None;
        if let Some((_, _, scale, mode, distribution)) =
            SCALED.iter().find(|(class, snake, ..)| [*class, *snake].contains(&name))
        {
            return Initializer::VarianceScaling { scale: *scale, mode: *mode, distribution: *distribution, seed };
        }
        match name {
            "zeros" | "Zeros" => Initializer::Zeros,
            "ones" | "Ones" => Initializer::Ones,
            "constant" | "Constant" => Initializer::Constant(0.0),
            "identity" | "Identity" | "IdentityInitializer" => Initializer::Identity(1.0),
            "random_normal" | "RandomNormal" | "normal" => Initializer::RandomNormal { mean: 0.0, stddev: 0.05, seed },
            "truncated_normal" | "TruncatedNormal" => Initializer::TruncatedNormal { mean: 0.0, stddev: 0.05, seed },
            "random_uniform" | "RandomUniform" | "uniform" => {
                Initializer::RandomUniform { minval: -0.05, maxval: 0.05, seed }
            }
            "variance_scaling" | "VarianceScaling" => Initializer::VarianceScaling {
                scale: 1.0,
                mode: Fan::In,
                distribution: Distribution::TruncatedNormal,
                seed,
            },
            "orthogonal" | "Orthogonal" | "OrthogonalInitializer" => Initializer::Orthogonal { gain: 1.0, seed },
            other => Initializer::Unknown(other.into()),
        }
    }
}
impl From<&Initializer> for Initializer {
    fn from(initializer: &Initializer) -> Self {
        initializer.clone()
    }
}

/// Number of inputs and outputs of a unit, by the shape of its weight.
///
/// A matrix is `[in, out]`; a kernel of more axes is `[.., in, out]`, and both count once per position.
pub fn compute_fans(shape: &Shape) -> (f64, f64) {
    match shape.dims() {
        [] => (1.0, 1.0),
        [n] => (*n as f64, *n as f64),
        [window @ .., fan_in, fan_out] => {
            let receptive: usize = window.iter().product();
            ((fan_in * receptive) as f64, (fan_out * receptive) as f64)
        }
    }
}

/// What a weight is filled with: a number, a matrix, or draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Law {
    Constant(f64),
    Uniform { minval: f64, maxval: f64 },
    Normal { mean: f64, stddev: f64 },
    TruncatedNormal { mean: f64, stddev: f64 },
    Identity { gain: f64 },
    Orthogonal { gain: f64 },
}

impl Initializer {
    /// [`RandomNormal`](Initializer::RandomNormal) around 0.
    pub fn normal(stddev: f64) -> Initializer {
        Initializer::RandomNormal { mean: 0.0, stddev, seed: None }
    }
    /// The same initializer with a seed of its own, if it draws.
    pub fn with_seed(mut self, new: u64) -> Initializer {
        if let Initializer::RandomNormal { seed, .. }
        | Initializer::TruncatedNormal { seed, .. }
        | Initializer::RandomUniform { seed, .. }
        | Initializer::VarianceScaling { seed, .. }
        | Initializer::Orthogonal { seed, .. } = &mut self
        {
            *seed = Some(new);
        }
        self
    }
    fn own_seed(&self) -> Option<u64> {
        match self {
            Initializer::RandomNormal { seed, .. }
            | Initializer::TruncatedNormal { seed, .. }
            | Initializer::RandomUniform { seed, .. }
            | Initializer::VarianceScaling { seed, .. }
            | Initializer::Orthogonal { seed, .. } => *seed,
            _ => None,
        }
    }
    /// What it does at this shape.
    pub(crate) fn law(&self, shape: &Shape) -> Result<Law> {
        Ok(match *self {
            Initializer::Zeros => Law::Constant(0.0),
            Initializer::Ones => Law::Constant(1.0),
            Initializer::Constant(value) => Law::Constant(value),
            Initializer::Identity(gain) => Law::Identity { gain },
            Initializer::RandomNormal { mean, stddev, .. } => Law::Normal { mean, stddev },
            Initializer::TruncatedNormal { mean, stddev, .. } => Law::TruncatedNormal { mean, stddev },
            Initializer::RandomUniform { minval, maxval, .. } => Law::Uniform { minval, maxval },
            Initializer::Orthogonal { gain, .. } => Law::Orthogonal { gain },
            Initializer::VarianceScaling { scale, mode, distribution, .. } => {
                if scale <= 0.0 {
                    return Err(Error::argument(format!("variance scaling needs a scale above 0, got {scale}")));
                }
                let (fan_in, fan_out) = compute_fans(shape);
                let fan = match mode {
                    Fan::In => fan_in,
                    Fan::Out => fan_out,
                    Fan::Avg => (fan_in + fan_out) / 2.0,
                };
                let variance = scale / fan.max(1.0);
                match distribution {
                    Distribution::TruncatedNormal => {
                        Law::TruncatedNormal { mean: 0.0, stddev: variance.sqrt() / CUT_DEVIATION }
                    }
                    Distribution::UntruncatedNormal => Law::Normal { mean: 0.0, stddev: variance.sqrt() },
                    Distribution::Uniform => {
                        let limit = (3.0 * variance).sqrt();
                        Law::Uniform { minval: -limit, maxval: limit }
                    }
                }
            }
            Initializer::Unknown(ref name) => return Err(Error::unknown_name("initializer", name, NAMES)),
        })
    }
    /// Values for a weight of this shape, `F32`. The initializer's own seed wins over `seed`.
    pub fn values(&self, shape: &Shape, seed: u64) -> Result<Array> {
        let mut draw = Philox::new(self.own_seed().unwrap_or(seed));
        let n = shape.numel();
        let values: Vec<f32> = match self.law(shape)? {
            Law::Constant(value) => vec![value as f32; n],
            Law::Uniform { minval, maxval } => {
                (0..n).map(|_| (minval + (maxval - minval) * draw.uniform()) as f32).collect()
            }
            Law::Normal { mean, stddev } => (0..n).map(|_| (mean + stddev * draw.normal()) as f32).collect(),
            Law::TruncatedNormal { mean, stddev } => {
                (0..n).map(|_| (mean + stddev * draw.truncated_normal()) as f32).collect()
            }
            Law::Identity { gain } => match shape.dims() {
                [rows, cols] => {
                    (0..rows * cols).map(|i| if i / cols == i % cols { gain as f32 } else { 0.0 }).collect()
                }
                _ => return Err(Error::shape(format!("the identity initializer needs a matrix, got shape {shape}"))),
            },
            Law::Orthogonal { gain } => match shape.dims() {
                [outer @ .., cols] if !outer.is_empty() => {
                    let rows: usize = outer.iter().product();
                    let normal: Vec<f64> = (0..n).map(|_| draw.normal()).collect();
                    orthogonal(&normal, rows, *cols).into_iter().map(|v| (gain * v) as f32).collect()
                }
                _ => {
                    return Err(Error::shape(format!(
                        "the orthogonal initializer needs at least two axes, got shape {shape}"
                    )));
                }
            },
        };
        Array::new(shape, &values)
    }
    fn class_and_arguments(&self) -> Result<(&'static str, Vec<(&'static str, Json)>)> {
        let mut arguments = Vec::new();
        let class = match self {
            Initializer::Zeros => "Zeros",
            Initializer::Ones => "Ones",
            Initializer::Constant(value) => {
                arguments.push(("value", value.write()?));
                "Constant"
            }
            Initializer::Identity(gain) => {
                arguments.push(("gain", gain.write()?));
                "Identity"
            }
            Initializer::RandomNormal { mean, stddev, .. } => {
                arguments.extend([("mean", mean.write()?), ("stddev", stddev.write()?)]);
                "RandomNormal"
            }
            Initializer::TruncatedNormal { mean, stddev, .. } => {
                arguments.extend([("mean", mean.write()?), ("stddev", stddev.write()?)]);
                "TruncatedNormal"
            }
            Initializer::RandomUniform { minval, maxval, .. } => {
                arguments.extend([("minval", minval.write()?), ("maxval", maxval.write()?)]);
                "RandomUniform"
            }
            Initializer::Orthogonal { gain, .. } => {
                arguments.push(("gain", gain.write()?));
                "Orthogonal"
            }
            Initializer::VarianceScaling { scale, mode, distribution, .. } => {
                match SCALED.iter().find(|(_, _, s, m, d)| (s, m, d) == (scale, mode, distribution)) {
                    Some((class, ..)) => class,
                    None => {
                        let (mode, distribution) = (fan_name(*mode), distribution_name(*distribution));
                        arguments.extend([
                            ("scale", scale.write()?),
                            ("mode", json!(mode)),
                            ("distribution", json!(distribution)),
                        ]);
                        "VarianceScaling"
                    }
                }
            }
            Initializer::Unknown(name) => return Err(Error::unknown_name("initializer", name, NAMES)),
        };
        if let Some(seed) = self.own_seed() {
            arguments.push(("seed", json!(seed)));
        }
        Ok((class, arguments))
    }
}

fn fan_name(fan: Fan) -> &'static str {
    match fan {
        Fan::In => "fan_in",
        Fan::Out => "fan_out",
        Fan::Avg => "fan_avg",
    }
}

fn distribution_name(distribution: Distribution) -> &'static str {
    match distribution {
        Distribution::TruncatedNormal => "truncated_normal",
        Distribution::UntruncatedNormal => "untruncated_normal",
        Distribution::Uniform => "uniform",
    }
}

impl Field for Initializer {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    fn write(&self) -> Result<Json> {
        let (class, arguments) = self.class_and_arguments()?;
        Ok(object::to_json("keras.initializers", class, arguments))
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        let object = Object::from_json(json, "an initializer", reader)?;
        let mut found = Initializer::from(object.class.as_str());
        match &mut found {
            Initializer::Zeros | Initializer::Ones => {}
            Initializer::Constant(value) => *value = object.number("value", *value, reader)?,
            Initializer::Identity(gain) | Initializer::Orthogonal { gain, .. } => {
                *gain = object.number("gain", *gain, reader)?;
            }
            Initializer::RandomNormal { mean, stddev, .. } | Initializer::TruncatedNormal { mean, stddev, .. } => {
                *mean = object.number("mean", *mean, reader)?;
                *stddev = object.number("stddev", *stddev, reader)?;
            }
            Initializer::RandomUniform { minval, maxval, .. } => {
                *minval = object.number("minval", *minval, reader)?;
                *maxval = object.number("maxval", *maxval, reader)?;
            }
            Initializer::VarianceScaling { scale, mode, distribution, .. } => {
                *scale = object.number("scale", *scale, reader)?;
                let name = object.text("mode", fan_name(*mode), reader)?;
                *mode = [Fan::In, Fan::Out, Fan::Avg]
                    .into_iter()
                    .find(|fan| fan_name(*fan) == name.to_lowercase())
                    .ok_or_else(|| reader.error(format!("\"{name}\" is no mode; fan_in, fan_out and fan_avg are")))?;
                let name = object.text("distribution", distribution_name(*distribution), reader)?;
                // Keras takes "normal" for the truncated one.
                let wanted = if name == "normal" { "truncated_normal" } else { name.as_str() };
                *distribution = [Distribution::TruncatedNormal, Distribution::UntruncatedNormal, Distribution::Uniform]
                    .into_iter()
                    .find(|d| distribution_name(*d) == wanted)
                    .ok_or_else(|| reader.error(format!("\"{name}\" is no distribution of an initializer")))?;
            }
            Initializer::Unknown(name) => {
                return Err(reader.wrap(Error::unknown_name("initializer", name.as_str(), NAMES)));
            }
        }
        *self = match object.seed() {
            Some(seed) => found.with_seed(seed),
            None => found,
        };
        Ok(())
    }
    fn blank() -> Self {
        Initializer::Zeros
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;

    fn fixture() -> Json {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/keras/initializers.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }
    fn read(json: &Json) -> Initializer {
        let registry = Registry::empty();
        let mut initializer = Initializer::blank();
        initializer.read(json, &mut Reader::new(&registry)).unwrap();
        let mut again = Initializer::blank();
        again.read(&initializer.write().unwrap(), &mut Reader::new(&registry)).unwrap();
        assert_eq!(again, initializer, "written and read");
        initializer
    }
    fn shape(json: &Json) -> Shape {
        json["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
    }
    fn values(json: &Json) -> Vec<f64> {
        json["data"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }
    fn close(a: f64, b: &Json) -> bool {
        (a - b.as_f64().unwrap()).abs() <= 1e-12 * a.abs()
    }

    #[test]
    fn fans_are_those_of_keras() {
        for case in fixture()["fans"].as_array().unwrap() {
            let (fan_in, fan_out) = compute_fans(&shape(case));
            assert!(close(fan_in, &case["fan_in"]) && close(fan_out, &case["fan_out"]), "{case}");
        }
    }

    #[test]
    fn laws_are_those_of_keras() {
        let mut count = 0;
        for case in fixture()["laws"].as_array().unwrap() {
            for at in case["at"].as_array().unwrap() {
                let fits = match (read(case).law(&shape(at)).unwrap(), at["distribution"].as_str().unwrap()) {
                    (Law::Uniform { minval, maxval }, "uniform") => {
                        close(minval, &at["minval"]) && close(maxval, &at["maxval"])
                    }
                    (Law::Normal { mean, stddev }, "normal")
                    | (Law::TruncatedNormal { mean, stddev }, "truncated_normal") => {
                        close(mean, &at["mean"]) && close(stddev, &at["stddev"])
                    }
                    _ => false,
                };
                assert!(fits, "{} at {at}", case["class_name"]);
                count += 1;
            }
        }
        assert!(count > 50);
    }

    #[test]
    fn values_without_chance_are_those_of_keras() {
        for case in fixture()["fixed"].as_array().unwrap() {
            let got = read(case).values(&shape(&case["value"]), 0).unwrap().to_vec::<f64>().unwrap();
            let wanted: Vec<f64> = values(&case["value"]).iter().map(|v| f64::from(*v as f32)).collect();
            assert_eq!(got, wanted, "{case}");
        }
    }

    #[test]
    fn orthogonal_matrices_are_those_of_keras() {
        for case in fixture()["orthogonal"].as_array().unwrap() {
            let shape = shape(case);
            let (cols, outer) = shape.split_last().unwrap();
            let gain = case["config"]["gain"].as_f64().unwrap_or(1.0);
            let got = orthogonal(&values(&case["normal"]), outer.iter().product(), *cols);
            for (g, w) in got.iter().zip(values(&case["value"])) {
                assert!((g * gain - w).abs() < 1e-5, "{shape}: {g} {w}");
            }
        }
    }

    #[test]
    fn names_are_those_of_keras() {
        for (name, class) in fixture()["names"].as_object().unwrap() {
            // Keras refuses "constant" alone only because its value then has no name; here it is 0.
            let known = !matches!(Initializer::from(name.as_str()), Initializer::Unknown(_));
            assert!(known || class.is_null(), "{name}");
            if let Some(class) = class.as_str() {
                assert_eq!(Initializer::from(class), Initializer::from(name.as_str()));
            }
        }
    }
}
