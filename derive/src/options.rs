//! What `#[fields(..)]` says.

use syn::{Attribute, Expr, LitStr, Path, Result};

/// On the struct.
#[derive(Default)]
pub struct StructOptions {
    pub package: Option<String>,
    pub class: Option<String>,
    pub blank: Option<Expr>,
    pub weights_in: Option<String>,
    pub keras: bool,
    pub root: Option<Path>,
}

/// On a field.
#[derive(Default)]
pub struct FieldOptions {
    pub required: bool,
    pub skip: bool,
    pub key: Option<String>,
}

impl StructOptions {
    pub fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut options = StructOptions::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("fields")) {
            attribute.parse_nested_meta(|meta| {
                let text = || Ok::<_, syn::Error>(meta.value()?.parse::<LitStr>()?.value());
                match meta.path.get_ident().map(ToString::to_string).as_deref() {
                    Some("package") => options.package = Some(text()?),
                    Some("class") => options.class = Some(text()?),
                    Some("weights_in") => options.weights_in = Some(text()?),
                    Some("keras") => options.keras = true,
                    Some("blank") => options.blank = Some(meta.value()?.parse()?),
                    Some("crate") => options.root = Some(meta.value()?.parse()?),
                    _ => {
                        return Err(meta.error(
                            "expected package = \"..\", class = \"..\", blank = Expr, weights_in = \"..\", keras or crate = path",
                        ));
                    }
                }
                Ok(())
            })?;
        }
        Ok(options)
    }
}

impl FieldOptions {
    pub fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut options = FieldOptions::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("fields")) {
            attribute.parse_nested_meta(|meta| {
                match meta.path.get_ident().map(ToString::to_string).as_deref() {
                    Some("required") => options.required = true,
                    Some("skip") => options.skip = true,
                    Some("key") => options.key = Some(meta.value()?.parse::<LitStr>()?.value()),
                    _ => return Err(meta.error("expected required, skip or key = \"..\"")),
                }
                Ok(())
            })?;
        }
        Ok(options)
    }
}
