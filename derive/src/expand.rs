//! The generated code: one line per field and direction. Types are never looked at; the `Field` trait knows what each is.

use crate::{
    options::{FieldOptions, StructOptions},
    root::layers_crate,
};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Data, DeriveInput, Error, Fields, Ident, Result, ext::IdentExt, parse_quote};

struct OneField<'a> {
    name: &'a Ident,
    key: String,
    options: FieldOptions,
}

pub fn fields(input: &DeriveInput) -> Result<TokenStream> {
    let options = StructOptions::parse(&input.attrs)?;
    let root = options.root.as_ref().map_or_else(layers_crate, ToTokens::to_token_stream);
    let fields = named_fields(input)?;
    let name = &input.ident;
    let class = options.class.clone().unwrap_or_else(|| name.unraw().to_string());
    let package = match (&options.package, options.keras) {
        (_, true) => quote!(::core::option::Option::None),
        (Some(package), false) => quote!(::core::option::Option::Some(#package)),
        (None, false) => quote!(::core::option::Option::Some("Custom")),
    };
    let weights_in = match &options.weights_in {
        Some(path) => quote!(::core::option::Option::Some(#path)),
        None => quote!(::core::option::Option::None),
    };
    let visited: Vec<_> = fields.iter().filter(|f| !f.options.skip).collect();
    let names: Vec<_> = visited.iter().map(|f| f.name).collect();
    let keys: Vec<_> = visited
        .iter()
        .map(|f| {
            let key = &f.key;
            let required = f.options.required || options.blank.is_none();
            quote!(#root::Key { name: #key, required: #required })
        })
        .collect();
    let blank = match &options.blank {
        Some(expression) => quote!(#expression),
        None => {
            let all = fields.iter().map(|f| {
                let field = f.name;
                match f.options.skip {
                    true => quote!(#field: ::core::default::Default::default()),
                    false => quote!(#field: #root::Field::blank()),
                }
            });
            quote!(Self { #(#all),* })
        }
    };
    let defaults = match &options.blank {
        Some(_) => quote!(#root::all_values(&<Self as #root::Field>::blank())),
        None => quote!(::core::result::Result::Ok(#root::Json::Null)),
    };
    let mut generics = input.generics.clone();
    for parameter in input.generics.type_params() {
        let ident = &parameter.ident;
        generics.make_where_clause().predicates.push(parse_quote!(#ident: #root::Field + 'static));
    }
    let (implemented, types, bounds) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #implemented #root::Fields for #name #types #bounds {
            fn class_name(&self) -> &'static str { #class }
            fn package(&self) -> ::core::option::Option<&'static str> { #package }
            fn weights_in(&self) -> ::core::option::Option<&'static str> { #weights_in }
            fn visit<'a>(&'a self, visit: &mut dyn ::core::ops::FnMut(#root::Key, &'a dyn #root::Field)) {
                #( visit(#keys, &self.#names); )*
            }
            fn visit_mut(
                &mut self,
                visit: &mut dyn ::core::ops::FnMut(#root::Key, &mut dyn #root::Field) -> #root::Result<()>,
            ) -> #root::Result<()> {
                #( visit(#keys, &mut self.#names)?; )*
                ::core::result::Result::Ok(())
            }
            fn defaults(&self) -> #root::Result<#root::Json> { #defaults }
        }
        #[automatically_derived]
        impl #implemented #root::Field for #name #types #bounds {
            fn kind(&self) -> #root::Kind<'_> { #root::Kind::Layer(self) }
            fn write(&self) -> #root::Result<#root::Json> { #root::layer_to_json(self, ::core::option::Option::None) }
            fn read(&mut self, json: &#root::Json, reader: &mut #root::Reader<'_>) -> #root::Result<()> {
                #root::read_layer(self, json, reader)
            }
            fn blank() -> Self { #blank }
        }
    })
}

fn named_fields(input: &DeriveInput) -> Result<Vec<OneField<'_>>> {
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(named) => named.named.iter().collect(),
            Fields::Unit => Vec::new(),
            Fields::Unnamed(_) => {
                return Err(Error::new_spanned(&input.ident, "fields need names: config keys come from them"));
            }
        },
        _ => return Err(Error::new_spanned(&input.ident, "`Fields` can be derived for structs only")),
    };
    fields
        .into_iter()
        .filter_map(|field| field.ident.as_ref().map(|name| (name, field)))
        .map(|(name, field)| {
            let options = FieldOptions::parse(&field.attrs)?;
            let key = options.key.clone().unwrap_or_else(|| name.unraw().to_string());
            Ok(OneField { name, key, options })
        })
        .collect()
}
