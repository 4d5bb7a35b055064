//! Every kernel in every variant, with every subset of its flags and every place for parameters, is valid WGSL.

#![allow(clippy::unwrap_used, clippy::panic)] // The helpers below serve tests only.
use addax_shaders::kernels::{KERNELS, Kernel, Variant};
use addax_shaders::{Parameters, Shader, plain};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

fn subsets(flags: &'static [&'static str]) -> impl Iterator<Item = Vec<&'static str>> {
    (0..1_usize << flags.len())
        .map(move |set| flags.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1).map(|(_, flag)| *flag).collect())
}

fn text(kernel: &Kernel, variant: &Variant, flags: &[&str], parameters: Parameters) -> String {
    let plain = plain(kernel, variant, flags);
    let shader = Shader::new(kernel).variant(variant).parameters(parameters).fields(plain.fields).holes(&plain.holes);
    flags.iter().fold(shader, |shader, flag| shader.flag(flag)).wgsl().unwrap()
}

fn checked(text: &str, what: &str) -> (naga::Module, ModuleInfo) {
    let module = match naga::front::wgsl::parse_str(text) {
        Ok(module) => module,
        Err(error) => panic!("{what}: {}", error.emit_to_string(text)),
    };
    match Validator::new(ValidationFlags::all(), Capabilities::IMMEDIATES).validate(&module) {
        Ok(info) => (module, info),
        Err(error) => panic!("{what}: {}", error.emit_to_string(text)),
    }
}

fn baked(kernel: &Kernel, variant: &Variant) -> String {
    let fields = plain(kernel, variant, &[]).fields.matches(':').count();
    vec!["3u"; kernel.params.len() + fields].join(", ")
}

#[test]
fn all_are_valid() {
    let mut count = 0;
    for kernel in KERNELS {
        for variant in kernel.variants {
            let baked = baked(kernel, variant);
            for flags in subsets(kernel.flags) {
                for parameters in [Parameters::Uniform, Parameters::Immediates, Parameters::Baked(&baked)] {
                    let what = format!("{} {} {flags:?} {parameters:?}", kernel.name, variant.name);
                    checked(&text(kernel, variant, &flags, parameters), &what);
                    count += 1;
                }
            }
        }
    }
    assert!(count > 1000, "only {count} permutations");
}

#[test]
fn the_table_tells_the_truth() {
    for kernel in KERNELS {
        for variant in kernel.variants {
            let text = text(kernel, variant, &[], Parameters::Uniform);
            let (module, _) = checked(&text, kernel.name);
            let [entry] = module.entry_points.as_slice() else { panic!("{}: one entry point", kernel.name) };
            assert_eq!(entry.name, "main");
            assert_eq!(entry.workgroup_size, [kernel.threads, 1, 1], "{}", kernel.name);
            let shared: u32 = module
                .global_variables
                .iter()
                .filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup)
                .map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx()))
                .sum();
            assert!(shared <= kernel.shared_bytes, "{} {}: {shared} bytes", kernel.name, variant.name);
            let params = module.types.iter().find(|(_, t)| t.name.as_deref() == Some("Params")).unwrap().1;
            let naga::TypeInner::Struct { members, .. } = &params.inner else { panic!("Params is a struct") };
            let names: Vec<&str> = members.iter().filter_map(|m| m.name.as_deref()).collect();
            assert_eq!(&names[..kernel.params.len()], kernel.params, "{}", kernel.name);
            assert!(members.iter().enumerate().all(|(i, m)| m.offset as usize == 4 * i), "fields follow each other");
        }
    }
}

#[test]
fn random_numbers_are_valid_in_a_hole() {
    let kernel = addax_shaders::kernels::kernel("map").unwrap();
    let holes = "
        #import philox
        @group(0) @binding(0) var<storage, read_write> y: array<f32>;
        fn body(first: u32, lanes: u32) {
            let seed = vec2<u32>(params.seed_low, params.seed_high);
            y[first] = philox_normal(philox_bits(first, 0u, params.draw, 7u, seed))
                + philox_uniform(philox_bits(first, 0u, params.draw, 8u, seed));
        }";
    let text = Shader::new(kernel).fields("seed_low: u32, seed_high: u32, draw: u32,").holes(holes).wgsl().unwrap();
    checked(&text, "map with random numbers");
}

#[test]
fn unknown_flags_are_refused() {
    let kernel = addax_shaders::kernels::kernel("map").unwrap();
    let error = Shader::new(kernel).flag("A_VEC4").wgsl().unwrap_err();
    assert_eq!(error.to_string(), "map: no flag named `A_VEC4`; the kernel has: ");
}
