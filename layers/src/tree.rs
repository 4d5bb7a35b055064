//! Walks over a tree of layers: children, weights, the trainable flag.

use crate::{
    base::Base,
    fields::{Fields, Id, Kind},
    names::{Counter, to_snake_case},
    weight::Weight,
};
use std::collections::HashSet;

/// A sublayer and where it is.
#[derive(Clone)]
pub struct Child<'a> {
    /// Path from the parent in Keras' files: `conv1`, or `blocks/dense_1` in a list.
    pub path: String,
    /// The sublayer.
    pub layer: &'a dyn Fields,
}

/// A weight and its name.
#[derive(Clone)]
pub struct NamedWeight<'a> {
    /// Path in Keras' files, relative to the layer that was asked: `conv1/vars/0`.
    pub path: String,
    /// Path for people and for the optimizer: `conv1/kernel`.
    pub name: String,
    /// The weight; it is built.
    pub weight: &'a Weight,
}

fn each_kind<'a>(layer: &'a (impl Fields + ?Sized), mut f: impl FnMut(&'static str, Kind<'a>)) {
    layer.visit(&mut |key, field| f(key.name, field.kind()));
}

/// The direct sublayers, in the order of the fields. A sublayer in several fields is listed once.
pub fn children(layer: &(impl Fields + ?Sized)) -> Vec<Child<'_>> {
    fn walk<'a>(path: &str, list: Option<&mut Counter>, kind: Kind<'a>, out: &mut Vec<Child<'a>>) {
        match kind {
            Kind::Layer(layer) => {
                let path = match list {
                    Some(names) => format!("{path}/{}", names.next(&to_snake_case(layer.class_name()))),
                    None => path.to_string(),
                };
                out.push(Child { path, layer });
            }
            Kind::Many(kinds) => {
                let mut names = Counter::default();
                kinds.into_iter().for_each(|kind| walk(path, Some(&mut names), kind, out));
            }
            Kind::Config | Kind::Base(_) | Kind::Weight(_) => {}
        }
    }
    let mut found = Vec::new();
    each_kind(layer, |name, kind| walk(name, None, kind, &mut found));
    let mut seen = HashSet::new();
    found.retain(|child| seen.insert(child.layer.identity()));
    found
}

/// The layer's own weight slots with their names, built or not, in the order of the fields.
pub(crate) fn own_slots(layer: &(impl Fields + ?Sized)) -> Vec<(String, &Weight)> {
    fn walk<'a>(name: String, kind: Kind<'a>, out: &mut Vec<(String, &'a Weight)>) {
        match kind {
            Kind::Weight(weight) => out.push((name, weight)),
            Kind::Many(kinds) => {
                kinds.into_iter().enumerate().for_each(|(i, kind)| walk(format!("{name}_{i}"), kind, out));
            }
            Kind::Config | Kind::Base(_) | Kind::Layer(_) => {}
        }
    }
    let mut slots = Vec::new();
    let inside = name_prefix(layer);
    each_kind(layer, |name, kind| walk(format!("{inside}{name}"), kind, &mut slots));
    slots
}

/// Keras names the weights of a recurrent layer after its cell: `lstm_cell/kernel`.
fn name_prefix(layer: &(impl Fields + ?Sized)) -> String {
    match layer.weights_in() {
        Some(child) => format!("{}_{child}/", to_snake_case(layer.class_name())),
        None => String::new(),
    }
}

/// The layer's own built weights in Keras' order: parameters first, then states.
pub fn own_weights(layer: &(impl Fields + ?Sized)) -> Vec<NamedWeight<'_>> {
    let (parameters, states): (Vec<_>, Vec<_>) =
        own_slots(layer).into_iter().filter(|(_, w)| w.is_built()).partition(|(_, w)| w.is_parameter());
    let inside = layer.weights_in().map(|child| format!("{child}/")).unwrap_or_default();
    parameters
        .into_iter()
        .chain(states)
        .enumerate()
        .map(|(i, (name, weight))| NamedWeight { path: format!("{inside}vars/{i}"), name, weight })
        .collect()
}

/// All built weights of a layer and its sublayers, each once: the layer's own first, then those of its children.
pub fn weights(layer: &(impl Fields + ?Sized)) -> Vec<NamedWeight<'_>> {
    fn walk<'a>(
        layer: &'a (impl Fields + ?Sized),
        path: &str,
        names: &str,
        seen: &mut HashSet<Id>,
        out: &mut Vec<NamedWeight<'a>>,
    ) {
        if !seen.insert(layer.identity()) {
            return;
        }
        out.extend(own_weights(layer).into_iter().map(|w| NamedWeight {
            path: format!("{path}{}", w.path),
            name: format!("{names}{}", w.name),
            weight: w.weight,
        }));
        for child in children(layer) {
            // For people a sublayer has the name it was given, as where it is called; in files that of its field. In a list the
            // place counts: models name listed layers themselves when they are closed.
            let listed = child.path.contains('/');
            let given = base(child.layer).and_then(Base::name).filter(|_| !listed);
            let name = given.unwrap_or(&child.path).to_string();
            walk(child.layer, &format!("{path}{}/", child.path), &format!("{names}{name}/"), seen, out);
        }
    }
    let mut out = Vec::new();
    walk(layer, "", "", &mut HashSet::new(), &mut out);
    out
}

/// The base of a layer, if it has one.
pub fn base(layer: &(impl Fields + ?Sized)) -> Option<&Base> {
    let mut found = None;
    each_kind(layer, |_, kind| {
        if let Kind::Base(base) = kind {
            found = Some(base);
        }
    });
    found
}

/// Freezes or unfreezes a layer with all its sublayers.
pub fn set_trainable(layer: &(impl Fields + ?Sized), trainable: bool) {
    if let Some(base) = base(layer) {
        base.set_trainable(trainable);
    }
    own_slots(layer).iter().for_each(|(_, weight)| weight.set_trainable(trainable));
    children(layer).iter().for_each(|child| set_trainable(child.layer, trainable));
}

/// Whether a layer may be trained: its own flag; without one, whether any weight or sublayer may.
pub fn trainable(layer: &(impl Fields + ?Sized)) -> bool {
    match base(layer) {
        Some(base) => base.trainable(),
        None => {
            let (slots, children) = (own_slots(layer), children(layer));
            (slots.is_empty() && children.is_empty())
                || slots.iter().any(|(_, weight)| weight.is_enabled())
                || children.iter().any(|child| trainable(child.layer))
        }
    }
}
