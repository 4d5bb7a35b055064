//! How a training starts: its seed, and what it says of itself.

use crate::{
    chain,
    chain::Chain,
    fit::fresh_key,
    hints::Voice,
    model::{Model, assign},
    seed::Seed,
};
use addax_layers::{Reader, Registry};
use addax_tensor::{Program, Result, error::bytes_for_people};
use std::sync::{Once, OnceLock};

impl Model {
    /// The seed of a training. Random layers go on where they were, unless the seed is another.
    pub(crate) fn seed_for(&mut self, given: Option<u64>, voice: &Voice) -> Result<u64> {
        if let Some(seed) = given
            && !self.touched
            && !self.seed.get().is_some_and(|s| s.chosen)
        {
            self.reseed(seed, voice)?;
        }
        let seed = given.unwrap_or(self.seed().value);
        let now: Vec<u32> = self.key().value().to_vec()?;
        if now.first() != Some(&(seed as u32)) || now.get(1) != Some(&((seed >> 32) as u32)) {
            self.key().assign(&fresh_key(seed))?;
        }
        Ok(seed)
    }
    /// Draws the first weights again, from this seed: by building the same layers anew.
    fn reseed(&mut self, seed: u64, voice: &Voice) -> Result<()> {
        let was_built = self.built.get().is_some();
        self.seed = OnceLock::from(Seed::given(seed));
        if !was_built {
            return Ok(());
        }
        let mut registry = Registry::default();
        chain::register(&mut registry);
        let json = self.chain.to_model_json(self.name())?;
        match Chain::from_model_json(&json, &mut Reader::new(&registry)) {
            Ok(chain) => {
                let twin = Model::from_chain(chain);
                twin.seed.get_or_init(|| Seed::given(seed));
                let parameters = self.slots()?.into_iter().filter(|(_, w)| w.is_parameter()).map(|(path, _)| path);
                let parameters: Vec<String> = parameters.collect();
                let mut weights = twin.weights()?;
                weights.retain(|(path, _)| parameters.contains(path));
                assign(&self.variables()?, &weights)
            }
            Err(error) => {
                tracing::debug!("first weights keep their seed: {error}");
                voice.console.line(
                    "the first weights were drawn before this seed was given; call `addax::set_random_seed` before the model is \
                     made to repeat them too",
                );
                Ok(())
            }
        }
    }
}

/// The first line of a training: device, seed, planned memory.
pub(crate) fn tell(model: &Model, program: &Program, rows: usize, given: Option<u64>, voice: &Voice) {
    let seed = match (given, model.seed()) {
        (Some(seed), _) => format!("seed {seed}"),
        (None, seed) if seed.chosen => format!("seed {}", seed.told),
        (None, seed) => format!("seed {} (drawn; `addax::set_random_seed({})` repeats this run)", seed.told, seed.told),
    };
    let peak = bytes_for_people(program.planned_peak());
    let text = format!("Training on {}, {seed}, {peak} planned for a batch of {rows}", program.device().name());
    tracing::info!("{text}");
    voice.console.line(&text);
}

/// Says, once in a process, that this is a debug build, if it is one.
pub(crate) fn warn_of_debug_build(voice: &Voice) {
    static TOLD: Once = Once::new();
    if cfg!(debug_assertions) {
        TOLD.call_once(|| voice.console.line(if cfg!(unoptimised) { SLOW } else { DEBUG }));
    }
}

/// Said once by debug builds in which Addax is optimised all the same.
const DEBUG: &str = "This is a debug build; with `--release` it is faster.";
/// Said once by builds without optimisation. A product of matrices that is not optimised took 240 times as long.
const SLOW: &str = "This build is not optimised and up to 200 times slower. Run it with `--release`, or add to Cargo.toml:\n\n    \
     [profile.dev.package.\"*\"]\n    opt-level = 3\n";
