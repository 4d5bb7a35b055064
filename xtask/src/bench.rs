//! `cargo xtask bench [--device cpu|gpu] [--work NAME] [--policy NAME] [--json] [--profile] [--threads] [--start] [--rounds N]
//! [--peers PYTHON]`: the standard workloads; `cargo xtask bench --kernels [--kernel NAME] [--small] [--device D]
//! [--tflops N --gigabytes N]`: single kernels, with their share of what is measured or of what the card's data sheet says.
//!
//! With `--policy mixed_bfloat16`, models compute in half floats.
//! With `--profile`, every kernel of a training step with its time, its share of the step and of what the machine can do at most.
//! With `--threads`, one thread against all of them, interleaved: a training step, and the prediction of one row.
//! With `--start`, how long a program takes from the start of its process to the end of its first training step.
//! With `--peers`, the same work runs in Keras and PyTorch too (`xtask/bench/peers.py`, with that Python). All programs of a work
//! are started and warmed up, then they take turns, an epoch or a pass each, so that all see the same seconds of the machine; each
//! one's best turn counts. Three tables tell a training step, predicted rows per second and the prediction of one row, each with
//! the ratio to the fastest peer and the geometric mean of the ratios.

use std::{
    error::Error,
    io::{BufRead, BufReader, Lines, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

const WORKS: [&str; 6] = ["mlp_small", "mlp", "convnet", "lstm", "transformer", "resnet"];
const PEERS: [&str; 3] = ["keras:jax", "keras:tensorflow", "torch"];

/// Measures.
pub fn run(args: &[String]) -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|at| args.get(at + 1)).cloned();
    build(&root)?;
    let rounds: usize = value("--rounds").map_or(Ok(5), |n| n.parse())?;
    let works: Vec<String> = value("--work").map_or_else(|| WORKS.map(String::from).to_vec(), |work| vec![work]);
    if args.iter().any(|a| a == "--threads") {
        return threads(&root, &works, rounds);
    }
    let Some(python) = value("--peers") else {
        let rest = args.iter().filter(|a| *a != "--rounds");
        let status = Command::new(root.join("target/release/bench")).current_dir(&root).args(rest).status()?;
        return if status.success() { Ok(()) } else { Err("the benchmark failed".into()) };
    };
    let mut measured = Vec::new();
    for work in &works {
        let mut all = vec![Contestant::start(own(&root, work).arg("--turns"))?];
        for peer in PEERS {
            let mut other = Command::new(&python);
            all.push(Contestant::start(other.current_dir(&root).args(["xtask/bench/peers.py", peer, work, "turns"]))?);
        }
        let mut best = [Figures::WORST; 1 + PEERS.len()];
        for _ in 0..rounds {
            for ask in ASKED {
                for (contestant, best) in all.iter_mut().zip(&mut best) {
                    *best = best.better(contestant.turn(ask)?);
                }
            }
        }
        measured.push((work.as_str(), best));
    }
    println!("best of {rounds} turns");
    for table in TABLES {
        print!("\n{}", table.with_peers(&measured));
    }
    Ok(())
}

/// What one run measures, all of it so that less is better.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figures {
    /// Milliseconds of a training step.
    step: f64,
    /// Milliseconds to predict a thousand rows.
    predict: f64,
    /// Milliseconds to predict one row.
    call: f64,
}

/// A table: what stands above it, which figure it tells, and how.
struct Table {
    title: &'static str,
    figure: fn(&Figures) -> f64,
    show: fn(f64) -> String,
}

const TABLES: [Table; 3] = [
    Table { title: "milliseconds per training step", figure: |f| f.step, show: |ms| format!("{ms:.3}") },
    Table { title: "predicted rows per second", figure: |f| f.predict, show: |ms| format!("{:.0}", 1e6 / ms) },
    Table { title: "milliseconds to predict one row", figure: |f| f.call, show: |ms| format!("{ms:.4}") },
];

impl Figures {
    const WORST: Figures = Figures { step: f64::MAX, predict: f64::MAX, call: f64::MAX };

    /// Runs a benchmark and reads the JSON line that it prints.
    fn of(mut command: Command) -> Result<Figures, Box<dyn Error>> {
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let found = text.lines().rev().find_map(Figures::read);
        found.ok_or_else(|| format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
    fn read(line: &str) -> Option<Figures> {
        let number = |key: &str| -> Option<f64> {
            let rest = line.split(&format!("\"{key}\": ")).nth(1)?;
            rest.split([',', '}']).next()?.trim().parse().ok()
        };
        let predict = 1e6 / number("predict_samples_s")?;
        Some(Figures { step: number("step_ms")?, predict, call: number("call1_ms")? })
    }
    /// Each of the figures where it is better.
    fn better(self, other: Figures) -> Figures {
        Figures {
            step: self.step.min(other.step),
            predict: self.predict.min(other.predict),
            call: self.call.min(other.call),
        }
    }
}

impl Table {
    /// One figure of every work: of Addax, of its peers, and how many times as fast as the fastest of them Addax is.
    fn with_peers(&self, measured: &[(&str, [Figures; 1 + PEERS.len()])]) -> String {
        let mut text = format!(
            "{}\n\n| work | addax | {} | as fast as the fastest peer |\n| --- | --- | --- | --- | --- | --- |\n",
            self.title,
            PEERS.join(" | ")
        );
        let mut logarithms = 0.0;
        for (work, figures) in measured {
            let times = figures.map(|f| (self.figure)(&f));
            let ratio = times[1..].iter().copied().fold(f64::MAX, f64::min) / times[0];
            let cells: Vec<String> = times.iter().map(|ms| (self.show)(*ms)).collect();
            text += &format!("| {work} | {} | {ratio:.2} |\n", cells.join(" | "));
            logarithms += ratio.ln();
        }
        let mean = (logarithms / measured.len().max(1) as f64).exp();
        text + &format!("| geometric mean |{} {mean:.2} |\n", " |".repeat(1 + PEERS.len()))
    }
}

/// The program, to time one workload.
fn own(root: &Path, work: &str) -> Command {
    let mut command = Command::new(root.join("target/release/bench"));
    command.current_dir(root).args(["--work", work]);
    command
}

/// What is asked in a turn, and where the answer belongs.
type Ask = (&'static str, fn(f64) -> Figures);

const ASKED: [Ask; 3] = [
    ("step", |step| Figures { step, ..Figures::WORST }),
    ("predict", |predict| Figures { predict, ..Figures::WORST }),
    ("call", |call| Figures { call, ..Figures::WORST }),
];

/// Who is asked last may still look for work on all cores for a while.
const PAUSE: Duration = Duration::from_millis(250);

/// A program that measures when asked.
struct Contestant {
    program: Child,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Contestant {
    /// Starts it, and waits until it is warm.
    fn start(command: &mut Command) -> Result<Contestant, Box<dyn Error>> {
        let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (ask, answers) = (program.stdin.take(), program.stdout.take());
        let (ask, answers) = ask.zip(answers).ok_or("a program without pipes")?;
        let mut contestant = Contestant { program, ask, answers: BufReader::new(answers).lines() };
        while contestant.answer().map_err(|e| format!("{command:?}: {e}"))? != "ready" {}
        Ok(contestant)
    }
    fn answer(&mut self) -> Result<String, Box<dyn Error>> {
        Ok(self.answers.next().ok_or("it ended before it answered; run it alone to see why")??)
    }
    /// One measurement.
    fn turn(&mut self, (ask, figures): Ask) -> Result<Figures, Box<dyn Error>> {
        std::thread::sleep(PAUSE);
        writeln!(self.ask, "{ask}")?;
        Ok(figures(self.answer()?.trim().parse()?))
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        // It only waits to be asked.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Prints what threads are worth.
fn threads(root: &Path, works: &[String], rounds: usize) -> Result<(), Box<dyn Error>> {
    let cores = std::thread::available_parallelism()?.to_string();
    let mut measured = Vec::new();
    for work in works {
        let mut best = [Figures::WORST; 2];
        for _ in 0..rounds {
            for (count, best) in ["1", &cores].into_iter().zip(&mut best) {
                let mut command = own(root, work);
                command.arg("--json").env("ADDAX_NUM_THREADS", count);
                *best = best.better(Figures::of(command)?);
            }
        }
        measured.push((work, best));
    }
    println!("best of {rounds} interleaved rounds");
    for Table { title, figure, show } in TABLES {
        println!("\n{title}\n\n| work | 1 thread | {cores} threads | faster by |\n| --- | --- | --- | --- |");
        for (work, best) in &measured {
            let [one, all] = best.map(|f| figure(&f));
            println!("| {work} | {} | {} | {:.2} |", show(one), show(all), one / all);
        }
    }
    Ok(())
}

fn build(root: &Path) -> Result<(), Box<dyn Error>> {
    let status = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["build", "--release", "--quiet", "-p", "addax-examples", "--bin", "bench"])
        .status()?;
    if status.success() { Ok(()) } else { Err("the benchmark does not build".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_found() {
        let line = "{\"who\": \"x\", \"step_ms\": 0.516, \"predict_samples_s\": 2000.0, \"call1_ms\": 0.25}";
        let found = Figures::read(line).unwrap();
        assert_eq!(found, Figures { step: 0.516, predict: 500.0, call: 0.25 });
        assert_eq!(Figures::read("{\"step_ms\": 0.516}"), None);
        let other = Figures { step: 0.5, predict: 600.0, call: 0.3 };
        assert_eq!(Figures::WORST.better(found).better(other), Figures { step: 0.5, predict: 500.0, call: 0.25 });
    }

    #[test]
    fn a_table_shows_the_fastest_peer_and_the_geometric_mean() {
        let row = |values: [f64; 4]| values.map(|v| Figures { step: v, predict: 1000.0 * v, call: v });
        let measured = [("mlp", row([2.0, 9.0, 4.0, 8.0])), ("lstm", row([1.0, 8.0, 9.0, 8.0]))];
        let [step, predict, _] = TABLES.map(|table| table.with_peers(&measured));
        assert!(predict.contains("| mlp | 500 | 111 | 250 | 125 | 2.00 |\n"), "{predict}");
        assert!(step.contains("| mlp | 2.000 | 9.000 | 4.000 | 8.000 | 2.00 |\n"), "{step}");
        let end = "| lstm | 1.000 | 8.000 | 9.000 | 8.000 | 8.00 |\n| geometric mean | | | | | 4.00 |\n";
        assert!(step.ends_with(end), "{step}");
    }
}
