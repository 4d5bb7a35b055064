//! Loops that are joined: the gradient's forward loop repeats the loss's.

use crate::graph::{Body, Op, ScanSpec, Tensor};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// Loops with the same parameters over the same inputs: the gradient's forward loop has the loss's forward loop as its prefix,
/// so both become one, with the results that anyone uses.
pub(super) struct Scans(HashMap<Key, Vec<Group>>);

#[derive(PartialEq, Eq, Hash)]
struct Key {
    params: Vec<u64>,
    spec: ScanSpec,
    inputs: Vec<(u64, u16)>,
}

/// Loops that become one.
pub(super) struct Group {
    /// The longest of their bodies.
    pub body: Arc<Body>,
    /// How they loop.
    pub spec: ScanSpec,
    /// The outputs of the body that anyone reads, and all carries, ascending.
    pub used: BTreeSet<usize>,
}

impl Scans {
    /// Finds them among nodes in recording order; `used` are results that somebody reads.
    pub fn group(order: &[Tensor], used: &HashSet<(u64, u16)>) -> Scans {
        let mut groups: HashMap<Key, Vec<Group>> = HashMap::new();
        for tensor in order {
            let node = tensor.node();
            let Op::Scan(body, spec) = node.op() else { continue };
            let alike = groups.entry(Key::new(body, &node.inputs(), spec)).or_default();
            let at = alike.iter().position(|group| prefix(&group.body, body)).unwrap_or_else(|| {
                let used = (0..spec.carries).collect();
                alike.push(Group { body: body.clone(), spec: *spec, used });
                alike.len() - 1
            });
            let group = &mut alike[at];
            if body.outputs.len() > group.body.outputs.len() {
                group.body = body.clone();
            }
            group.used.extend((0..node.metas().len()).filter(|&o| used.contains(&tensor.sibling(o).key())));
        }
        Scans(groups)
    }

    /// The group of a loop.
    pub fn of(&self, tensor: &Tensor, inputs: &[Tensor]) -> Option<&Group> {
        let Op::Scan(body, spec) = tensor.node().op() else { return None };
        self.0.get(&Key::new(body, inputs, spec))?.iter().find(|group| prefix(&group.body, body))
    }
}

impl Key {
    fn new(body: &Body, inputs: &[Tensor], spec: &ScanSpec) -> Key {
        Key {
            params: body.params.iter().map(|p| p.node().id()).collect(),
            spec: *spec,
            inputs: inputs.iter().map(Tensor::key).collect(),
        }
    }
}

/// Whether one body's outputs begin with the other's.
fn prefix(a: &Body, b: &Body) -> bool {
    a.outputs.iter().zip(&b.outputs).all(|(x, y)| x.same(y))
}
