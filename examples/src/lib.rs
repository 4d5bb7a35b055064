//! Programs a newcomer runs and reads; see the `[[example]]` targets.
