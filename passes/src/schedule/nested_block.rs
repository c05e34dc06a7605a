//! A block alone in its loops.

use super::address::{Address, Level, Path};
use super::{Names, Refusal};
use tcc_ir::VarId;
use tcc_ir::kernel::dependence::Range;
use tcc_ir::kernel::{Block, For, Kernel};
use tcc_ir::scalar::Expr;

/// Loops and comparisons of integers with one block inside, and nothing beside it.
#[derive(Clone, Debug)]
pub(super) struct NestedBlock {
    /// Outermost first, without bodies. Bounds and bindings do not mention `let`s.
    pub(super) loops: Vec<For>,
    pub(super) conditions: Vec<Expr>,
    pub(super) block: Block,
}

impl NestedBlock {
    /// The block at an address, from the statement `root` on.
    pub(super) fn of(k: &Kernel, root: &Address, at: &Address) -> Result<NestedBlock, Refusal> {
        let Some(block) = at.block(&k.body).cloned() else {
            unreachable!("the address is that of a block")
        };
        let path = Path::to(&k.body, at);
        let outside = Path::to(&k.body, root);
        let below = Path(path.0.iter().skip(outside.0.len()).copied().collect());
        let alone = (root.depth() + 1..=at.depth()).all(|depth| {
            let siblings = at.ancestor(depth).siblings(&k.body);
            siblings.is_some_and(|(body, _)| body.len() == 1)
        });
        let simple = below.is_plain() && below.0.iter().all(|l| !matches!(l, Level::Let(..)));
        if !alone || !simple {
            return Err(Refusal::NotAlone(block.name));
        }
        let resolved =
            |f: &For| For { lo: path.resolve(&f.lo), hi: path.resolve(&f.hi), ..f.around(vec![]) };
        let iters = block.iters.iter().map(|(v, e)| (*v, path.resolve(e))).collect();
        Ok(NestedBlock {
            loops: below.loops().map(resolved).collect(),
            conditions: below.comparisons(),
            block: Block { iters, ..block },
        })
    }

    /// The loop that a variable of the block is bound to, if it is bound to nothing else.
    pub(super) fn loop_of(&self, v: VarId) -> Option<&For> {
        let (_, e) = self.block.iters.iter().find(|(w, _)| *w == v)?;
        let bound = e.as_var()?;
        self.loops.iter().find(|f| f.var == bound)
    }

    pub(super) fn ranges(&self) -> Vec<Range> {
        self.loops.iter().map(super::dependence::range).collect()
    }

    /// The variables that the written subscripts consist of, if each of them is a variable of its
    /// own bound to a loop, or does not depend on variables.
    pub(super) fn written_loops(&self, k: &Kernel) -> Result<Vec<Option<VarId>>, Refusal> {
        let mut out: Vec<Option<VarId>> = Vec::new();
        for s in &self.block.store.subscripts {
            let i = s.as_affine();
            let found = i.and_then(|i| i.as_var()).and_then(|v| self.loop_of(v)).map(|f| f.var);
            let fixed = i.is_some_and(|i| !i.mentions_vars());
            if (found.is_none() && !fixed) || (found.is_some() && out.contains(&found)) {
                let buffer = Names(k).buffer(self.block.store.buffer);
                return Err(Refusal::NotWhole { block: self.block.name.clone(), buffer });
            }
            out.push(found);
        }
        Ok(out)
    }
}
