//! `bind(i, workgroup.x)`: the iterations of a loop are those of an axis of a grid of processors.
//! The verifier proves that they do not depend on each other; where there is no grid they run in
//! order.

use super::address::{Address, Path};
use super::nest::{find, loop_of};
use super::unroll::mark;
use super::{Names, Refusal};
use tcc_ir::kernel::{Axis, For, Kernel, LoopKind, Stmt, visit_stmts};

pub(super) fn bind(k: &mut Kernel, target: &str, axis: Axis) -> Result<(), Refusal> {
    let v = find(k, target)?;
    let at = Address::of_loop(k, v).unwrap_or_default();
    let mut nested: Vec<&For> = Path::to(&k.body, &at).loops().collect();
    if let Some(f) = loop_of(&k.body, v) {
        visit_stmts(&f.body, &mut |s| {
            if let Stmt::For(f) = s {
                nested.push(f);
            }
        });
    }
    if let Some(other) = nested.into_iter().find(|f| f.kind == LoopKind::Bind(axis)) {
        let (name, other) = (target.to_owned(), Names(k).var(other.var));
        return Err(Refusal::BoundTwice { name, other, axis: axis.name() });
    }
    mark(k, target, LoopKind::Bind(axis))
}
