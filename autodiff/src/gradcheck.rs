//! gradcheck
/// x
pub fn gradcheck() {}
