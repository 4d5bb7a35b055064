//! `cargo xtask shaders`: every kernel, in every permutation, through everything that will read it.
//!
//! Preprocesses, parses and validates each shader, writes it as SPIR-V (with and without run-time checks), MSL and HLSL,
//! and compares entry point, workgroup and bindings with the table in `addax-shaders`. The same for a sample of generated
//! shaders: those of training steps of a convnet, an LSTM and a transformer, and of random graphs (`generated_shaders` in
//! `model/tests` writes them; no GPU is needed). `--write FOLDER` leaves the WGSL of each there, for other compilers to check.

use addax_shaders::kernels::{KERNELS, Kernel, Variant};
use addax_shaders::{Parameters, Plain, Shader, plain};
use naga::back::{hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What one permutation became.
struct Written {
    spirv_words: usize,
    spirv_words_checked: usize,
    msl_bytes: usize,
    hlsl_bytes: usize,
}

impl Written {
    const NOTHING: Written = Written { spirv_words: 0, spirv_words_checked: 0, msl_bytes: 0, hlsl_bytes: 0 };

    /// Each of the sizes where it is larger.
    fn max(self, other: Written) -> Written {
        Written {
            spirv_words: self.spirv_words.max(other.spirv_words),
            spirv_words_checked: self.spirv_words_checked.max(other.spirv_words_checked),
            msl_bytes: self.msl_bytes.max(other.msl_bytes),
            hlsl_bytes: self.hlsl_bytes.max(other.hlsl_bytes),
        }
    }
}

fn print_row(name: &str, count: usize, largest: &Written, start: Instant) {
    println!(
        "{name:<16} {count:>12} {:>13} {:>8} {:>10} {:>11} {:>8.2}",
        largest.spirv_words,
        largest.spirv_words_checked,
        largest.msl_bytes,
        largest.hlsl_bytes,
        start.elapsed().as_secs_f64()
    );
}

/// Checks all shaders and prints a table; the error counts the faults, which are printed before it.
pub fn run(args: &[String]) -> Result<(), Box<dyn Error>> {
    let folder = match args {
        [] => None,
        [flag, folder] if flag == "--write" => Some(PathBuf::from(folder)),
        _ => return Err("usage: cargo xtask shaders [--write FOLDER]".into()),
    };
    if let Some(folder) = &folder {
        std::fs::create_dir_all(folder)?;
    }
    println!("kernel           permutations  SPIR-V words  checked  MSL bytes  HLSL bytes  seconds   (largest)");
    let (mut all, mut faults) = (0, 0);
    for kernel in KERNELS {
        let start = Instant::now();
        let mut largest = Written::NOTHING;
        let mut count = 0;
        for variant in kernel.variants {
            for flags in subsets(kernel.flags) {
                for (place, name) in places(kernel, variant) {
                    let what = [&[kernel.name, variant.name], flags.as_slice(), &[name]].concat().join("-");
                    count += 1;
                    match check(kernel, variant, &flags, &place, folder.as_deref(), &what) {
                        Ok(written) => largest = largest.max(written),
                        Err(error) => {
                            faults += 1;
                            eprintln!("{what}: {error}");
                        }
                    }
                }
            }
        }
        all += count;
        print_row(kernel.name, count, &largest, start);
    }
    let (count, found) = generated(folder.as_deref())?;
    (all, faults) = (all + count, faults + found);
    if faults > 0 {
        return Err(format!("{faults} of {all} shaders have faults").into());
    }
    println!("{all} shaders, no faults");
    Ok(())
}

/// Writes and checks the sample of generated shaders: how many there are, and how many have faults.
fn generated(folder: Option<&Path>) -> Outcome<(usize, usize)> {
    let start = Instant::now();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let folder = match folder {
        Some(folder) => folder.canonicalize()?.join("generated"),
        None => root.join("target/generated-shaders"),
    };
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let status = Command::new(env!("CARGO"))
        .current_dir(&root)
        .args(["test", "--quiet", "-p", "addax", "--test", "generated_shaders"])
        .env("ADDAX_WRITE_WGSL", &folder)
        .status()?;
    if !status.success() {
        return Err("`cargo test -p addax --test generated_shaders` failed".into());
    }
    let (mut count, mut faults) = (0, 0);
    let mut largest = Written::NOTHING;
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        count += 1;
        match check_generated(&std::fs::read_to_string(&path)?) {
            Ok(written) => largest = largest.max(written),
            Err(error) => {
                faults += 1;
                eprintln!("{}: {error}", path.display());
            }
        }
    }
    if count == 0 {
        return Err("no generated shader was written".into());
    }
    print_row("generated", count, &largest, start);
    Ok((count, faults))
}

/// A generated shader, under a line that tells its bindings: `// bindings rrw`.
fn check_generated(text: &str) -> Outcome<Written> {
    let header = text.lines().next().and_then(|line| line.strip_prefix("// bindings "));
    let header = header.ok_or("the first line does not tell the bindings")?;
    let expected: Vec<_> = (0..).zip(header.chars()).map(|(n, c)| (0, n, c == 'w')).collect();
    let (module, info) = validate(text)?;
    let [entry] = module.entry_points.as_slice() else {
        return Err(format!("expected one entry point, found {}", module.entry_points.len()).into());
    };
    if entry.name != "main" {
        return Err(format!("expected the entry point main, found {}", entry.name).into());
    }
    let found = bindings(&module);
    if found != expected {
        return Err(format!("expected bindings (group, binding, written) {expected:?}, found {found:?}").into());
    }
    written(&module, &info)
}

/// All subsets of a kernel's flags.
fn subsets(flags: &'static [&'static str]) -> impl Iterator<Item = Vec<&'static str>> {
    (0..1_usize << flags.len())
        .map(move |set| flags.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1).map(|(_, flag)| *flag).collect())
}

/// A place for parameters that owns its text.
enum Place {
    Uniform,
    Immediates,
    Baked(String),
}

impl Place {
    fn parameters(&self) -> Parameters<'_> {
        match self {
            Place::Uniform => Parameters::Uniform,
            Place::Immediates => Parameters::Immediates,
            Place::Baked(values) => Parameters::Baked(values),
        }
    }
}

/// Each place for parameters, with its name.
fn places(kernel: &Kernel, variant: &Variant) -> [(Place, &'static str); 3] {
    let fields = plain(kernel, variant, &[]).fields.matches(':').count();
    let values = vec!["3u"; kernel.params.len() + fields].join(", ");
    [(Place::Uniform, "uniform"), (Place::Immediates, "immediates"), (Place::Baked(values), "baked")]
}

fn check(
    kernel: &Kernel,
    variant: &Variant,
    flags: &[&str],
    place: &Place,
    folder: Option<&Path>,
    what: &str,
) -> Outcome<Written> {
    let plain = plain(kernel, variant, flags);
    let shader =
        Shader::new(kernel).variant(variant).parameters(place.parameters()).fields(plain.fields).holes(&plain.holes);
    let text = flags.iter().fold(shader, |shader, flag| shader.flag(flag)).wgsl()?;
    if let Some(folder) = folder {
        std::fs::write(folder.join(format!("{what}.wgsl")), &text)?;
    }
    let (module, info) = validate(&text)?;
    compare(kernel, &plain, place, &module)?;
    written(&module, &info)
}

fn validate(text: &str) -> Outcome<(naga::Module, ModuleInfo)> {
    let module = naga::front::wgsl::parse_str(text).map_err(|e| e.emit_to_string(text))?;
    // Immediates are asked for; half floats in memory are in WGSL itself, and naga has a name for them.
    let capabilities = Capabilities::IMMEDIATES | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    let info = validator.validate(&module).map_err(|e| e.emit_to_string(text))?;
    Ok((module, info))
}

/// A writer may panic on what it does not expect; that is a fault of this shader, not the end of the check.
fn written(module: &naga::Module, info: &ModuleInfo) -> Outcome<Written> {
    let written = catch_unwind(AssertUnwindSafe(|| write(module, info)));
    written.map_err(|_| "a writer of naga panicked")?
}

/// Group, number, and whether it is written, of all bindings of a shader.
fn bindings(module: &naga::Module) -> Vec<(u32, u32, bool)> {
    let mut found = Vec::new();
    for (_, variable) in module.global_variables.iter() {
        if let Some(binding) = &variable.binding {
            let written = matches!(variable.space, naga::AddressSpace::Storage { access }
                if access.contains(naga::StorageAccess::STORE));
            found.push((binding.group, binding.binding, written));
        }
    }
    found.sort_unstable();
    found
}

/// Compares the table with what the shader declares.
fn compare(kernel: &Kernel, plain: &Plain, place: &Place, module: &naga::Module) -> Outcome<()> {
    let [entry] = module.entry_points.as_slice() else {
        return Err(format!("expected one entry point, found {}", module.entry_points.len()).into());
    };
    if entry.name != "main" || entry.workgroup_size != [kernel.threads, 1, 1] {
        let found = (&entry.name, entry.workgroup_size);
        return Err(format!("expected main with {} threads, found {found:?}", kernel.threads).into());
    }
    let found = bindings(module);
    let mut expected: Vec<(u32, u32, bool)> = (0..).zip(&plain.written).map(|(i, written)| (0, i, *written)).collect();
    if matches!(place, Place::Uniform) {
        expected.push((1, 0, false));
    }
    if found != expected {
        return Err(format!("expected bindings (group, binding, written) {expected:?}, found {found:?}").into());
    }
    Ok(())
}

fn write(module: &naga::Module, info: &ModuleInfo) -> Outcome<Written> {
    let checked = spv::Options { lang_version: (1, 3), ..spv::Options::default() };
    let unchecked = BoundsCheckPolicies {
        index: BoundsCheckPolicy::Unchecked,
        buffer: BoundsCheckPolicy::Unchecked,
        image_load: BoundsCheckPolicy::Unchecked,
        binding_array: BoundsCheckPolicy::Unchecked,
    };
    let trusted = spv::Options {
        bounds_check_policies: unchecked,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        ..checked.clone()
    };
    let metal = msl::Options { lang_version: (2, 4), ..msl::Options::default() };
    let (msl, names) = msl::write_string(module, info, &metal, &msl::PipelineOptions::default())?;
    for name in names.entry_point_names {
        name?;
    }
    let direct3d = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_0,
        immediates_target: Some(hlsl::BindTarget::default()),
        special_constants_binding: Some(hlsl::BindTarget::default()),
        ..hlsl::Options::default()
    };
    let mut hlsl = String::new();
    let pipeline = hlsl::PipelineOptions::default();
    let reflection = hlsl::Writer::new(&mut hlsl, &direct3d, &pipeline).write(module, info, None)?;
    for name in reflection.entry_point_names {
        name?;
    }
    Ok(Written {
        spirv_words: spv::write_vec(module, info, &trusted, None)?.len(),
        spirv_words_checked: spv::write_vec(module, info, &checked, None)?.len(),
        msl_bytes: msl.len(),
        hlsl_bytes: hlsl.len(),
    })
}
