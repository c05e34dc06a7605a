//! Expressions, reads and stores on vectors of lanes.

use super::build::{Builder, Built};
use super::code::{Class, Inst, Int, Kind, Lane, Node, Place, Reg, Source, width};
use super::opcodes::Op;
use smallvec::{SmallVec, smallvec};
use std::collections::HashMap;
use tcc_abi::DType;
use tcc_ir::TensorId;
use tcc_ir::graph::{Function, Node as GraphNode};
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Scope, Update};
use tcc_ir::scalar::{Comparison, Expr, Func, Read, Reducer, Subscript};

/// A value while code is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Val {
    Vector(Reg),
    /// The same bits in each lane.
    Literal(u64),
    Mask(Reg),
    Bool(bool),
}

/// What identifies an instruction whose result may be used again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    kind: Kind,
    lane: Lane,
    lanes: u32,
    sources: SmallVec<[Source; 3]>,
    mask: Option<Reg>,
    place: Option<Place>,
    int: Option<Int>,
    imm: u8,
    /// The buffer, for loads.
    from: Option<TensorId>,
}

/// Predicates of float comparisons: ordered and quiet, but `!=`.
const FLOAT_EQ: u8 = 0x00;
const FLOAT_UNORDERED: u8 = 0x03;
const FLOAT_NE: u8 = 0x04;

fn float_predicate(func: Func) -> Option<u8> {
    Some(match func {
        Func::Eq => FLOAT_EQ,
        Func::Ne => FLOAT_NE,
        Func::Lt => 0x11,
        Func::Le => 0x12,
        Func::Gt => 0x1e,
        Func::Ge => 0x1d,
        _ => return None,
    })
}

fn int_predicate(func: Func) -> Option<u8> {
    Some(match func {
        Func::Eq => 0,
        Func::Lt => 1,
        Func::Le => 2,
        Func::Ne => 4,
        Func::Ge => 5,
        Func::Gt => 6,
        _ => return None,
    })
}

/// Directions of rounding, without exceptions.
fn rounding(func: Func) -> Option<u8> {
    Some(match func {
        Func::Round => 0x8,
        Func::Floor => 0x9,
        Func::Ceil => 0xa,
        Func::Trunc => 0xb,
        _ => return None,
    })
}

fn sign_bit(lane: Lane) -> u64 {
    1 << (8 * lane.bytes() - 1)
}

fn ones(lane: Lane) -> u64 {
    if lane.bytes() == 4 { 0xffff_ffff } else { u64::MAX }
}

impl Builder<'_> {
    /// Lanes of the values that are being computed; 1 outside of vector loops.
    fn lanes(&self) -> u32 {
        self.lane.map_or(1, |l| l.lanes)
    }

    fn blank(&self, kind: Kind, lane: Lane) -> Inst {
        Inst {
            kind,
            lane,
            lanes: self.lanes(),
            dst: None,
            sources: SmallVec::new(),
            mask: None,
            zero: false,
            place: None,
            int: None,
            imm: 0,
        }
    }

    /// An instruction whose result depends on its operands only.
    fn pure(&mut self, class: Class, inst: Inst, from: Option<TensorId>) -> Built<Reg> {
        let key = Key {
            kind: inst.kind,
            lane: inst.lane,
            lanes: inst.lanes,
            sources: inst.sources.clone(),
            mask: inst.mask,
            place: inst.place,
            int: inst.int,
            imm: inst.imm,
            from,
        };
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let mutable = inst.reads().any(|r| self.is_cell(r));
        let dst = self.register(class);
        self.push(Node::Inst(Inst { dst: Some(dst), ..inst }))?;
        if !mutable {
            self.known.insert(key, dst);
        }
        Ok(dst)
    }

    fn is_cell(&self, r: Reg) -> bool {
        self.cell_registers.contains(&r)
    }

    fn op(&mut self, op: Op, lane: Lane, sources: &[Val], imm: u8) -> Built<Reg> {
        let mut inst = self.blank(Kind::Op(op), lane);
        inst.imm = imm;
        for v in sources {
            inst.sources.push(self.source(*v)?);
        }
        // The first operand of an instruction is a register.
        if !matches!(inst.sources.first(), Some(Source::Reg(_))) {
            let commutes = matches!(op, Op::Add | Op::Mul | Op::And | Op::Or | Op::Xor);
            let single = inst.sources.len() == 1;
            if commutes && matches!(inst.sources.get(1), Some(Source::Reg(_))) {
                inst.sources.swap(0, 1);
            } else if !single && let Some(first) = sources.first() {
                let r = self.in_register(lane, *first)?;
                if let Some(slot) = inst.sources.first_mut() {
                    *slot = Source::Reg(r);
                }
            }
        }
        let class = if matches!(op, Op::Cmp | Op::Class) { Class::Mask } else { Class::Vector };
        self.pure(class, inst, None)
    }

    fn source(&mut self, v: Val) -> Built<Source> {
        match v {
            Val::Vector(r) => Ok(Source::Reg(r)),
            Val::Literal(bits) => Ok(Source::Literal(bits)),
            Val::Mask(_) | Val::Bool(_) => Err("a bool is used as a number".to_owned()),
        }
    }

    /// The value in a register.
    pub(super) fn in_register(&mut self, lane: Lane, v: Val) -> Built<Reg> {
        match v {
            Val::Vector(r) => Ok(r),
            Val::Literal(bits) => {
                let mut inst = self.blank(Kind::Copy, lane);
                inst.sources.push(Source::Literal(bits));
                self.pure(Class::Vector, inst, None)
            }
            Val::Mask(_) | Val::Bool(_) => Err("a bool is used as a number".to_owned()),
        }
    }

    pub(super) fn mask_of(&mut self, v: Val) -> Built<Reg> {
        match v {
            Val::Mask(m) => Ok(m),
            Val::Bool(b) => {
                let mut inst = self.blank(Kind::When(Comparison::Eq), Lane::I32);
                inst.int = Some(Int::Const(i64::from(!b)));
                self.pure(Class::Mask, inst, None)
            }
            Val::Vector(_) | Val::Literal(_) => Err("a number is used as a bool".to_owned()),
        }
    }

    /// The mask of the first `n` lanes.
    pub(super) fn first_lanes(&mut self, n: i64) -> Built<Reg> {
        let mut inst = self.blank(Kind::Edge, Lane::I32);
        inst.lanes = 64;
        inst.int = Some(Int::Const(n));
        self.pure(Class::Mask, inst, None)
    }

    fn both(&mut self, a: Option<Reg>, b: Option<Reg>) -> Built<Option<Reg>> {
        match (a, b) {
            (Some(a), Some(b)) => Ok(Some(self.mask_op(Kind::MaskAnd, &[a, b])?)),
            (a, b) => Ok(a.or(b)),
        }
    }

    fn mask_op(&mut self, kind: Kind, masks: &[Reg]) -> Built<Reg> {
        let mut inst = self.blank(kind, Lane::I32);
        inst.sources.extend(masks.iter().map(|m| Source::Reg(*m)));
        self.pure(Class::Mask, inst, None)
    }

    /// The value of an expression; lanes that `mask` leaves out may be anything, and memory is not
    /// touched for them.
    pub(super) fn value(&mut self, e: &Expr, mask: Option<Reg>) -> Built<Val> {
        match e {
            Expr::Literal(s) => literal(*s),
            Expr::Index { num, den, dtype } => self.index(num, den, *dtype),
            Expr::Compare(op, a, b) => {
                let difference = self.resolve(a) - self.resolve(b);
                self.compare(*op, &difference)
            }
            Expr::Read(r) => self.read(r, mask),
            Expr::Apply(func, args) => {
                let mut values: SmallVec<[Val; 3]> = SmallVec::new();
                for a in args {
                    values.push(self.value(a, mask)?);
                }
                let dtype = args.last().map_or(DType::Bool, Expr::dtype);
                self.apply(*func, dtype, &values)
            }
            Expr::Cast(to, x) => {
                let v = self.value(x, mask)?;
                self.cast(x.dtype(), *to, v)
            }
            Expr::Bitcast(_, x) => self.value(x, mask),
            Expr::Contiguous(_) => Err("`contiguous` stands inside a value".to_owned()),
        }
    }

    fn index(&mut self, num: &IntExpr, den: &IntExpr, dtype: DType) -> Built<Val> {
        let (num, den) = (self.resolve(num), self.resolve(den));
        if let (Some(n), Some(d)) = (num.as_constant(), den.as_constant()) {
            return literal(tcc_ir::eval::constant(dtype, n, d));
        }
        let lane = Lane::of(dtype).ok_or("an index becomes a value of a type without lanes")?;
        if den.as_constant() != Some(1) || self.lane.is_some_and(|l| num.mentions(l.var)) {
            return Err("an index becomes a value in lanes".to_owned());
        }
        let mut inst = self.blank(Kind::FromInt, lane);
        inst.int = Some(self.int(&num));
        Ok(Val::Vector(self.pure(Class::Vector, inst, None)?))
    }

    /// `difference op 0` as a mask.
    fn compare(&mut self, op: Comparison, difference: &IntExpr) -> Built<Val> {
        if let Some(d) = difference.as_constant() {
            return Ok(Val::Bool(op.holds(d.cmp(&0))));
        }
        let zero = IntExpr::default();
        let (factor, rest) = match self.lane.filter(|l| difference.mentions(l.var)) {
            None => (0, difference.clone()),
            Some(l) => {
                let (c, rest) =
                    difference.linear_in(l.var).ok_or("a comparison is not linear in the lane")?;
                (c.as_constant().ok_or("a comparison moves by a size from lane to lane")?, rest)
            }
        };
        if factor == 0 {
            let mut inst = self.blank(Kind::When(op), Lane::I32);
            inst.int = Some(self.int(&rest));
            return Ok(Val::Mask(self.pure(Class::Mask, inst, None)?));
        }
        // factor * lane + rest < 0 holds for the first lanes or for the last ones.
        let one = IntExpr::constant(1);
        let below = |b: &mut Self, shift: i64| -> Built<Reg> {
            // Lanes where factor * lane + rest + shift < 0.
            let rest = &rest + &IntExpr::constant(shift);
            let size = IntExpr::constant(factor.abs());
            if factor > 0 {
                let n = (&zero - &rest - one.clone()).div(&size) + one.clone();
                b.edge(&n, 0)
            } else {
                let n = rest.div(&size) + one.clone();
                b.edge(&n, 1)
            }
        };
        let mask = match op {
            Comparison::Lt => below(self, 0)?,
            Comparison::Le => below(self, -1)?,
            Comparison::Ge => {
                let m = below(self, 0)?;
                self.mask_op(Kind::MaskNot, &[m])?
            }
            Comparison::Gt => {
                let m = below(self, -1)?;
                self.mask_op(Kind::MaskNot, &[m])?
            }
            Comparison::Eq | Comparison::Ne => {
                let (lt, le) = (below(self, 0)?, below(self, -1)?);
                let equal = self.mask_op(Kind::MaskXor, &[lt, le])?;
                if op == Comparison::Ne { self.mask_op(Kind::MaskNot, &[equal])? } else { equal }
            }
        };
        Ok(Val::Mask(mask))
    }

    /// Lanes below (0) or from (1) a number.
    fn edge(&mut self, n: &IntExpr, imm: u8) -> Built<Reg> {
        let mut inst = self.blank(Kind::Edge, Lane::I32);
        inst.int = Some(self.int(n));
        inst.imm = imm;
        self.pure(Class::Mask, inst, None)
    }

    fn read(&mut self, r: &Read, mask: Option<Reg>) -> Built<Val> {
        let scope = self.kernel.buffers.get(r.tensor).map(|b| b.scope);
        if scope == Some(Scope::Let) {
            return self
                .lets
                .get(&r.tensor)
                .copied()
                .ok_or("a let is read before it is set".into());
        }
        let mut at = Vec::with_capacity(r.subscripts.len());
        for s in &r.subscripts {
            match s {
                Subscript::Affine(i) => at.push(self.resolve(i)),
                Subscript::Data(_) => return Err("it reads where its data say".to_owned()),
            }
        }
        if scope == Some(Scope::Register) {
            return self.read_cell(r.tensor, r.dtype, &at);
        }
        let Some(default) = &r.default else { return self.load(r.tensor, r.dtype, &at, mask) };
        let inside = self.in_bounds(r.tensor, &at)?;
        match inside {
            Val::Bool(true) => self.load(r.tensor, r.dtype, &at, mask),
            Val::Bool(false) => self.value(default, mask),
            inside => {
                let inside = self.mask_of(inside)?;
                let loaded = self.both(Some(inside), mask)?;
                let v = self.load(r.tensor, r.dtype, &at, loaded)?;
                let other = self.value(default, mask)?;
                // Masked loads give zero where they do not look.
                if other == Val::Literal(0) && mask.is_none() {
                    return Ok(v);
                }
                self.select(r.dtype, Val::Mask(inside), v, other)
            }
        }
    }

    /// True where every subscript is in its axis.
    fn in_bounds(&mut self, t: TensorId, at: &[IntExpr]) -> Built<Val> {
        let shape = self.kernel.buffers.get(t).map_or(Vec::new(), |b| b.shape.clone());
        let mut all = Val::Bool(true);
        for (i, extent) in at.iter().zip(&shape) {
            let low = self.compare(Comparison::Ge, i)?;
            let high = self.compare(Comparison::Lt, &(i - extent))?;
            for side in [low, high] {
                all = self.logic(Func::And, all, side)?;
            }
        }
        Ok(all)
    }

    /// The address of an element in bytes, as a polynomial that may mention the lane.
    fn address(&self, t: TensorId, at: &[IntExpr]) -> Built<(IntExpr, u32)> {
        let buffer = self.kernel.buffers.get(t).ok_or("a buffer is missing")?;
        let base = self.address.get(&t).ok_or("a buffer has no address")?;
        let strides = self.strides.get(&t).filter(|_| !self.known_dense.contains(&t));
        let mut flat = IntExpr::default();
        match strides {
            Some(strides) => {
                for (i, s) in at.iter().zip(strides) {
                    flat = flat + i.clone() * s.clone();
                }
            }
            None => {
                for (i, extent) in at.iter().zip(&buffer.shape) {
                    flat = flat * extent.clone() + i.clone();
                }
            }
        }
        let bytes = buffer.dtype.size() as i64;
        let address = base.clone() + flat * IntExpr::constant(bytes);
        if address.is_poisoned() {
            return Err("an address overflows".to_owned());
        }
        Ok((address, bytes as u32))
    }

    /// The place, and by how many bytes it moves from lane to lane.
    fn place(&mut self, t: TensorId, at: &[IntExpr]) -> Built<(Place, Option<i64>)> {
        let (address, _) = self.address(t, at)?;
        let (step, rest) = match self.lane.filter(|l| address.mentions(l.var)) {
            None => (Some(0), address),
            Some(l) => {
                let (c, rest) =
                    address.linear_in(l.var).ok_or("an address is not linear in the lane")?;
                (c.as_constant(), rest)
            }
        };
        let constant = rest.constant_term();
        Ok(match i32::try_from(constant) {
            Ok(offset) => {
                let rest = rest - IntExpr::constant(constant);
                (Place { address: self.int(&rest), offset }, step)
            }
            Err(_) => (Place { address: self.int(&rest), offset: 0 }, step),
        })
    }

    fn load(&mut self, t: TensorId, dtype: DType, at: &[IntExpr], mask: Option<Reg>) -> Built<Val> {
        if dtype == DType::Bool {
            return self.load_bools(t, at, mask);
        }
        let lane = Lane::of(dtype).ok_or_else(|| format!("{dtype} is not read into vectors"))?;
        let (place, step) = self.place(t, at)?;
        let lanes = self.lanes();
        let kind = match step {
            Some(0) if lanes > 1 => Kind::Broadcast,
            Some(s) if lanes == 1 || s == i64::from(lane.bytes()) => Kind::Load,
            _ => return Err("lanes are read with gaps".to_owned()),
        };
        let mut inst = self.blank(kind, lane);
        inst.place = Some(place);
        inst.mask = if kind == Kind::Load {
            let partial = self.lane.and_then(|l| l.partial);
            self.both(partial, mask)?
        } else {
            mask
        };
        inst.zero = inst.mask.is_some();
        Ok(Val::Vector(self.pure(Class::Vector, inst, Some(t))?))
    }

    fn load_bools(&mut self, t: TensorId, at: &[IntExpr], mask: Option<Reg>) -> Built<Val> {
        let (place, step) = self.place(t, at)?;
        if step != Some(1) && self.lanes() > 1 {
            return Err("bools are read with gaps".to_owned());
        }
        let mut inst = self.blank(Kind::LoadBool, Lane::I32);
        inst.place = Some(place);
        let partial = self.lane.and_then(|l| l.partial);
        inst.mask = self.both(partial, mask)?;
        inst.zero = inst.mask.is_some();
        Ok(Val::Mask(self.pure(Class::Mask, inst, Some(t))?))
    }

    /// Where an element of a register buffer is: its cell, and its lane in it.
    fn find_cell(&mut self, t: TensorId, at: &[IntExpr]) -> Built<(Reg, u32, u32)> {
        let chunk = self.vector_buffers.get(&t).copied().unwrap_or(1);
        let mut position = Vec::with_capacity(at.len());
        for (k, i) in at.iter().enumerate() {
            let last = k + 1 == at.len();
            let i = match self.lane.filter(|l| last && i.mentions(l.var)) {
                Some(l) => {
                    let (c, rest) = i.linear_in(l.var).ok_or("a register's lane is not linear")?;
                    if c.as_constant() != Some(1) {
                        return Err("lanes of a register are picked with gaps".to_owned());
                    }
                    rest
                }
                None => i.clone(),
            };
            position.push(i.as_constant().ok_or("a register is subscripted by a loop")?);
        }
        let mut within = 0;
        if let Some(last) = position.last_mut() {
            within = last.rem_euclid(i64::from(chunk));
            *last -= within;
        }
        let (r, lanes) = self.cell(t, position, chunk);
        Ok((r, within as u32, lanes))
    }

    fn read_cell(&mut self, t: TensorId, dtype: DType, at: &[IntExpr]) -> Built<Val> {
        let lane = Lane::of(dtype).ok_or("a register of this type is not in vectors")?;
        let bears = |i: &IntExpr| self.lane.is_some_and(|l| i.mentions(l.var));
        if let [row, column] = at
            && bears(row)
            && !bears(column)
        {
            return self.read_column(t, lane, row, column);
        }
        let moving = self.lane.is_some_and(|l| at.iter().any(|i| i.mentions(l.var)));
        let (cell, within, chunk) = self.find_cell(t, at)?;
        let lanes = self.lanes();
        if within == 0 && (moving || lanes == 1) {
            if moving && lanes > chunk {
                return Err("a register is read across chunks".to_owned());
            }
            return Ok(Val::Vector(cell));
        }
        if moving && within + lanes > chunk {
            return Err("a register is read across chunks".to_owned());
        }
        let shifted = if within == 0 {
            cell
        } else {
            let mut inst = self.blank(Kind::Op(Op::Align), lane);
            inst.lanes = chunk;
            inst.sources = smallvec![Source::Reg(cell), Source::Reg(cell)];
            inst.imm = within as u8;
            self.pure(Class::Vector, inst, None)?
        };
        if moving || lanes == 1 {
            return Ok(Val::Vector(shifted));
        }
        let mut inst = self.blank(Kind::Splat, lane);
        inst.sources.push(Source::Reg(shifted));
        Ok(Val::Vector(self.pure(Class::Vector, inst, None)?))
    }

    /// A column of a register buffer as a vector: all columns are made at once.
    fn read_column(
        &mut self,
        t: TensorId,
        lane: Lane,
        row: &IntExpr,
        column: &IntExpr,
    ) -> Built<Val> {
        let side = 64 / lane.bytes();
        let var = self.lane.map(|l| l.var).ok_or("a column is read outside of lanes")?;
        let plain = row.as_var() == Some(var);
        let column = column.as_constant().filter(|c| (0..i64::from(side)).contains(c));
        let (Some(column), true, Some(chunk)) = (column, plain, self.vector_buffers.get(&t)) else {
            return Err("a register is read down its columns".to_owned());
        };
        if *chunk != side {
            return Err("a register is read down its columns".to_owned());
        }
        if !self.transposed.contains_key(&t) {
            let rows: Vec<Option<Reg>> = (0..i64::from(side))
                .map(|r| self.cells.get(&(t, vec![r, 0])).map(|(c, _)| *c))
                .collect();
            let columns = self.transpose(lane, &rows)?;
            self.transposed.insert(t, columns);
        }
        let columns = self.transposed.get(&t).map_or(&[][..], Vec::as_slice);
        columns.get(column as usize).map(|r| Val::Vector(*r)).ok_or("no such column".to_owned())
    }

    /// Transposes 16 rows of 16 elements, or 8 of 8. Rows that were never written are any.
    fn transpose(&mut self, lane: Lane, rows: &[Option<Reg>]) -> Built<Vec<Reg>> {
        let any = rows.iter().flatten().next().copied().ok_or("an empty register is read")?;
        let mut v: Vec<Reg> = rows.iter().map(|r| r.unwrap_or(any)).collect();
        let pairs = |b: &mut Self, v: &[Reg], low: Op, high: Op| -> Built<Vec<Reg>> {
            let mut out = Vec::with_capacity(v.len());
            for pair in v.chunks_exact(2) {
                if let [a, c] = pair {
                    out.push(b.shuffle(low, lane, *a, *c, 0)?);
                    out.push(b.shuffle(high, lane, *a, *c, 0)?);
                }
            }
            Ok(out)
        };
        // Groups of as many rows as a group of 128 bits has elements.
        let mut group = 2;
        if lane.bytes() == 4 {
            group = 4;
            v = pairs(self, &v, Op::UnpackLow, Op::UnpackHigh)?;
            let mut next = Vec::with_capacity(v.len());
            for four in v.chunks_exact(4) {
                if let [a, b, c, d] = four {
                    for (x, y) in [(a, c), (b, d)] {
                        next.push(self.shuffle(Op::PairLow, lane, *x, *y, 0)?);
                        next.push(self.shuffle(Op::PairHigh, lane, *x, *y, 0)?);
                    }
                }
            }
            v = next;
        } else {
            v = pairs(self, &v, Op::PairLow, Op::PairHigh)?;
        }
        let mut columns = vec![any; v.len()];
        for j in 0..group {
            let part = |g: usize| v.get(g * group + j).copied().unwrap_or(any);
            let (a, b, c, d) = (part(0), part(1), part(2), part(3));
            let even = (
                self.shuffle(Op::Groups, lane, a, b, 0x88)?,
                self.shuffle(Op::Groups, lane, c, d, 0x88)?,
            );
            let odd = (
                self.shuffle(Op::Groups, lane, a, b, 0xdd)?,
                self.shuffle(Op::Groups, lane, c, d, 0xdd)?,
            );
            for (q, ((x, y), imm)) in
                [(even, 0x88), (odd, 0x88), (even, 0xdd), (odd, 0xdd)].into_iter().enumerate()
            {
                let column = self.shuffle(Op::Groups, lane, x, y, imm)?;
                if let Some(slot) = columns.get_mut(q * group + j) {
                    *slot = column;
                }
            }
        }
        Ok(columns)
    }

    fn shuffle(&mut self, op: Op, lane: Lane, a: Reg, b: Reg, imm: u8) -> Built<Reg> {
        let mut inst = self.blank(Kind::Op(op), lane);
        inst.lanes = 64 / lane.bytes();
        inst.sources = smallvec![Source::Reg(a), Source::Reg(b)];
        inst.imm = imm;
        self.pure(Class::Vector, inst, None)
    }

    /// Performs a store.
    pub(super) fn store(
        &mut self,
        t: TensorId,
        at: &[IntExpr],
        update: Update,
        value: &Expr,
        mask: Option<Reg>,
    ) -> Built<()> {
        let Some(buffer) = self.kernel.buffers.get(t) else { return Ok(()) };
        let (dtype, scope) = (buffer.dtype, buffer.scope);
        if scope == Scope::Register {
            return self.store_cell(t, dtype, at, update, value, mask);
        }
        if let Some(l) = self.lane
            && !at.iter().any(|i| i.mentions(l.var))
        {
            return Err("lanes are combined with each other".to_owned());
        }
        let v = match update {
            Update::Set => self.value(value, mask)?,
            Update::Reduce(r) => {
                let old = self.load(t, dtype, at, mask)?;
                let v = self.value(value, mask)?;
                self.combine(r, dtype, old, v)?
            }
            Update::FusedSum => {
                let old = self.load(t, dtype, at, mask)?;
                let (a, b) = self.factors(value, mask)?;
                self.apply(Func::Fma, dtype, &[a, b, old])?
            }
        };
        let partial = self.lane.and_then(|l| l.partial);
        let mask = self.both(partial, mask)?;
        let (place, step) = self.place(t, at)?;
        let (kind, lane) = if dtype == DType::Bool {
            (Kind::StoreBool, Lane::I32)
        } else {
            (
                Kind::Store,
                Lane::of(dtype).ok_or_else(|| format!("{dtype} is not stored in vectors"))?,
            )
        };
        if self.lanes() > 1 && step != Some(dtype.size() as i64) {
            return Err("lanes are written with gaps".to_owned());
        }
        let r = match kind {
            Kind::StoreBool => self.mask_of(v)?,
            _ => self.in_register(lane, v)?,
        };
        let mut inst = self.blank(kind, lane);
        inst.sources.push(Source::Reg(r));
        inst.place = Some(place);
        inst.mask = mask;
        self.known.retain(|k, _| k.from != Some(t));
        self.push(Node::Inst(inst))
    }

    fn factors(&mut self, product: &Expr, mask: Option<Reg>) -> Built<(Val, Val)> {
        match product {
            Expr::Apply(Func::Mul, args) => match args.as_slice() {
                [a, b] => Ok((self.value(a, mask)?, self.value(b, mask)?)),
                _ => Err("a product has two factors".to_owned()),
            },
            _ => Err("a fused sum is no product".to_owned()),
        }
    }

    fn store_cell(
        &mut self,
        t: TensorId,
        dtype: DType,
        at: &[IntExpr],
        update: Update,
        value: &Expr,
        mask: Option<Reg>,
    ) -> Built<()> {
        let lane = Lane::of(dtype).ok_or("a register of this type is not in vectors")?;
        let (cell, within, chunk) = self.find_cell(t, at)?;
        let lanes = self.lanes();
        if within != 0 || lanes > chunk {
            return Err("part of a register is written".to_owned());
        }
        // Lanes beside those that count must keep their values.
        let whole = width(lane, lanes) == width(lane, chunk);
        let partial = self.lane.and_then(|l| l.partial).filter(|_| lanes != chunk || !whole);
        let mask = self.both(partial, mask)?;
        if !whole && mask.is_none() && lanes != 1 && lanes != chunk {
            return Err("part of a register is written".to_owned());
        }
        let mut inst = match update {
            Update::FusedSum => {
                let (a, b) = self.factors(value, mask)?;
                let (a, b) = if matches!(a, Val::Literal(_)) { (b, a) } else { (a, b) };
                let a = Val::Vector(self.in_register(lane, a)?);
                let mut inst = self.blank(Kind::Op(Op::Fma231), lane);
                inst.sources = smallvec![self.source(a)?, self.source(b)?, Source::Reg(cell)];
                inst
            }
            Update::Reduce(Reducer::Sum) => {
                let v = self.value(value, mask)?;
                let mut inst = self.blank(Kind::Op(Op::Add), lane);
                inst.sources = smallvec![Source::Reg(cell), self.source(v)?];
                inst
            }
            Update::Reduce(r) => {
                let v = self.value(value, mask)?;
                let v = self.combine(r, dtype, Val::Vector(cell), v)?;
                let mut inst = self.blank(Kind::Copy, lane);
                inst.sources.push(self.source(v)?);
                inst
            }
            Update::Set => {
                let v = self.value(value, mask)?;
                if let (Val::Vector(r), None) = (v, mask)
                    && self.load_into(r, cell)
                {
                    self.transposed.remove(&t);
                    return Ok(());
                }
                let mut inst = self.blank(Kind::Copy, lane);
                inst.sources.push(self.source(v)?);
                inst
            }
        };
        inst.dst = Some(cell);
        inst.mask = mask;
        self.transposed.remove(&t);
        self.push(Node::Inst(inst))
    }

    /// Lets a load that was just made write a cell instead of a register of its own.
    fn load_into(&mut self, r: Reg, cell: Reg) -> bool {
        let Some(Node::Inst(i)) = self.last_node() else { return false };
        if i.dst != Some(r) || !matches!(i.kind, Kind::Load | Kind::Broadcast) {
            return false;
        }
        i.dst = Some(cell);
        self.known.retain(|_, known| *known != r);
        true
    }

    /// `old op new` for a reducer.
    fn combine(&mut self, r: Reducer, dtype: DType, old: Val, new: Val) -> Built<Val> {
        match r.func() {
            Some(func) => self.apply(func, dtype, &[old, new]),
            None => Err("log-sum-exp is not combined in vectors".to_owned()),
        }
    }

    fn logic(&mut self, func: Func, a: Val, b: Val) -> Built<Val> {
        let kind = match func {
            Func::And => Kind::MaskAnd,
            Func::Or => Kind::MaskOr,
            _ => Kind::MaskXor,
        };
        match (func, a, b) {
            (_, Val::Bool(a), Val::Bool(b)) => Ok(Val::Bool(match func {
                Func::And => a && b,
                Func::Or => a || b,
                _ => a != b,
            })),
            (Func::And, Val::Bool(true), x) | (Func::And, x, Val::Bool(true)) => Ok(x),
            (Func::And, Val::Bool(false), _) | (Func::And, _, Val::Bool(false)) => {
                Ok(Val::Bool(false))
            }
            (Func::Or, Val::Bool(false), x) | (Func::Or, x, Val::Bool(false)) => Ok(x),
            (Func::Or, Val::Bool(true), _) | (Func::Or, _, Val::Bool(true)) => Ok(Val::Bool(true)),
            (_, a, b) => {
                let (a, b) = (self.mask_of(a)?, self.mask_of(b)?);
                Ok(Val::Mask(self.mask_op(kind, &[a, b])?))
            }
        }
    }

    fn select(&mut self, dtype: DType, c: Val, a: Val, b: Val) -> Built<Val> {
        let mask = match c {
            Val::Bool(true) => return Ok(a),
            Val::Bool(false) => return Ok(b),
            c => self.mask_of(c)?,
        };
        if dtype == DType::Bool {
            let (a, b) = (self.mask_of(a)?, self.mask_of(b)?);
            let not = self.mask_op(Kind::MaskNot, &[mask])?;
            let (a, b) =
                (self.mask_op(Kind::MaskAnd, &[mask, a])?, self.mask_op(Kind::MaskAnd, &[not, b])?);
            return Ok(Val::Mask(self.mask_op(Kind::MaskOr, &[a, b])?));
        }
        let lane = Lane::of(dtype).ok_or("a value of this type is not in vectors")?;
        let first = Source::Reg(self.in_register(lane, b)?);
        let second = self.source(a)?;
        let mut inst = self.blank(Kind::Op(Op::Blend), lane);
        inst.sources = smallvec![first, second];
        inst.mask = Some(mask);
        Ok(Val::Vector(self.pure(Class::Vector, inst, None)?))
    }

    /// Applies a function to values of a type.
    pub(super) fn apply(&mut self, func: Func, dtype: DType, args: &[Val]) -> Built<Val> {
        if func.is_expanded() {
            return self.expand(func, dtype, args);
        }
        match (func, args) {
            (Func::Select, [c, a, b]) => return self.select(dtype, *c, *a, *b),
            (Func::Not, [a]) => {
                return Ok(match *a {
                    Val::Bool(b) => Val::Bool(!b),
                    a => {
                        let m = self.mask_of(a)?;
                        Val::Mask(self.mask_op(Kind::MaskNot, &[m])?)
                    }
                });
            }
            (Func::And | Func::Or | Func::Xor, [a, b]) => return self.logic(func, *a, *b),
            (Func::Eq | Func::Ne, [a, b]) if dtype == DType::Bool => {
                let different = self.logic(Func::Xor, *a, *b)?;
                return if func == Func::Ne {
                    Ok(different)
                } else {
                    self.apply(Func::Not, dtype, &[different])
                };
            }
            _ => {}
        }
        let lane =
            Lane::of(dtype).ok_or_else(|| format!("`{func}` of {dtype} is not done in vectors"))?;
        if lane.is_float() { self.float(func, lane, args) } else { self.integer(func, lane, args) }
    }

    fn float(&mut self, func: Func, lane: Lane, args: &[Val]) -> Built<Val> {
        if let ([a, b], Some(imm)) = (args, float_predicate(func)) {
            return Ok(Val::Mask(self.op(Op::Cmp, lane, &[*a, *b], imm)?));
        }
        if let ([a], Some(imm)) = (args, rounding(func)) {
            return Ok(Val::Vector(self.op(Op::Round, lane, &[*a], imm)?));
        }
        let one = if lane == Lane::F32 { u64::from(1f32.to_bits()) } else { 1f64.to_bits() };
        let v = match (func, args) {
            (Func::Add, [a, b]) => self.op(Op::Add, lane, &[*a, *b], 0)?,
            (Func::Sub, [a, b]) => self.op(Op::Sub, lane, &[*a, *b], 0)?,
            (Func::Mul, [a, b]) => self.op(Op::Mul, lane, &[*a, *b], 0)?,
            (Func::Div, [a, b]) => self.op(Op::Div, lane, &[*a, *b], 0)?,
            (Func::Max, [a, b]) => self.extreme(lane, *a, *b, 5)?,
            (Func::Min, [a, b]) => self.extreme(lane, *a, *b, 4)?,
            (Func::Sqrt, [a]) => self.op(Op::Sqrt, lane, &[*a], 0)?,
            (Func::Neg, [a]) => self.op(Op::Xor, lane, &[*a, Val::Literal(sign_bit(lane))], 0)?,
            (Func::Abs, [a]) => {
                let rest = ones(lane) & !sign_bit(lane);
                self.op(Op::And, lane, &[*a, Val::Literal(rest)], 0)?
            }
            (Func::Fma, [a, b, c]) => self.fma(lane, *a, *b, *c)?,
            (Func::Copysign, [a, b]) => {
                let (a, b) = (self.in_register(lane, *a)?, self.in_register(lane, *b)?);
                let sign = Val::Literal(sign_bit(lane));
                // The second where the third is set, else the first.
                self.op(Op::Ternary, lane, &[Val::Vector(a), Val::Vector(b), sign], 0xd8)?
            }
            (Func::Rem, [a, b]) => {
                let quotient = self.op(Op::Div, lane, &[*a, *b], 0)?;
                let floor = self.op(Op::Round, lane, &[Val::Vector(quotient)], 0x9)?;
                let sign = Val::Literal(sign_bit(lane));
                let negative = self.op(Op::Xor, lane, &[Val::Vector(floor), sign], 0)?;
                self.fma(lane, Val::Vector(negative), *b, *a)?
            }
            (Func::Sign, [a]) => {
                let positive = self.op(Op::Cmp, lane, &[*a, Val::Literal(0)], 0x1e)?;
                let negative = self.op(Op::Cmp, lane, &[*a, Val::Literal(0)], 0x11)?;
                let dtype = if lane == Lane::F32 { DType::F32 } else { DType::F64 };
                let minus = Val::Literal(one | sign_bit(lane));
                let v = self.select(dtype, Val::Mask(negative), minus, *a)?;
                return self.select(dtype, Val::Mask(positive), Val::Literal(one), v);
            }
            (Func::IsNan, [a]) => {
                let a = self.in_register(lane, *a)?;
                let v = Val::Vector(a);
                return Ok(Val::Mask(self.op(Op::Cmp, lane, &[v, v], FLOAT_UNORDERED)?));
            }
            (Func::IsInf, [a]) => return Ok(Val::Mask(self.op(Op::Class, lane, &[*a], 0x18)?)),
            (Func::IsFinite, [a]) => {
                let not = self.op(Op::Class, lane, &[*a], 0x99)?;
                return Ok(Val::Mask(self.mask_op(Kind::MaskNot, &[not])?));
            }
            _ => return Err(format!("`{func}` is not done in vectors")),
        };
        Ok(Val::Vector(v))
    }

    /// The smaller (4) or larger (5) of two: the instruction prefers numbers to NaN, so the sum
    /// replaces its result where either is one.
    fn extreme(&mut self, lane: Lane, a: Val, b: Val, imm: u8) -> Built<Reg> {
        let a = Val::Vector(self.in_register(lane, a)?);
        let t = self.op(Op::Range, lane, &[a, b], imm)?;
        // A literal is a number: only the other may be NaN.
        let nan = match b {
            Val::Literal(_) => self.op(Op::Cmp, lane, &[a, a], FLOAT_UNORDERED)?,
            b => self.op(Op::Cmp, lane, &[a, b], FLOAT_UNORDERED)?,
        };
        // The sum goes into the result itself, which is no other value's.
        let mut inst = self.blank(Kind::Op(Op::Add), lane);
        inst.sources = smallvec![self.source(a)?, self.source(b)?];
        inst.mask = Some(nan);
        inst.dst = Some(t);
        self.known.retain(|_, known| *known != t);
        self.push(Node::Inst(inst))?;
        Ok(t)
    }

    fn fma(&mut self, lane: Lane, a: Val, b: Val, c: Val) -> Built<Reg> {
        let (a, b) = if matches!(a, Val::Literal(_)) { (b, a) } else { (a, b) };
        let a = self.in_register(lane, a)?;
        let mut inst = self.blank(Kind::Op(Op::Fma231), lane);
        inst.sources = smallvec![Source::Reg(a), self.source(b)?, self.source(c)?];
        // At most one operand comes from memory.
        if !matches!(b, Val::Vector(_)) && !matches!(c, Val::Vector(_)) {
            let c = self.in_register(lane, c)?;
            if let Some(slot) = inst.sources.get_mut(2) {
                *slot = Source::Reg(c);
            }
        }
        self.pure(Class::Vector, inst, None)
    }

    fn integer(&mut self, func: Func, lane: Lane, args: &[Val]) -> Built<Val> {
        if let ([a, b], Some(imm)) = (args, int_predicate(func)) {
            return Ok(Val::Mask(self.op(Op::Cmp, lane, &[*a, *b], imm)?));
        }
        let zero = Val::Literal(0);
        let v = match (func, args) {
            (Func::Add, [a, b]) => self.op(Op::Add, lane, &[*a, *b], 0)?,
            (Func::Sub, [a, b]) => self.op(Op::Sub, lane, &[*a, *b], 0)?,
            (Func::Mul, [a, b]) => self.op(Op::Mul, lane, &[*a, *b], 0)?,
            (Func::Max, [a, b]) => self.op(Op::Max, lane, &[*a, *b], 0)?,
            (Func::Min, [a, b]) => self.op(Op::Min, lane, &[*a, *b], 0)?,
            (Func::BitAnd, [a, b]) => self.op(Op::And, lane, &[*a, *b], 0)?,
            (Func::BitOr, [a, b]) => self.op(Op::Or, lane, &[*a, *b], 0)?,
            (Func::BitXor, [a, b]) => self.op(Op::Xor, lane, &[*a, *b], 0)?,
            (Func::Neg, [a]) => self.op(Op::Sub, lane, &[zero, *a], 0)?,
            (Func::Abs, [a]) if lane.is_signed() => {
                let negative = self.op(Op::Sub, lane, &[zero, *a], 0)?;
                self.op(Op::Max, lane, &[*a, Val::Vector(negative)], 0)?
            }
            (Func::Abs, [a]) => return Ok(*a),
            (Func::Shl | Func::Shr, [a, Val::Literal(n)]) if *n < u64::from(8 * lane.bytes()) => {
                let op = if func == Func::Shl { Op::Shl } else { Op::Shr };
                self.op(op, lane, &[*a, Val::Literal(*n)], 0)?
            }
            _ => return Err(format!("`{func}` of integers is not done in vectors")),
        };
        Ok(Val::Vector(v))
    }

    fn cast(&mut self, from: DType, to: DType, v: Val) -> Built<Val> {
        if from == to {
            return Ok(v);
        }
        let unsupported = || format!("a cast from {from} to {to} is not done in vectors");
        if from == DType::Bool {
            let lane = Lane::of(to).ok_or_else(unsupported)?;
            let one = tcc_abi::Scalar::from_f64(to, 1.0).bits() as u64;
            debug_assert!(lane.bytes() <= 8, "a lane has at most 8 bytes");
            return self.select(to, v, Val::Literal(one), Val::Literal(0));
        }
        let source = Lane::of(from).ok_or_else(unsupported)?;
        if to == DType::Bool {
            let func = Func::Ne;
            return self.apply(func, from, &[v, Val::Literal(0)]);
        }
        let lane = Lane::of(to).ok_or_else(unsupported)?;
        let same_bits = !source.is_float() && !lane.is_float() && source.bytes() == lane.bytes();
        if same_bits {
            return Ok(v);
        }
        let direct = matches!(
            (source, lane),
            (Lane::F32, Lane::F64)
                | (Lane::F64, Lane::F32)
                | (Lane::I32, Lane::F32 | Lane::F64)
                | (Lane::U32, Lane::F32)
                | (Lane::I64, Lane::F64)
                | (Lane::I32 | Lane::U32, Lane::I64 | Lane::U64)
                | (Lane::I64 | Lane::U64, Lane::I32 | Lane::U32)
        );
        if direct {
            let v = self.in_register(source, v)?;
            return Ok(Val::Vector(self.convert(source, lane, v)?));
        }
        if (source, lane) == (Lane::F32, Lane::I32) {
            return self.truncated(v);
        }
        Err(unsupported())
    }

    fn convert(&mut self, from: Lane, to: Lane, v: Reg) -> Built<Reg> {
        let mut inst = self.blank(Kind::Convert(from), to);
        inst.sources.push(Source::Reg(v));
        self.pure(Class::Vector, inst, None)
    }

    /// `f32` to `i32`, saturating, NaN to 0.
    fn truncated(&mut self, v: Val) -> Built<Val> {
        let x = self.in_register(Lane::F32, v)?;
        let v = Val::Vector(x);
        let near = Val::Vector(self.convert(Lane::F32, Lane::I32, x)?);
        let limit = Val::Literal(u64::from(2147483648f32.to_bits()));
        let above = self.op(Op::Cmp, Lane::F32, &[v, limit], 0x1d)?;
        let most = Val::Literal(i32::MAX as u64);
        let near = self.select(DType::I32, Val::Mask(above), most, near)?;
        let nan = self.op(Op::Cmp, Lane::F32, &[v, v], FLOAT_UNORDERED)?;
        self.select(DType::I32, Val::Mask(nan), Val::Literal(0), near)
    }

    /// A scalar function by its expansion.
    fn expand(&mut self, func: Func, dtype: DType, args: &[Val]) -> Built<Val> {
        let expansion = self.expansions.get(func, dtype).clone();
        if expansion.rare.is_some() {
            return Err(format!("`{func}` has a rare case"));
        }
        self.function(&expansion.body, args)
    }

    /// The equations of a function of scalars, in order.
    fn function(&mut self, f: &Function, args: &[Val]) -> Built<Val> {
        let mut values: HashMap<TensorId, Val> =
            f.params.iter().copied().zip(args.iter().copied()).collect();
        for d in f.nodes.iter().flat_map(GraphNode::definitions) {
            if let [e] = d.equations.as_slice() {
                let v = self.inline(&e.body, &values)?;
                values.insert(d.tensor, v);
            }
        }
        let result = f.results.first().and_then(|r| values.get(r).copied());
        result.ok_or_else(|| format!("`{}` defines no result", f.name))
    }

    fn inline(&mut self, e: &Expr, values: &HashMap<TensorId, Val>) -> Built<Val> {
        match e {
            Expr::Read(r) => {
                values.get(&r.tensor).copied().ok_or("a value is used before it is defined".into())
            }
            Expr::Cast(to, x) => {
                let v = self.inline(x, values)?;
                self.cast(x.dtype(), *to, v)
            }
            Expr::Bitcast(_, x) => self.inline(x, values),
            Expr::Apply(func, args) => {
                let dtype = args.last().map_or(DType::Bool, Expr::dtype);
                let mut given: SmallVec<[Val; 3]> = SmallVec::new();
                for a in args {
                    given.push(self.inline(a, values)?);
                }
                self.apply(*func, dtype, &given)
            }
            Expr::Literal(_) | Expr::Index { .. } | Expr::Compare(..) | Expr::Contiguous(_) => {
                self.value(e, None)
            }
        }
    }
}

fn literal(s: tcc_abi::Scalar) -> Built<Val> {
    let dtype = s.dtype();
    if dtype == DType::Bool {
        return Ok(Val::Bool(s.to_bool()));
    }
    Lane::of(dtype).ok_or_else(|| format!("{dtype} is not in vectors"))?;
    Ok(Val::Literal(s.bits() as u64))
}
