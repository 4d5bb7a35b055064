//! From a cluster of rows to its kernel.

use super::{hoist::hoist, keep::keep, space::Lies};
use crate::{
    error::{Error, Result},
    plan::{
        Core, Kernel, Stage,
        cluster::{Role, Rows},
        coords::flat,
        emit::{Args, Emitted, Expression, Leaving, Scope, label_of, part_index},
        expr::Block,
        trace::{Id, Prim},
    },
};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Builds the kernel of a cluster of rows. `inside` are the values it computes; `stores` lists what leaves it; no block may be longer
/// than `longest`.
pub fn emit_rows(
    scope: &Scope,
    rows: &Rows,
    inside: &HashSet<Id>,
    stores: &[Leaving],
    longest: usize,
) -> Result<Emitted> {
    let space = &rows.space;
    let rank = space.shape.len();
    let (mut args, mut names) = (Args::default(), BTreeSet::new());
    let slots: HashMap<Id, u16> = rows.stages.iter().zip(0..).map(|(&id, slot)| (id, slot)).collect();
    let mut stages = Vec::with_capacity(rows.stages.len());
    let mut ops = Vec::new();
    for &id in &rows.stages {
        let node = &scope.nodes[id];
        let Prim::Reduce(op, _) = &node.prim else { return Err(Error::argument("a stage that reduces nothing")) };
        let of = node.inputs[0];
        let mut e = Expression::new(scope, inside, &mut args, &mut names, rank);
        e.results = Some((&slots, false));
        let reg = e.value(of, &space.coords(scope.nodes[of].meta.shape.dims(), rank), &[])?;
        stages.push(Stage { op: *op, load: e.ending_with(reg), block: Block::default() });
        ops.push(op.name());
    }
    let mut blocks = [Block::default(), Block::default()];
    for (lies, block) in [Lies::PerRow, Lies::Along].into_iter().zip(&mut blocks) {
        let rank = if lies == Lies::PerRow { space.rows().len() } else { rank };
        let mut e = Expression::new(scope, inside, &mut args, &mut names, rank);
        e.results = Some((&slots, lies == Lies::PerRow));
        for leaving in stores {
            let shape = &scope.nodes[leaving.value].meta.shape;
            if space.lies(shape.dims()) != Some(lies) {
                continue;
            }
            let coords = space.coords(shape.dims(), rank);
            let reg = match leaving.role {
                Role::Value => e.expand(leaving.value, &coords, &[])?,
                _ => e.value(leaving.value, &coords, &[])?,
            };
            let index = match leaving.role {
                Role::Part(concat, part) => part_index(scope.nodes, concat, part, coords),
                _ => flat(&coords, shape, rank),
            };
            e.leave(leaving, reg, index)?;
        }
        *block = e.block;
    }
    let [once, mut block] = blocks;
    if let Some(last) = stages.last_mut() {
        last.block = once;
    }
    let row_slots = hoist(space, &mut stages, &mut block, longest);
    let slots = keep(&mut stages, &mut block, row_slots);
    let label = label_of(&format!("rows {}", ops.join(",")), &names);
    let core = Core::Rows { axes: space.axes, stages, row_slots, slots };
    let kernel = Kernel { label, shape: space.shape.clone(), core, block, args: args.specs, lean: false };
    Ok(Emitted { kernel, args: args.locations })
}
