//! The algorithms, one file per family.

mod adagrad;
mod adam;
mod adamax;
mod ftrl;
mod lamb;
mod lion;
mod rmsprop;
mod sgd;

pub use adagrad::{Adadelta, AdadeltaRule, Adagrad, AdagradRule};
pub use adam::{Adam, AdamRule, AdamW, AdamWRule};
pub use adamax::{Adamax, AdamaxRule, Nadam, NadamRule};
pub use ftrl::{Ftrl, FtrlRule};
pub use lamb::{Lamb, LambRule};
pub use lion::{Lion, LionRule};
pub use rmsprop::{RMSprop, RmspropRule};
pub use sgd::{SGD, SgdRule};
