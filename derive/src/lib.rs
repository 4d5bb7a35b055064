//! The derive macro of Addax: visits a struct's fields as sublayers, weights or config.

mod expand;
mod options;
mod root;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `Fields` and `Field`: every field is a sublayer, a weight or a config value, and nothing is listed by hand.
///
/// On the struct, `#[fields(..)]` takes:
/// - `package = "shop"`: saved as `shop>Name` (without it `Custom>Name`);
/// - `class = "Name"`: Keras' class name, where it differs from the struct's;
/// - `blank = Expr`: an instance whose config values are the defaults; values equal to them are not saved, and values
///   missing in a file take them. Without it every value is saved and must be there;
/// - `weights_in = "cell"`: Keras keeps the struct's own weights in a child of this name;
/// - `keras`: a layer of Keras' own;
/// - `crate = path`: where `addax-layers` is, if neither `addax-layers` nor `addax` is a dependency by that name.
///
/// On a field: `required` (no default even with `blank`), `key = "name"` (Keras' spelling), `skip` (neither saved nor
/// visited; needs `Default` without `blank`).
#[proc_macro_derive(Fields, attributes(fields))]
pub fn derive_fields(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::fields(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
