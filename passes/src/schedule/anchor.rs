//! Where a directive puts what it makes: into a loop, or beside a statement of the kernel.

use super::address::{Address, Path};
use super::nest::{find, loop_mut, loop_of};
use super::{Names, Refusal};
use tcc_ir::VarId;
use tcc_ir::kernel::{Kernel, Stmt};

/// The statements that a part of a buffer serves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    /// The body of a loop.
    Loop(VarId),
    /// One statement of the kernel's body.
    Root(usize),
}

impl Anchor {
    /// The body of the named loop, which must be around the block; without a name the whole
    /// statement of the kernel that holds the block.
    pub(super) fn around(
        k: &Kernel,
        block: &Address,
        at: Option<&String>,
    ) -> Result<Anchor, Refusal> {
        let Some(name) = at else { return Ok(Anchor::Root(block.ancestor(0).position())) };
        let v = find(k, name)?;
        let inside = Address::of_loop(k, v).is_some_and(|l| block.is_in(&l));
        if inside {
            return Ok(Anchor::Loop(v));
        }
        let block = block.block(&k.body).map_or(String::new(), |b| b.name.clone());
        Err(Refusal::NotInside { block, target: Names(k).var(v) })
    }

    /// The statements.
    pub(super) fn stmts<'a>(&self, k: &'a Kernel) -> &'a [Stmt] {
        match self {
            Anchor::Loop(v) => loop_of(&k.body, *v).map_or(&[], |f| f.body.as_slice()),
            Anchor::Root(at) => k.body.get(*at).map_or(&[], std::slice::from_ref),
        }
    }

    /// What surrounds the statements.
    pub(super) fn path<'a>(&self, k: &'a Kernel) -> Path<'a> {
        match self {
            Anchor::Loop(v) => Path::into_loop(&k.body, *v),
            Anchor::Root(at) => Path::to(&k.body, &Address::root(*at)),
        }
    }

    /// Puts other statements in their place.
    pub(super) fn replace(&self, k: &mut Kernel, made: Vec<Stmt>) {
        match self {
            Anchor::Loop(v) => {
                if let Some(f) = loop_mut(&mut k.body, *v) {
                    f.body = made;
                }
            }
            Anchor::Root(at) => {
                k.body.splice(*at..*at + 1, made);
            }
        }
    }

    /// How messages call it.
    pub(super) fn name(&self, k: &Kernel) -> String {
        match self {
            Anchor::Loop(v) => format!("loop `{}`", Names(k).var(*v)),
            Anchor::Root(_) => "its statement of the kernel".to_owned(),
        }
    }
}
