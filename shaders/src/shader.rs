//! From a kernel of the table to the WGSL text a device compiles.

use crate::kernels::{Kernel, Variant};
use crate::preprocess::{Error, Preprocessor};

/// Where a shader finds its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameters<'a> {
    /// In a uniform buffer at `@group(1) @binding(0)`: everywhere, browsers included.
    Uniform,
    /// In immediate data (push constants): native devices.
    Immediates,
    /// In the text, as constants: the values of all fields as WGSL literals, such as `"64u, 64u, 0.5"`. One pipeline per
    /// value, with index arithmetic as cheap as it gets.
    Baked(&'a str),
}

/// The WGSL of one permutation of a kernel; what is not set is left out.
///
/// ```
/// use addax_shaders::{Parameters, Shader, kernels::kernel};
/// let map = kernel("map").ok_or("no such kernel")?;
/// let text = Shader::new(map)
///     .parameters(Parameters::Immediates)
///     .fields("factor: f32,")
///     .holes(
///         "@group(0) @binding(0) var<storage, read> x: array<f32>;
///          @group(0) @binding(1) var<storage, read_write> y: array<f32>;
///          fn body(first: u32, lanes: u32) { y[first] = params.factor * math_tanh(x[first]); }",
///     )
///     .wgsl()?;
/// assert!(text.contains("var<immediate> params: Params;"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Shader<'a> {
    kernel: &'a Kernel,
    variant: Option<&'a Variant>,
    flags: Vec<&'a str>,
    parameters: Parameters<'a>,
    fields: &'a str,
    holes: &'a str,
}

impl<'a> Shader<'a> {
    /// The kernel in its first variant, without flags, parameters in a uniform buffer.
    pub fn new(kernel: &'a Kernel) -> Self {
        Self {
            kernel,
            variant: kernel.variants.first(),
            flags: Vec::new(),
            parameters: Parameters::Uniform,
            fields: "",
            holes: "",
        }
    }

    /// Chooses the operation, from the kernel's variants.
    #[must_use]
    pub fn variant(mut self, variant: &'a Variant) -> Self {
        self.variant = Some(variant);
        self
    }

    /// Defines one of the kernel's flags.
    #[must_use]
    pub fn flag(mut self, flag: &'a str) -> Self {
        self.flags.push(flag);
        self
    }

    /// Where parameters are found.
    #[must_use]
    pub fn parameters(mut self, parameters: Parameters<'a>) -> Self {
        self.parameters = parameters;
        self
    }

    /// Fields that follow the kernel's own in `Params`, for the holes' use: `"factor: f32, seed: u32,"`.
    #[must_use]
    pub fn fields(mut self, fields: &'a str) -> Self {
        self.fields = fields;
        self
    }

    /// The text of the holes: storage bindings in `@group(0)`, and the functions the kernel's head asks for.
    #[must_use]
    pub fn holes(mut self, holes: &'a str) -> Self {
        self.holes = holes;
        self
    }

    /// The text, plain WGSL with one entry point `main`.
    ///
    /// # Errors
    /// A flag the kernel does not have, or a fault in a shader's text, with file and line.
    pub fn wgsl(&self) -> Result<String, Error> {
        let fault = |message: String| Error { file: self.kernel.name.to_owned(), line: 0, message };
        if let Some(flag) = self.flags.iter().find(|flag| !self.kernel.flags.contains(flag)) {
            let known = self.kernel.flags.join(", ");
            return Err(fault(format!("no flag named `{flag}`; the kernel has: {known}")));
        }
        let Some(text) = kernel_text(self.kernel.file) else {
            return Err(fault(format!("no file kernels/{}.wgsl", self.kernel.file)));
        };
        let mut preprocessor = Preprocessor::new(snippet).slot("params", self.fields).slot("holes", self.holes);
        let defines = self.kernel.defines.iter().chain(self.variant.into_iter().flat_map(|v| v.defines));
        for (name, value) in defines {
            preprocessor = preprocessor.define(name, *value);
        }
        for flag in &self.flags {
            preprocessor = preprocessor.define(flag, "");
        }
        preprocessor = match self.parameters {
            Parameters::Uniform => preprocessor,
            Parameters::Immediates => preprocessor.define("IMMEDIATES", ""),
            Parameters::Baked(values) => preprocessor.define("BAKED", values),
        };
        preprocessor.process(self.kernel.file, text)
    }
}

macro_rules! texts {
    ($name:ident, $folder:literal, $doc:literal, $($file:literal)*) => {
        #[doc = $doc]
        pub fn $name(name: &str) -> Option<&'static str> {
            match name {
                $($file => Some(include_str!(concat!("../", $folder, "/", $file, ".wgsl"))),)*
                _ => None,
            }
        }
    };
}

texts!(kernel_text, "kernels", "The text of a file of `kernels/`, with its directives.",
    "conv2d" "map" "matmul" "pool2d" "reduce" "rows");
texts!(snippet, "shared", "The text of a snippet of `shared/`, as `#import` finds it.",
    "combine" "conv2d_blocks" "gemm" "gemm_direct" "gemm_point" "gemm_skinny" "gemm_tiled" "math" "params" "philox");
