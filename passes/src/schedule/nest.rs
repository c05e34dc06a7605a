//! Finding loops and buffers by name.

use super::Refusal;
use tcc_ir::kernel::{For, Kernel, Stmt, visit_blocks, visit_stmts};
use tcc_ir::{TensorId, VarId};

/// The variable of the one loop of this name.
pub(super) fn find(k: &Kernel, name: &str) -> Result<VarId, Refusal> {
    let mut found = Vec::new();
    let mut repeat = false;
    let mut known = Vec::new();
    visit_stmts(&k.body, &mut |s| match s {
        Stmt::For(f) => {
            let own = k.vars.get(f.var).map_or("", String::as_str);
            known.push(own.to_owned());
            if own == name {
                found.push(f.var);
            }
        }
        Stmt::Repeat(r) => repeat |= k.vars.get(r.var).is_some_and(|n| n == name),
        Stmt::Block(_) | Stmt::If { .. } | Stmt::Let { .. } | Stmt::Alloc(_) | Stmt::Intrin(_) => {}
    });
    match found.as_slice() {
        [v] => Ok(*v),
        [] if repeat => Err(Refusal::Repeat(name.to_owned())),
        [] => Err(Refusal::UnknownLoop { name: name.to_owned(), known }),
        several => Err(Refusal::AmbiguousLoop { name: name.to_owned(), count: several.len() }),
    }
}

/// The argument or allocated buffer of this name.
pub(super) fn buffer_named(k: &Kernel, name: &str) -> Result<TensorId, Refusal> {
    let mut visible: Vec<TensorId> = k.arguments().collect();
    visible.extend(allocated(k));
    let own = |t: &TensorId| k.buffers.get(*t).map_or("", |b| b.name.as_str());
    visible.iter().copied().find(|t| own(t) == name).ok_or_else(|| {
        let known = visible.iter().map(|t| own(t).to_owned()).collect();
        Refusal::UnknownBuffer { name: name.to_owned(), known }
    })
}

/// The buffers that the kernel allocates, in the order of the text.
pub(super) fn allocated(k: &Kernel) -> Vec<TensorId> {
    let mut out = Vec::new();
    visit_stmts(&k.body, &mut |s| {
        if let Stmt::Alloc(t) = s {
            out.push(*t);
        }
    });
    out
}

/// The buffer of this name, which the kernel must allocate.
pub(super) fn allocated_named(k: &Kernel, name: &str) -> Result<TensorId, Refusal> {
    let t = buffer_named(k, name)?;
    if allocated(k).contains(&t) { Ok(t) } else { Err(Refusal::Argument(name.to_owned())) }
}

/// The loop of a variable.
pub(super) fn loop_of(body: &[Stmt], v: VarId) -> Option<&For> {
    body.iter().find_map(|s| match s {
        Stmt::For(f) if f.var == v => Some(f),
        Stmt::For(f) => loop_of(&f.body, v),
        Stmt::Repeat(r) => loop_of(&r.body, v),
        Stmt::If { then, otherwise, .. } => loop_of(then, v).or_else(|| loop_of(otherwise, v)),
        _ => None,
    })
}

/// The loop of a variable, for edits.
pub(super) fn loop_mut(body: &mut [Stmt], v: VarId) -> Option<&mut For> {
    body.iter_mut().find_map(|s| match s {
        Stmt::For(f) => {
            if f.var == v {
                Some(f)
            } else {
                loop_mut(&mut f.body, v)
            }
        }
        Stmt::Repeat(r) => loop_mut(&mut r.body, v),
        Stmt::If { then, otherwise, .. } => loop_mut(then, v).or_else(|| loop_mut(otherwise, v)),
        _ => None,
    })
}

/// Replaces the loop of a variable by the statements that `make` makes of it; false if there is no
/// such loop.
pub(super) fn replace(
    body: &mut Vec<Stmt>,
    v: VarId,
    make: &mut dyn FnMut(For) -> Vec<Stmt>,
) -> bool {
    let is_it = |s: &Stmt| matches!(s, Stmt::For(f) if f.var == v);
    if let Some(at) = body.iter().position(is_it) {
        if let Stmt::For(f) = body.remove(at) {
            body.splice(at..at, make(f));
        }
        return true;
    }
    body.iter_mut().any(|s| match s {
        Stmt::For(f) => replace(&mut f.body, v, make),
        Stmt::Repeat(r) => replace(&mut r.body, v, make),
        Stmt::If { then, otherwise, .. } => replace(then, v, make) || replace(otherwise, v, make),
        _ => false,
    })
}

/// True if no loop, `let`, size or buffer has the name. Variables of blocks may.
pub(super) fn is_free(k: &Kernel, name: &str) -> bool {
    let var = |v: VarId| k.vars.get(v).is_some_and(|n| n == name);
    let buffer = |t: TensorId| k.buffers.get(t).is_some_and(|b| b.name == name);
    let mut taken = k.sizes.values().any(|s| s.name == name) || k.arguments().any(buffer);
    visit_stmts(&k.body, &mut |s| {
        taken |= match s {
            Stmt::For(f) => var(f.var),
            Stmt::Repeat(r) => var(r.var),
            Stmt::Let { var: v, .. } => var(*v),
            Stmt::Alloc(t) => buffer(*t),
            Stmt::Block(b) => b.lets.iter().any(|(t, _)| buffer(*t)),
            // The axes of a view see the loops around.
            Stmt::Intrin(c) => c.views.iter().flat_map(|v| &v.axes).any(|(v, _)| var(*v)),
            Stmt::If { .. } => false,
        };
    });
    !taken
}

/// True if a buffer may have the name: nothing else has it.
pub(super) fn is_free_for_buffer(k: &Kernel, name: &str) -> bool {
    let mut taken = false;
    visit_blocks(&k.body, &mut |b| {
        taken |= b.iters.iter().any(|(v, _)| k.vars.get(*v).is_some_and(|n| n == name));
    });
    !taken && is_free(k, name)
}

/// True if no block has the name.
pub(super) fn is_free_for_block(k: &Kernel, name: &str) -> bool {
    let mut taken = false;
    visit_blocks(&k.body, &mut |b| taken |= b.name == name);
    !taken
}
