//! `pad(mm, m=14, n=32, fill=zero)`: loops run to multiples of numbers, on copies of what the block
//! uses that are as large.
//!
//! ```text
//! for i in M { for j in N { block add(m = i, n = j) { C[m,n] = A[m,n] + B[n] } } }
//! // pad(add, n=8)
//! alloc A_pad: f32[M,8*((N + 7)/8)] @local
//! for A_pad_0 in M { for A_pad_1 in 8*((N + 7)/8) {
//!     block A_pad(i0 = A_pad_0, i1 = A_pad_1) { A_pad[i0,i1] = A[i0,i1]?0 }
//! } }
//! alloc B_pad: f32[8*((N + 7)/8)] @local
//! ..
//! alloc C_pad: f32[M,8*((N + 7)/8)] @local
//! for i in M { for j in 8*((N + 7)/8) {
//!     block add(m = i, n = j) { C_pad[m,n] = A_pad[m,n] + B_pad[n] }
//! } }
//! for C_pad_out_0 in M { for C_pad_out_1 in N { .. C[i0,i1] = C_pad[i0,i1] .. } }
//! ```
//!
//! Legal if the block stands alone in its loops, without conditions; the padded variables are bound
//! to loops from 0 on; each stands alone on an axis of the buffers, as long as the loop where it is
//! written; and nothing that the block computes can fail. A variable that the block reduces over
//! may be padded if what it adds is the unit: a product of reads that are all filled with zero,
//! into a sum that begins with zero; or a read that is filled with the unit of another reduction.

use super::address::Address;
use super::cache::{Direction, Part, transfer};
use super::compute_at::reads_others;
use super::edit::{fresh_block, fresh_buffer, nested};
use super::expand::may_fail;
use super::inline::nest_root;
use super::nested_block::NestedBlock;
use super::rebase::rewrite_block;
use super::{Names, Refusal};
use tcc_abi::{DType, Scalar};
use tcc_ir::int::{Facts, IntExpr};
use tcc_ir::kernel::{Buffer, For, Kernel, Scope, Stmt, Update};
use tcc_ir::scalar::{Expr, Func, Read, Reducer, Subscript};
use tcc_ir::schedule::Fill;
use tcc_ir::{TensorId, VarId};

pub(super) fn pad(
    k: &mut Kernel,
    block: &str,
    multiples: &[(String, i64)],
    fill: Fill,
) -> Result<(), Refusal> {
    let at = Address::of_block(k, block)?;
    let root = nest_root(k, &at);
    let nest = NestedBlock::of(k, &root, &at)?;
    reads_others(k, &nest.block)?;
    let padding = Padding::of(k, &nest, multiples, fill)?;
    let facts = super::address::Path::to(&k.body, &root).facts(k);
    padding.reductions(k)?;
    let mut made = Vec::new();
    let mut block = nest.block.clone();
    for t in padding.reads() {
        let part = padding.copy(k, t)?;
        let value = fill_of(k, t, fill)?;
        let name = fresh_block(k, &Names(k).buffer(part.part));
        made.push(Stmt::Alloc(part.part));
        made.extend(transfer(k, &part, Direction::Load, (&name, Some(&value)), &facts));
        block = rewrite_block(&block, &IntExpr::clone, &mut |e| match e {
            Expr::Read(r) if r.tensor == t => {
                Expr::Read(Box::new(Read { tensor: part.part, ..*r }))
            }
            other => other,
        });
    }
    let mut behind = Vec::new();
    if padding.writes() {
        let mut part = padding.copy(k, block.store.buffer)?;
        block.store.buffer = part.part;
        made.push(Stmt::Alloc(part.part));
        // Only what the caller sees goes in and out.
        part.extents = k.buffers.get(part.whole).map_or(vec![], |b| b.shape.clone());
        let stem = Names(k).buffer(part.part);
        if !padding.sets_all(k, &facts) {
            let name = fresh_block(k, &format!("{stem}_in"));
            made.extend(transfer(k, &part, Direction::Load, (&name, None), &facts));
        }
        let name = fresh_block(k, &format!("{stem}_out"));
        behind = transfer(k, &part, Direction::Store, (&name, None), &facts);
    }
    let longer = |f: &For| For { hi: padding.end(f), ..f.clone() };
    let loops = nest.loops.iter().map(longer).collect();
    made.extend(nested(loops, vec![], vec![Stmt::Block(block)]));
    made.extend(behind);
    if let Some((body, position)) = root.siblings_mut(&mut k.body) {
        body.splice(position..=position, made);
    }
    Ok(())
}

/// The value of a buffer's elements beyond its ends.
fn fill_of(k: &Kernel, t: TensorId, fill: Fill) -> Result<Expr, Refusal> {
    let dtype = k.buffers.get(t).map_or(DType::F32, |b| b.dtype);
    let ordered = dtype.is_float() || dtype.is_int();
    Ok(Expr::Literal(match fill {
        Fill::Zero => Scalar::from_i128(dtype, 0),
        Fill::One => Scalar::from_i128(dtype, 1),
        Fill::Largest if ordered => Reducer::Min.unit(dtype),
        Fill::Smallest if ordered => Reducer::Max.unit(dtype),
        Fill::Largest | Fill::Smallest => {
            let buffer = Names(k).buffer(t);
            return Err(Refusal::NoFill { buffer, fill: fill.name(), dtype: dtype.name() });
        }
    }))
}

/// The loops of a block that become longer.
struct Padding<'a> {
    nest: &'a NestedBlock,
    /// Variables of the block, their loops, and the new ends of those.
    longer: Vec<(VarId, VarId, IntExpr)>,
    fill: Fill,
}

impl<'a> Padding<'a> {
    fn of(
        k: &Kernel,
        nest: &'a NestedBlock,
        multiples: &[(String, i64)],
        fill: Fill,
    ) -> Result<Padding<'a>, Refusal> {
        let b = &nest.block;
        let mut longer: Vec<(VarId, VarId, IntExpr)> = Vec::new();
        for (name, multiple) in multiples {
            let named = |v: &VarId| k.vars.get(*v).is_some_and(|n| n == name);
            let Some((v, _)) = b.iters.iter().find(|(v, _)| named(v)) else {
                let known = b.iters.iter().filter_map(|(v, _)| k.vars.get(*v).cloned());
                let (name, known) = (name.clone(), known.collect());
                return Err(Refusal::UnknownVariable { block: b.name.clone(), name, known });
            };
            if *multiple < 1 {
                return Err(Refusal::Factor(*multiple));
            }
            let zero = IntExpr::constant(0);
            let free = |f: &&For| {
                f.lo == zero
                    && b.iters.iter().all(|(w, e)| w == v || !e.mentions(f.var))
                    && nest.loops.iter().all(|g| !g.lo.mentions(f.var) && !g.hi.mentions(f.var))
            };
            let Some(f) = nest.loop_of(*v).filter(free) else {
                return Err(Refusal::NotPaddable { block: b.name.clone(), variable: name.clone() });
            };
            let n = IntExpr::constant(*multiple);
            let blocks = (f.hi.clone() + IntExpr::constant(multiple - 1)).div(&n);
            longer.push((*v, f.var, n * blocks));
        }
        if !nest.conditions.is_empty() || b.guard.is_some() {
            return Err(Refusal::NotAlone(b.name.clone()));
        }
        if b.exprs().into_iter().any(may_fail) {
            return Err(Refusal::MayFail { block: b.name.clone() });
        }
        Ok(Padding { nest, longer, fill })
    }

    /// Where a loop ends.
    fn end(&self, f: &For) -> IntExpr {
        let longer = self.longer.iter().find(|(_, l, _)| *l == f.var);
        longer.map_or_else(|| f.hi.clone(), |(_, _, hi)| hi.clone())
    }

    fn mentions(&self, s: &Subscript) -> bool {
        let mut found = false;
        s.visit_symbols(&mut |s| {
            found |= self.longer.iter().any(|(v, ..)| s == (*v).into());
        });
        found
    }

    /// The buffers that are read with a longer variable.
    fn reads(&self) -> Vec<TensorId> {
        let mut out: Vec<TensorId> = Vec::new();
        for r in self.nest.block.exprs().into_iter().flat_map(Expr::reads) {
            if r.subscripts.iter().any(|s| self.mentions(s)) && !out.contains(&r.tensor) {
                out.push(r.tensor);
            }
        }
        out
    }

    /// True if a longer variable moves what the block writes.
    fn writes(&self) -> bool {
        self.nest.block.store.subscripts.iter().any(|s| self.mentions(s))
    }

    /// A buffer as long as the loops. Longer variables must stand alone on axes as long as their
    /// loops were.
    fn copy(&self, k: &mut Kernel, t: TensorId) -> Result<Part, Refusal> {
        let b = &self.nest.block;
        let Some(old) = k.buffers.get(t).cloned() else {
            unreachable!("a block accesses buffers of its kernel")
        };
        let refuse = || Refusal::NotPadded { block: b.name.clone(), buffer: old.name.clone() };
        let reads = b.exprs().into_iter().flat_map(Expr::reads).filter(|r| r.tensor == t);
        let mut all: Vec<(&[Subscript], bool)> =
            reads.map(|r| (r.subscripts.as_slice(), r.default.is_some())).collect();
        if b.store.buffer == t {
            all.push((&b.store.subscripts, b.store.drop));
        }
        let mut extents = old.shape.clone();
        for (subscripts, covered) in all {
            for ((s, n), extent) in subscripts.iter().zip(&old.shape).zip(&mut extents) {
                if !self.mentions(s) {
                    continue;
                }
                let alone = s.as_affine().and_then(IntExpr::as_var);
                let Some((_, l, hi)) = self.longer.iter().find(|(v, ..)| Some(*v) == alone) else {
                    return Err(refuse());
                };
                let f = self.nest.loops.iter().find(|f| f.var == *l);
                let fits = f.is_some_and(|f| f.hi == *n) && (*extent == *n || extent == hi);
                if !fits || covered {
                    return Err(refuse());
                }
                *extent = hi.clone();
            }
        }
        let name = fresh_buffer(k, &format!("{}_pad", old.name));
        let shape = extents.clone();
        let buffer = Buffer { name, dtype: old.dtype, shape, scope: Scope::Local };
        let part = k.buffers.push(buffer);
        let origin = vec![IntExpr::constant(0); extents.len()];
        Ok(Part { whole: t, part, origin, extents })
    }

    /// True if the block sets every element that is copied back.
    fn sets_all(&self, k: &Kernel, facts: &Facts) -> bool {
        let b = &self.nest.block;
        let zero = IntExpr::constant(0);
        let longer = |l: VarId| self.longer.iter().any(|(_, x, _)| *x == l);
        let shape = k.buffers.get(self.nest.block.store.buffer).map_or(&[][..], |x| &x.shape);
        let mut written: Vec<VarId> = Vec::new();
        for (s, n) in b.store.subscripts.iter().zip(shape) {
            let f = s.as_affine().and_then(IntExpr::as_var).and_then(|v| self.nest.loop_of(v));
            // Each axis has a loop of its own that runs over all of it; longer ones do, or they
            // would not be.
            let whole = |f: &&For| f.lo == zero && (longer(f.var) || facts.equal(&f.hi, n));
            let Some(f) = f.filter(whole).filter(|f| !written.contains(&f.var)) else {
                return false;
            };
            written.push(f.var);
        }
        let reduced = b.reduction_vars();
        let starts = b
            .iters
            .iter()
            .filter(|(v, _)| reduced.contains(v))
            .all(|(v, _)| self.nest.loop_of(*v).is_some_and(|f| f.lo == zero));
        let others = self.nest.loops.iter().filter(|f| !written.contains(&f.var));
        let run = others.map(|f| &f.hi - &f.lo).all(|n| facts.is_positive(&n));
        run && (b.store.update == Update::Set || (b.init.is_some() && starts))
    }

    /// Refuses longer reductions that combine more than the unit.
    fn reductions(&self, k: &Kernel) -> Result<(), Refusal> {
        let b = &self.nest.block;
        let reduced = b.reduction_vars();
        for (v, ..) in self.longer.iter().filter(|(v, ..)| reduced.contains(v)) {
            if !self.adds_unit(k, *v)? {
                let variable = Names(k).var(*v);
                let fill = self.fill.name();
                return Err(Refusal::AddsMore { block: b.name.clone(), variable, fill });
            }
        }
        Ok(())
    }

    fn adds_unit(&self, k: &Kernel, v: VarId) -> Result<bool, Refusal> {
        let b = &self.nest.block;
        let reducer = match b.store.update {
            Update::Set => return Ok(false),
            Update::Reduce(r) => r,
            Update::FusedSum => Reducer::Sum,
        };
        let dtype = b.store.value.dtype();
        let factors = b.store.value.operands(Func::Mul);
        let filled = |e: &&Expr| match e {
            Expr::Read(r) => {
                let of_axis = |s: &Subscript| s.as_affine().and_then(IntExpr::as_var) == Some(v);
                r.default.is_none() && r.subscripts.iter().any(of_axis)
            }
            _ => false,
        };
        if !factors.iter().all(filled) {
            return Ok(false);
        }
        let fill = match factors.first() {
            Some(Expr::Read(r)) => fill_of(k, r.tensor, self.fill)?,
            _ => return Ok(false),
        };
        let unit = Expr::Literal(reducer.unit(dtype));
        let product = matches!(reducer, Reducer::Sum | Reducer::Prod) || factors.len() == 1;
        // Adding 0 keeps every number but -0, which a sum that begins with 0 never is.
        let zero = Expr::Literal(Scalar::from_i128(dtype, 0));
        let rounds = dtype.is_float() || dtype.is_complex();
        let begins = reducer != Reducer::Sum || !rounds || b.init.as_ref() == Some(&zero);
        Ok(product && fill == unit && begins)
    }
}
