//! `cargo xtask mutate`: plants one-line faults in a copy of the sources, one after the other, and demands that the tests
//! notice each. A fault that survives is a hole in the tests.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A fault: where, what stands there (once), what is put there.
struct Fault {
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

const fn fault(file: &'static str, from: &'static str, to: &'static str) -> Fault {
    Fault { file, from, to }
}

/// Faults in the gradient table, in the handling of axes, pads, strides and epilogues, and in what keeps state safe.
const FAULTS: &[Fault] = &[
    fault(
        "tensor/src/plan/coords.rs",
        "offset: under[a] as i64 - 1 - coords[a].offset,",
        "offset: under[a] as i64 - coords[a].offset,",
    ),
    fault("tensor/src/plan/coords.rs", "index.offset -= pads[a].0 as i64;", "index.offset -= pads[a].1 as i64;"),
    fault(
        "tensor/src/plan/coords.rs",
        "result[axis] = coord.clone();",
        "result[result.len() - 1 - axis] = coord.clone();",
    ),
    fault("tensor/src/plan/coords.rs", "s * axis.step as i64).collect()", "s * 1).collect()"),
    fault("tensor/src/plan/coords.rs", "stride *= above[axis] as i64;", "stride += above[axis] as i64;"),
    fault("tensor/src/plan/emit.rs", "if transposed { (col, row) } else { (row, col) };", "(row, col);"),
    fault(
        "tensor/src/plan/emit.rs",
        "ReduceOp::Prod => Scalar::Int(1).word(dtype),",
        "ReduceOp::Prod => Scalar::Int(0).word(dtype),",
    ),
    fault("tensor/src/plan/emit.rs", "coords[axis].offset = before as i64;", "coords[axis].offset = 0;"),
    fault("tensor/src/plan/emit.rs", "spec.usage = Use::ReadWrite;", "spec.usage = Use::Read;"),
    fault("tensor/src/plan/cluster.rs", "if !aligned || matches!", "if matches!"),
    fault(
        "tensor/src/plan/cluster.rs",
        "self.clusters.list[h].level >= cluster.level",
        "self.clusters.list[h].level > cluster.level + 9",
    ),
    fault("tensor/src/plan/lower.rs", "&& g.readers.get(operand) == Some(&0)", "&& g.readers.contains_key(operand)"),
    fault("tensor/src/plan/lower.rs", "(reader != writer || !aligned)", "(reader != writer && !aligned)"),
    fault(
        "tensor/src/plan/lower.rs",
        "let offset = (steps % 2 * params[part].shape.numel()) as u64;",
        "let offset = 0;",
    ),
    fault(
        "tensor/src/plan/lower.rs",
        "if spec.reverse { spec.steps - 1 } else { 0 }",
        "if spec.reverse { 0 } else { 0 }",
    ),
    fault(
        "tensor/src/plan/place.rs",
        "if theirs.last < life.first || life.last < theirs.first {",
        "if theirs.last <= life.first || life.last < theirs.first {",
    ),
    fault("tensor/src/plan/place.rs", "free_from[slot] = life.last + 1;", "free_from[slot] = life.last;"),
    fault("tensor/src/plan/trace.rs", "let after = dims[axis] - end;", "let after = 0 * end;"),
    fault("tensor/src/plan/trace.rs", "parts.windows(2).all(meet).then_some(parts)", "Some(parts)"),
    fault(
        "tensor/src/run.rs",
        "if current.only_handle() && storage.is_unique() {",
        "if storage.is_unique() || current.only_handle() {",
    ),
    fault("tensor/src/shape.rs", "(1, b) => Ok(b),", "(1, b) => Ok(b.min(2)),"),
    fault(
        "tensor/src/graph/op.rs",
        "self.stop.saturating_sub(self.start).div_ceil(self.step)",
        "self.stop.saturating_sub(self.start) / self.step",
    ),
];

/// Runs every fault, or those whose number is named.
pub fn run(args: &[String]) -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let copy = root.join("target").join("mutate").join("sources");
    let chosen: Vec<usize> = match args {
        [] => (0..FAULTS.len()).collect(),
        some => some.iter().map(|a| a.parse()).collect::<Result<_, _>>()?,
    };
    copy_sources(&root, &copy)?;
    if !tests_pass(&copy)? {
        return Err("the tests fail without any fault; mend them first".into());
    }
    let mut survived = Vec::new();
    for number in chosen {
        let fault = FAULTS.get(number).ok_or_else(|| format!("there are {} faults, not {number}", FAULTS.len()))?;
        let path = copy.join(fault.file);
        let sound = fs::read_to_string(&path)?;
        if sound.matches(fault.from).count() != 1 {
            return Err(format!("fault {number}: {} does not hold this line once: {}", fault.file, fault.from).into());
        }
        fs::write(&path, sound.replace(fault.from, fault.to))?;
        let caught = !tests_pass(&copy)?;
        fs::write(&path, sound)?;
        println!("{number:>3} {} {}: {}", if caught { "caught  " } else { "SURVIVED" }, fault.file, fault.to);
        if !caught {
            survived.push(number);
        }
    }
    match survived.is_empty() {
        true => Ok(()),
        false => Err(format!("faults {survived:?} survived").into()),
    }
}

/// Whether the engine's and the gradients' tests build and pass. A fault that does not build counts as caught by the compiler.
fn tests_pass(sources: &Path) -> Result<bool, Box<dyn Error>> {
    let status = Command::new(env!("CARGO"))
        .current_dir(sources)
        .env("CARGO_TARGET_DIR", sources.with_file_name("build"))
        .env("RUSTFLAGS", "-Awarnings")
        .args(["test", "--quiet", "-p", "addax-tensor", "-p", "addax-autodiff", "--lib", "--tests"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    Ok(status.success())
}

/// Copies what git tracks.
fn copy_sources(root: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let listed = Command::new("git").current_dir(root).args(["ls-files"]).output()?;
    for file in String::from_utf8(listed.stdout)?.lines() {
        let (from, to) = (root.join(file), to.join(file));
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        // Unchanged files keep their time, so that only what changed is built again.
        if fs::read(&to).ok() != fs::read(&from).ok() {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}
