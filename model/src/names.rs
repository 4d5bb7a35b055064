//! Names of layers, given when the model is closed: `dense`, `dense_1`, ….

use addax_layers::{DynLayer, base, to_snake_case};
use addax_tensor::{Error, Result};
use std::{collections::HashSet, sync::Arc};

/// A name for each layer: its own, else one made of its class. A layer that comes twice keeps its name. Fails if two
/// different layers were given one name.
pub(crate) fn of_layers(layers: &[Arc<dyn DynLayer>]) -> Result<Vec<String>> {
    let given = |layer: &Arc<dyn DynLayer>| base(&**layer).and_then(|b| b.name().map(str::to_string));
    let mut taken = HashSet::new();
    let mut seen = Vec::new();
    for layer in layers {
        let Some(name) = given(layer) else { continue };
        if seen.contains(&layer.identity()) {
            continue;
        }
        if !taken.insert(name.clone()) {
            return Err(Error::argument(format!(
                "two layers are named \"{name}\"; give each its own name, or share one layer through an `Arc`"
            )));
        }
        seen.push(layer.identity());
    }
    let mut names: Vec<String> = Vec::with_capacity(layers.len());
    for (i, layer) in layers.iter().enumerate() {
        let earlier = layers.iter().take(i).position(|l| l.identity() == layer.identity());
        let name = match (given(layer), earlier.and_then(|at| names.get(at))) {
            (Some(name), _) => name,
            (None, Some(name)) => name.clone(),
            (None, None) => free(&to_snake_case(layer.class_name()), &mut taken),
        };
        names.push(name);
    }
    Ok(names)
}

/// `dense`, `dense_1`, … : the first that is not taken.
fn free(class: &str, taken: &mut HashSet<String>) -> String {
    let mut name = class.to_string();
    let mut number = 0;
    while !taken.insert(name.clone()) {
        number += 1;
        name = format!("{class}_{number}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use addax_layers::Dense;

    fn names(layers: Vec<Arc<dyn DynLayer>>) -> Result<Vec<String>> {
        of_layers(&layers)
    }

    #[test]
    fn classes_are_counted_and_given_names_kept() {
        let list = names(vec![
            Arc::new(Dense::new(1)),
            Arc::new(Dense::new(1).named("dense_1")),
            Arc::new(Dense::new(1)),
            Arc::new(Dense::new(1)),
        ]);
        assert_eq!(list.unwrap(), ["dense", "dense_1", "dense_2", "dense_3"]);
    }

    #[test]
    fn a_shared_layer_has_one_name() {
        let shared: Arc<dyn DynLayer> = Arc::new(Dense::new(1));
        let list = names(vec![shared.clone(), Arc::new(Dense::new(1)), shared]);
        assert_eq!(list.unwrap(), ["dense", "dense_1", "dense"]);
    }

    #[test]
    fn one_name_for_two_layers_is_an_error() {
        let error = names(vec![Arc::new(Dense::new(1).named("a")), Arc::new(Dense::new(2).named("a"))]).unwrap_err();
        assert!(error.to_string().contains("two layers are named \"a\""), "{error}");
    }
}
